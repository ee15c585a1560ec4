"""Query parameters, checked: a bad one is an answer that names the parameter, the value and the fix."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import ClassVar, Final

from django.http import QueryDict

from celery_health.exceptions import CeleryHealthError

YES: Final = ("1", "true", "yes", "on")
NO: Final = ("0", "false", "no", "off")

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 10_000
MAX_OFFSET: Final = 1_000_000

#: What of a value is repeated in a message.
_SHOWN_CHARACTERS: Final = 100


class BadParameter(CeleryHealthError):
    """A query parameter cannot be understood; the message names it, its value and the fix."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    """What it is answered with."""

    def __init__(self, parameter: str, value: str, fix: str) -> None:
        self.parameter = parameter
        self.value = value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
        self.fix = fix
        super().__init__(f"Query parameter {parameter!r} is {self.value!r}. {fix}")


class Query:
    """The query parameters of one request.

    A parameter that resembles a known one is refused: ``?strct=1``, quietly ignored, would be a wrong green.
    Others are ignored where monitors add their own (cache busters), and refused under `refuse_unknown`.
    """

    def __init__(self, given: QueryDict, known: Sequence[str], *, refuse_unknown: bool = False) -> None:
        self._given = given
        for name in given:
            if name not in known:
                self._check_unknown(name, known, refuse_unknown)

    def _check_unknown(self, name: str, known: Sequence[str], refuse: bool) -> None:
        value = ", ".join(self._given.getlist(name))
        nearest = get_close_matches(name.lower(), known, n=1, cutoff=0.7)
        if nearest:
            raise BadParameter(name, value, f"There is none of that name: write {nearest[0]!r}.")
        if refuse:
            known_names = ", ".join(known)
            raise BadParameter(name, value, f"There is none of that name. Known: {known_names}.")

    def _single(self, name: str) -> str | None:
        values = self._given.getlist(name)
        if len(values) > 1:
            raise BadParameter(name, ", ".join(values), "Give it once.")
        return values[0] if values else None

    def flag(self, name: str) -> bool:
        """Return a yes or no; no when it is not given.

        Raises:
            BadParameter: it is neither.
        """
        value = self._single(name)
        if value is None or value.lower() in NO:
            return False
        if value.lower() in YES:
            return True
        raise BadParameter(name, value, "Give 1 or 0.")

    def limit(self, default: int = DEFAULT_LIMIT) -> int:
        """Return how many rows a list may have: ``?limit=``.

        Raises:
            BadParameter: it is not a whole number from 1 to 10,000.
        """
        value = self.whole("limit", 1, MAX_LIMIT)
        return default if value is None else value

    def offset(self) -> int:
        """Return how many rows to pass over: ``?offset=``.

        Raises:
            BadParameter: it is not a whole number from 0 to 1,000,000.
        """
        return self.whole("offset", 0, MAX_OFFSET) or 0

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number; None when it is not given.

        Raises:
            BadParameter: it is none, or out of bounds.
        """
        value = self._single(name)
        # Not int() alone: it takes "１", "1_0" and " 1", and refuses long digits with an error of its own.
        if value is not None and not (
            value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most
        ):
            raise BadParameter(name, value, f"Give a whole number from {least} to {most}.")
        return None if value is None else int(value)

    def single(self, name: str) -> str | None:
        """Return the one value of a parameter; None when it is not given.

        Raises:
            BadParameter: it is empty, or given more than once.
        """
        value = self._single(name)
        if value == "":
            raise BadParameter(name, "", "Give a value, or leave the parameter out.")
        return value

    def given(self, name: str) -> str | None:
        """Return the one value of a parameter; None also when it is empty, as a form has it.

        Raises:
            BadParameter: it is given more than once.
        """
        return self._single(name) or None

    def names(self, name: str) -> frozenset[str] | None:
        """Return the names given, the parameter being repeatable; None, for all, when it is not given.

        Raises:
            BadParameter: one is empty.
        """
        values = self._given.getlist(name)
        if any(not value for value in values):
            raise BadParameter(name, "", "Give a name, or leave the parameter out.")
        return frozenset(values) or None
