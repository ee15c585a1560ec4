"""The body of a request that changes something: bounded, read once, and wrong until it is proven right.

An empty body has a meaning ("all of them"), so one that cannot be read must never be taken for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, NoReturn

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, QueryDict
from django.http.request import RawPostDataException, UnreadablePostError
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.request import Request

from celery_health.api.query import BadParameter
from celery_health.text.printable import printable

#: Ten thousand ids, and as much again.
MAX_BODY_BYTES: Final = 1024 * 1024
#: An object of fields, of which one is a list.
MAX_DEPTH: Final = 2
JSON_TYPE: Final = JSONParser.media_type
FORM_TYPE: Final = FormParser.media_type

#: Quotes, so that brackets within texts do not count, what is escaped, and brackets. Nothing repeats: `re`
#: would remember each repetition, 120 MB for a text of a megabyte.
_TOKENS: Final = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_SHOWN_BYTES: Final = 100
_TOO_LARGE: Final = f"It is too large. Give at most {MAX_BODY_BYTES:,d} bytes."


class BadBody(BadParameter):
    """The body cannot be understood; the message says what it begins with, and the fix."""

    def __init__(self, shown: object, fix: str) -> None:
        super().__init__("body", printable(shown, _SHOWN_BYTES), fix)
        self.args = (f"The body is {self.value!r}. {fix}",)


class BodyTooLarge(BadBody):
    """The body is larger than any that is taken."""

    status: ClassVar[HTTPStatus] = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class LengthMissing(BadBody):
    """The body's length is not told, without which Django does not read it."""

    status: ClassVar[HTTPStatus] = HTTPStatus.LENGTH_REQUIRED


class UnknownType(BadBody):
    """The body is neither JSON nor a form."""

    status: ClassVar[HTTPStatus] = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class JSONBody(JSONParser):
    """JSON as these views take it, also for whoever asks for ``request.data``: a project's permission."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return what the body holds."""
        return parse_json(_bounded(stream))


class FormBody(FormParser):
    """A form as these views take it."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the form's fields."""
        return parse_form(_bounded(stream))


class WritingRequest(Request):
    """A request of which Django's CSRF check sees a form's fields, and nothing of other bodies.

    That check comes before permission, and Django REST framework's own ``POST`` would parse JSON for it.
    """

    @property
    def POST(self) -> QueryDict:  # type: ignore[override]  # the stubs have an attribute
        """Return the fields of a form; none of one that is wrong: `read_body` says so later."""
        http: HttpRequest = self._request
        if _media_type(http) != FORM_TYPE:
            return QueryDict("")
        try:
            return parse_form(_read(http))
        except BadBody:
            return QueryDict("")


def read_body(http: HttpRequest) -> Any:
    """Return what the body of `http` holds, of JSON or a form; an empty dict for an empty body.

    Raises:
        BadBody: it is not in the format that it says it has.
        BodyTooLarge: it is larger than `MAX_BODY_BYTES`, or than the project takes.
        LengthMissing: there is a body, and no ``Content-Length``.
        UnknownType: it is neither JSON nor a form.
    """
    raw = _read(http)
    if not raw:
        return {}
    kind = _media_type(http)
    if kind == JSON_TYPE:
        return parse_json(raw)
    if kind == FORM_TYPE:
        return parse_form(raw)
    raise UnknownType(kind or "of no type", f"Send it as Content-Type: {JSON_TYPE}.")


def parse_json(raw: bytes) -> Any:
    """Return what JSON holds; it is nested no deeper than `MAX_DEPTH`, and has no name twice.

    Raises:
        BadBody: it is no JSON, or of another shape.
    """
    depth = 0
    is_text = False
    for token in _TOKENS.finditer(raw):
        found = token[0]
        if found == b'"':
            is_text = not is_text
        elif not is_text and found in _STEPS:
            depth += _STEPS[found]
            if depth > MAX_DEPTH:
                raise BadBody(_start(raw), "It is nested too deep. Give an object of fields, or nothing.")
    try:
        return json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_doubles
        )
    except ValueError as error:  # also numbers of more digits than Python reads
        why = "It is not in UTF-8." if isinstance(error, UnicodeDecodeError) else f"It is no JSON ({error})."
        raise BadBody(_start(raw), f"{why} Give a JSON object in UTF-8, or nothing.") from None


def parse_form(raw: bytes) -> QueryDict:
    """Return a form's fields.

    Raises:
        BadBody: it has more fields than the project takes.
    """
    try:
        return QueryDict(raw, encoding="utf-8")
    except TooManyFieldsSent:
        raise BadBody(_start(raw), "It has too many fields. Give fewer, or send JSON.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadBody(f"one with {printable(name, 50)!r} twice", "Give each field once.")
        found[name] = value
    return found


def _read(http: HttpRequest) -> bytes:
    """Return the bytes of the body; Django keeps them, for who reads them again."""
    told = http.META.get("CONTENT_LENGTH") or ""
    if not (told.isascii() and told.isdigit()):
        # Also under ASGI, where a body may come without a length: how much of it there is, is not known.
        if told or http.META.get("HTTP_TRANSFER_ENCODING") or http.read(1):
            raise LengthMissing("of unknown length", "Give a Content-Length: it is not read without one.")
        return b""
    if len(told) > 12 or int(told) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"of {told[:20]} bytes", _TOO_LARGE)
    try:
        return http.body
    except RequestDataTooBig:
        raise BodyTooLarge(
            f"of {told} bytes", "It is larger than DATA_UPLOAD_MAX_MEMORY_SIZE. Give less."
        ) from None
    except UnreadablePostError:
        raise BadBody("cut short", "The connection broke. Send it again.") from None
    except RawPostDataException:
        # A middleware has taken a form with files, of which nothing is left.
        raise UnknownType("read by a middleware", f"Send it as Content-Type: {JSON_TYPE}.") from None


def _bounded(stream: Any) -> bytes:
    raw: bytes = stream.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLarge("larger than that", _TOO_LARGE)
    return raw


def _media_type(http: HttpRequest) -> str:
    return (http.content_type or "").lower()


def _start(raw: bytes) -> str:
    return raw[:_SHOWN_BYTES].decode("utf-8", "replace")
