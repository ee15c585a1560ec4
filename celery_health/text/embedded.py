"""Secrets inside a text that itself holds names and values: JSON, a URL, a form, what ``repr`` makes.

Where it is not certain where a secret ends, more is masked than that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from celery_health.text.masking import MASK, mask

#: ``"name":`` and ``'name':`` of JSON and of dicts as text, also with the quotes of JSON inside JSON; and
#: ``("name",``, the first of a pair.
_QUOTED_NAME: Final = re.compile(
    r"""(?P<pair>[(\[]\s{0,5}[bu]?)?(?P<quote>\\{0,7}["'])(?P<name>[^"']{1,200}?)(?P=quote)"""
    r"""\s{0,20}(?:[:=]{1,2}>?|(?(pair),|(?!)))\s{0,20}"""
)
#: ``name=`` of a query, a form, a connection string, an object as text; ``name: `` of a header, of YAML.
_BARE_NAME: Final = re.compile(
    r"""(?<![\w.%\[\]-])(?P<name>[\w.%\[\]-]+)(?P<sign>\s{0,20}[:=]{1,2}>?[ \t]{0,20})"""
)
#: ``--name value`` of a command.
_OPTION: Final = re.compile(r"(?<![\w-])(?P<name>--[\w-]{1,200})[ \t]{1,20}(?=[^\s-])")

_OPENING_QUOTE: Final = re.compile(r"""[bBuUrRfF]{0,2}(?P<quote>\\{0,7}["'])""")
#: Of a list, an object, or what ``repr`` makes of one: ``Secret('...')``, ``<Secret ...>``.
_OPENING_BRACKET: Final = re.compile(r"[\w.]{0,200}[(\[{<]")
_LINE: Final = re.compile(r"[^\r\n]*")
_WORD: Final = re.compile(r"\S*")
#: In a query and in a form; an ``&`` that no name follows may be part of the secret.
_NEXT_FIELD: Final = re.compile(r"&(?=[\w.%\[\]+-]{1,200}=|[#\s]|$)")
_FORM: Final = re.compile(r"[\w.%\[\]+-]+=[^&]*(?:&[\w.%\[\]+-]+=[^&]*)+")
#: Up to a space, or a sign behind which something else begins.
_BARE_VALUE: Final = re.compile(
    r"""(?:[^\s;,)}\]>"'\\]|\\|[;,)}\]>"'](?![\s;,)}\]>"'.:\\]|$|[\w.%-]{1,100}\s?[=:]))*"""
)
#: ``https://token@host``: a user without a password is one.
_URL_TOKEN: Final = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,40}://)[^\s/@:?#\"']+(?=@)")

_IsSecret = Callable[[str], bool]


def mask_inside(text: str, is_secret: _IsSecret) -> str:
    """Return `text` without passwords of URLs, and without the values whose names are secret.

    It takes a time that grows with the length of the text: cut it before.
    """
    if "://" in text:
        text = _URL_TOKEN.sub(rf"\g<1>{MASK}", mask(text))
    if '"' in text or "'" in text:
        text = _without(text, _QUOTED_NAME, _value_end, is_secret)
    if ":" in text or "=" in text:
        text = _without(text, _BARE_NAME, _bare_value_end, is_secret)
    if "--" in text:
        text = _without(text, _OPTION, _value_end, is_secret)
    return text


def _without(
    text: str,
    names: re.Pattern[str],
    end_of: Callable[[str, re.Match[str]], int],
    is_secret: _IsSecret,
) -> str:
    parts: list[str] = []
    at = 0
    while (found := names.search(text, at)) is not None:
        parts.append(text[at : found.end()])
        at = found.end()
        if _is_secret(text, found, is_secret):
            end = end_of(text, found)
            parts.append(MASK if end > at else "")
            at = end
    return "".join([*parts, text[at:]])


def _is_secret(text: str, found: re.Match[str], is_secret: _IsSecret) -> bool:
    name = _plain(found["name"])
    if is_secret(name):
        return True
    # ``\n`` in what ``repr`` makes of a text: the letter is not part of the name behind it.
    start = found.start("name")
    return start > 0 and text[start - 1] == "\\" and name[:1] in ("n", "r", "t") and is_secret(name[1:])


def _plain(name: str) -> str:
    """Return a name as it is meant: JSON writes other letters than English ones as escapes, URLs as bytes."""
    if "\\u" in name:
        try:
            name = name.encode("latin-1", "backslashreplace").decode("unicode_escape")
        except UnicodeDecodeError:
            return name
    return unquote(name) if "%" in name else name


def _value_end(text: str, name: re.Match[str]) -> int:
    """Return where the value ends that is behind `name`."""
    end = _told_end(text, name.end())
    return _end(_BARE_VALUE, text, name.end()) if end is None else end


def _told_end(text: str, start: int) -> int | None:
    """Return where a text in quotes ends; for a list or an object, the end of all; None for anything else."""
    opening = _OPENING_QUOTE.match(text, start)
    if opening is not None:
        return _quoted_end(text, opening)
    return len(text) if _OPENING_BRACKET.match(text, start) else None


def _bare_value_end(text: str, name: re.Match[str]) -> int:
    start = name.end()
    told = _told_end(text, start)
    word = _end(_WORD, text, start)
    if _FORM.fullmatch(text):
        return max(told or 0, _field_end(text, start, len(text)))
    if name["sign"] == "=" and text[max(name.start("name") - 1, 0)] in ("?", "&", "#"):
        return max(told or 0, _field_end(text, start, word, ends_at="#"))
    if told is not None:
        return told
    if name["sign"] != "=":
        # ``name: value`` and ``name = value`` are lines of their own, of which spaces are part.
        return _end(_LINE, text, start)
    return _field_end(text, start, word) if _NEXT_FIELD.search(text, start, word) else _value_end(text, name)


def _field_end(text: str, start: int, end: int, ends_at: str | None = None) -> int:
    """Return where the value of a form or a query ends, `end` at the most."""
    found = _NEXT_FIELD.search(text, start, end)
    end = end if found is None else found.start()
    fragment = text.find(ends_at, start, end) if ends_at else -1
    return end if fragment < 0 else fragment


def _quoted_end(text: str, opening: re.Match[str]) -> int:
    quote = opening["quote"]
    end = _closed(text, quote, opening.end())
    while text.startswith(quote, end):
        # Doubled, as SQL writes a quote within the value.
        end = _closed(text, quote, end + len(quote))
    return _end(_BARE_VALUE, text, end) if text[end : end + 1].isalnum() else end


def _closed(text: str, quote: str, start: int) -> int:
    """Return where the text ends whose `quote` is before `start`."""
    at = start
    while (end := text.find(quote, at)) >= 0:
        # One more backslash before it than the quote has is a quote within the value.
        if text[end - 1] != "\\" or end == start:
            return end + len(quote)
        at = end + len(quote)
    return len(text)


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return start if found is None else found.end()
