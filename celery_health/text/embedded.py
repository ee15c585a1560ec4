"""Secrets inside a text that itself holds names and values: JSON, a URL, a form, what ``repr`` makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from celery_health.text.masking import MASK, mask

#: ``"name":`` and ``'name':`` of JSON and of dicts as text, also with the quotes of JSON inside JSON.
_QUOTED_NAME: Final = re.compile(
    r"""(?P<quote>\\{0,7}["'])(?P<name>[^"']{1,200}?)(?P=quote)\s{0,20}[:=]\s{0,20}"""
)
#: ``name=`` of a query, a form, a connection string, an object as text.
_BARE_NAME: Final = re.compile(r"""(?:^|(?<=[?&;#\s,({\["']))(?P<name>[\w.%\[\]-]{1,200})=""")
_BARE_VALUE: Final = re.compile(r"""[^&\s;,)}\]"'#]*""")
_OPENING_QUOTE: Final = re.compile(r"""\\{0,7}["']""")
_SCALAR: Final = re.compile(r"[^,}\]\s]*")
#: ``https://token@host``: a user without a password is one.
_URL_TOKEN: Final = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,40}://)[^\s/@:?#\"']+(?=@)")


def mask_inside(text: str, is_secret: Callable[[str], bool]) -> str:
    """Return `text` without passwords of URLs, and without the values whose names are secret.

    It takes a time that grows with the length of the text: cut it before.
    """
    if "://" in text:
        text = _URL_TOKEN.sub(rf"\g<1>{MASK}", mask(text))
    if ":" in text or "=" in text:
        text = _without(text, _QUOTED_NAME, _value_end, is_secret)
    if "=" in text:
        text = _without(text, _BARE_NAME, _bare_value_end, is_secret)
    return text


def _without(
    text: str, names: re.Pattern[str], end_of: Callable[[str, int], int], is_secret: Callable[[str], bool]
) -> str:
    parts: list[str] = []
    at = 0
    while (found := names.search(text, at)) is not None:
        parts.append(text[at : found.end()])
        at = found.end()
        if is_secret(_plain(found["name"])):
            end = end_of(text, at)
            parts.append(MASK if end > at else "")
            at = end
    return "".join([*parts, text[at:]])


def _plain(name: str) -> str:
    """Return a name as it is meant: JSON writes other letters than English ones as escapes, URLs as bytes."""
    if "\\u" in name:
        try:
            name = name.encode("latin-1", "backslashreplace").decode("unicode_escape")
        except UnicodeDecodeError:
            return name
    return unquote(name) if "%" in name else name


def _value_end(text: str, start: int) -> int:
    """Return where the value ends that begins at `start`; that of a list or an object is the text's end."""
    opening = _OPENING_QUOTE.match(text, start)
    if opening is not None:
        return _quoted_end(text, opening)
    if text[start : start + 1] in ("{", "["):
        return len(text)
    return _end(_SCALAR.match(text, start), start)


def _quoted_end(text: str, opening: re.Match[str]) -> int:
    quote = opening[0]
    at = opening.end()
    while (end := text.find(quote, at)) >= 0:
        # One more backslash before it than the quote has is a quote within the value.
        if text[end - 1] != "\\" or end == opening.end():
            return end + len(quote)
        at = end + len(quote)
    return len(text)


def _bare_value_end(text: str, start: int) -> int:
    opening = _OPENING_QUOTE.match(text, start)
    return _quoted_end(text, opening) if opening is not None else _end(_BARE_VALUE.match(text, start), start)


def _end(found: re.Match[str] | None, start: int) -> int:
    return start if found is None else found.end()
