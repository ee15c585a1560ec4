"""What every view that changes something has in common: permission, CSRF, and a body that is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from celery_health.api.base import MonitoringView
from celery_health.api.bodies import BadBody, FormBody, JSONBody, WritingRequest, read_body
from celery_health.api.query import NO, YES, BadParameter
from celery_health.exceptions import ConfigurationError
from celery_health.text.printable import printable

#: What browsers send by themselves once somebody has logged in: no proof that the caller meant it.
_AMBIENT_SCHEMES: Final = frozenset({"", "basic", "digest", "negotiate", "ntlm"})
MAX_IDS: Final = 10_000
#: Letters per second.
MIN_RATE: Final = 0.01
MAX_RATE: Final = 1e6
_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


class BadField(BadParameter):
    """A field of the body cannot be understood; the message names it, its value and the fix."""

    def __init__(self, field: str, value: object, fix: str) -> None:
        super().__init__(field, printable(value, 100), fix)
        self.args = (f"Field {field!r} is {self.value!r}. {fix}",)


class Writing(MonitoringView):
    """What a view that changes something is made of: never for another site's page, and bounded."""

    takes_tokens: ClassVar[bool] = True
    """Who brings a token of their own, which no browser sends by itself, need not bring that of CSRF."""
    parser_classes = (JSONBody, FormBody)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Return the request as Django REST framework has it, with a body that nobody parses in passing."""
        return WritingRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find out who asks, whether they may, and that they mean it; the body is read after that.

        DRF checks CSRF for sessions alone. Browsers send passwords (Basic) and client certificates along by
        themselves, too, and ``PERMISSIONS`` may admit anyone: whoever brings no token of their own must
        bring the CSRF token.
        """
        super().initial(request, *args, **kwargs)
        scheme = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0].lower()
        if scheme in _AMBIENT_SCHEMES or not self.takes_tokens:
            try:
                SessionAuthentication().enforce_csrf(request)
            except ImproperlyConfigured as error:
                raise ConfigurationError(f"CSRF cannot be checked. {error}") from None

    def who(self) -> str:
        """Return who asks, for the audit log."""
        user: Any = self.request.user
        name = user.get_username() if user and user.is_authenticated else "anonymous"
        return f"{name} (HTTP, {self.request.META.get('REMOTE_ADDR') or 'unknown address'})"

    def fields(self, known: Sequence[str]) -> Fields:
        """Return the body's fields.

        Raises:
            BadBody: the body is too large, no JSON or form, or no object.
            BadField: one is unknown.
        """
        return Fields(read_body(self.request._request), known)


class WritingView(Writing):
    """Changes something: only by POST, with the ``write`` permission."""

    access = "write"


class Fields:
    """The fields of a body: JSON, or a form, whose values are texts.

    ``null`` is no value of any of them: who sends it had none to send, and would get what was not asked for.
    """

    def __init__(self, given: Any, known: Sequence[str]) -> None:
        if not isinstance(given, Mapping):
            raise BadBody(given, "Give an object of fields, or nothing.")
        self._given = given
        for name in given:
            if name in known or name == "csrfmiddlewaretoken":
                continue
            nearest = get_close_matches(str(name).lower()[:100], known, n=1, cutoff=0.7)
            fix = f"write {nearest[0]!r}" if nearest else f"known: {', '.join(known) or 'none'}"
            raise BadField(printable(name, 100), given[name], f"There is none of that name: {fix}.")

    def flag(self, name: str) -> bool:
        """Return a yes or no; no when it is not given."""
        if name not in self._given:
            return False
        value = self._single(name)
        if isinstance(value, bool):
            return value
        # 1 and 0 as a form has them; 1.0, a list of one text and the like are not.
        text = str(value).lower() if isinstance(value, str | int) else ""
        if text in NO or text in YES:
            return text in YES
        raise BadField(name, value, "Give true or false, or leave the field out.")

    def text(self, name: str) -> str | None:
        """Return a text; None when it is not given."""
        if name not in self._given:
            return None
        value = self._single(name)
        if isinstance(value, str) and value:
            return value
        raise BadField(name, value, "Give a text, or leave the field out.")

    def text_or_empty(self, name: str) -> str:
        """Return a text as a form has it: empty when it is empty, or not given."""
        if name not in self._given:
            return ""
        value = self._single(name)
        if isinstance(value, str):
            return value
        raise BadField(name, value, "Give a text, or leave the field out.")

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts; None when it is not given, which is not the same as an empty one."""
        if name not in self._given:
            return None
        getlist = getattr(self._given, "getlist", None)
        value = self._given[name] if getlist is None else getlist(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise BadField(name, value, "Give a list of texts, or leave the field out.")
        if len(value) > MAX_IDS:
            raise BadField(name, f"a list of {len(value)}", f"Give at most {MAX_IDS}.")
        return value

    def whole(self, name: str, most: int) -> int | None:
        """Return a whole number from 1 on; None when it is not given."""
        if name not in self._given:
            return None
        value = self._single(name)
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
            raise BadField(name, value, f"Give a whole number from 1 to {most}, or leave the field out.")
        return int(text)

    def number(self, name: str, least: float, most: float) -> float | None:
        """Return a number; None when it is not given."""
        if name not in self._given:
            return None
        value = self._single(name)
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        # Not float() alone: it takes "1_0", " 5" and "５".
        text = str(value) if plain or (isinstance(value, str) and _NUMBER.fullmatch(value)) else "nan"
        if not least <= float(text) <= most:
            fix = f"Give a number from {least:g} to {most:g}, or leave the field out."
            raise BadField(name, value, fix)
        return float(text)

    def _single(self, name: str) -> Any:
        """Return the value of a field that is given; of a form, where it could be there twice, the one."""
        getlist = getattr(self._given, "getlist", None)
        if getlist is not None and len(getlist(name)) > 1:
            raise BadField(name, ", ".join(getlist(name)[:10]), "Give it once.")
        return self._given[name]
