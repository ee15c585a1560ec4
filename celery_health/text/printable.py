"""Make any text safe to show on a terminal: what it cannot print becomes visible, and does nothing.

Names of queues, tasks and workers come from the broker, where anybody may have put them. A terminal obeys
escape sequences in them, and bidirectional overrides or line breaks make one line look like another.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Longer than any sensible message with its command; a name of megabytes would bury the verdict.
LONGEST: Final = 2000
_ELLIPSIS: Final = "..."


def printable(value: object, limit: int = LONGEST) -> str:
    r"""Return `value` as one line of at most `limit` characters that no terminal acts upon.

    Control characters, line and paragraph breaks, bidirectional and zero-width marks, lone surrogates and
    unassigned characters become ``\x1b``, ``\n``, ``\u202e`` and so on (`str.isprintable`). Letters of any
    script stay.
    """
    # Cut first: escaping megabytes to show a line of them would be waste.
    text = str(value)
    if len(text) > limit:
        text = text[: max(0, limit - len(_ELLIPSIS))] + _ELLIPSIS
    if not text.isprintable():
        text = "".join(character if character.isprintable() else _visible(character) for character in text)
    return text if len(text) <= limit else text[: max(0, limit - len(_ELLIPSIS))] + _ELLIPSIS


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Return how many columns of a terminal a `printable` text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
