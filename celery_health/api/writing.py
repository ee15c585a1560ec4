"""What every view that changes something has in common: permission, CSRF, and a body that is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.request import Request

from celery_health.api.base import MonitoringView
from celery_health.api.query import NO, YES, BadParameter
from celery_health.text.printable import printable

#: What browsers send by themselves once somebody has logged in: no proof that the caller meant it.
_AMBIENT_SCHEMES: Final = frozenset({"", "basic", "digest", "negotiate", "ntlm"})
MAX_IDS: Final = 10_000


class BadField(BadParameter):
    """A field of the body cannot be understood; the message names it, its value and the fix."""

    def __init__(self, field: str, value: object, fix: str) -> None:
        super().__init__(field, printable(value, 100), fix)
        self.args = (f"Field {field!r} is {self.value!r}. {fix}",)


class WritingView(MonitoringView):
    """Changes something: only by POST, with the ``write`` permission, and never for another site's page."""

    access = "write"
    parser_classes = (JSONParser, FormParser)

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks, and that they mean it.

        DRF checks CSRF for sessions alone. Browsers send passwords (Basic) and client certificates along by
        themselves, too, and ``PERMISSIONS`` may admit anyone: whoever brings no token of their own must
        bring the CSRF token.
        """
        super().perform_authentication(request)
        scheme = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0].lower()
        if scheme in _AMBIENT_SCHEMES:
            SessionAuthentication().enforce_csrf(request)

    def who(self) -> str:
        """Return who asks, for the audit log."""
        user: Any = self.request.user
        name = user.get_username() if user and user.is_authenticated else "anonymous"
        return f"{name} (HTTP, {self.request.META.get('REMOTE_ADDR') or 'unknown address'})"

    def fields(self, known: Sequence[str]) -> Fields:
        """Return the body's fields.

        Raises:
            BadField: the body is no object, or one is unknown.
        """
        return Fields(self.request.data, known)


class Fields:
    """The fields of a body: JSON, or a form, whose values are texts."""

    def __init__(self, given: Any, known: Sequence[str]) -> None:
        if not isinstance(given, Mapping):
            raise BadField("body", given, "Give an object of fields, or nothing.")
        self._given = given
        for name in given:
            if name in known or name == "csrfmiddlewaretoken":
                continue
            nearest = get_close_matches(str(name).lower(), known, n=1, cutoff=0.7)
            fix = f"write {nearest[0]!r}" if nearest else f"known: {', '.join(known) or 'none'}"
            raise BadField(printable(name, 100), given[name], f"There is none of that name: {fix}.")

    def flag(self, name: str) -> bool:
        """Return a yes or no; no when it is not given."""
        value = self._given.get(name)
        if isinstance(value, bool):
            return value
        if value is None or str(value).lower() in NO:
            return False
        if str(value).lower() in YES:
            return True
        raise BadField(name, value, "Give true or false.")

    def text(self, name: str) -> str | None:
        """Return a text; None when it is not given."""
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, str) and value:
            return value
        raise BadField(name, value, "Give a text, or leave the field out.")

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts; None when it is not given, which is not the same as an empty one."""
        if name not in self._given:
            return None
        getlist = getattr(self._given, "getlist", None)
        value = self._given[name] if getlist is None else getlist(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadField(name, value, "Give a list of texts.")
        if len(value) > MAX_IDS:
            raise BadField(name, f"a list of {len(value)}", f"Give at most {MAX_IDS}.")
        return value

    def whole(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 on; None when it is not given."""
        value = self._given.get(name)
        if value is None:
            return None
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadField(name, value, f"Give a whole number from 1 to {most}.")
        if not 1 <= int(text) <= most:
            raise BadField(name, value, f"Give a whole number from 1 to {most}.")
        return int(text)

    def number(self, name: str, least: float, most: float) -> float | None:
        """Return a number; None when it is not given."""
        value = self._given.get(name)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(str(value))
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise BadField(name, value, f"Give a number from {least:g} to {most:g}.")
        return number
