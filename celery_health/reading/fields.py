"""Read a value of somebody else's record: what has the wrong type is unknown.

A record comes from another process, maybe of another version, or from whoever may write to the store. What
is returned can be computed with, and written anywhere: numbers are finite, texts can be encoded, and both
have an end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Of a name or an id. AMQP's names end at 255 bytes; others can be as long as somebody likes.
MAX_NAME_LENGTH: Final = 500
#: Of any other text.
MAX_TEXT_LENGTH: Final = 8000
#: What fits into 64 bits; nothing that is counted or measured here is larger.
MAX_NUMBER: Final = 2**63


def of_type(kind: type[T], value: object) -> T | None:
    """Return a value of this type; True and False are no numbers."""
    if not isinstance(value, kind) or value is True or value is False:
        return None
    if isinstance(value, str):
        return clean(value, MAX_TEXT_LENGTH)  # type: ignore[return-value]
    if isinstance(value, int | float) and not -MAX_NUMBER < value < MAX_NUMBER:
        return None
    return value


def number(value: object) -> float | None:
    """Return a finite number."""
    # What JSON made is one of the two itself: asking for the type is a third of asking for its parents.
    if type(value) is not float and type(value) is not int:
        return None
    # NaN is not between anything.
    return value if -MAX_NUMBER < value < MAX_NUMBER else None


def plus(seconds: object, age: float) -> float | None:
    """Return seconds that have grown by `age` since they were written; nothing is in the future."""
    written = number(seconds)
    return None if written is None or written < 0 else written + age


def moment(value: object) -> datetime | None:
    """Return a moment, from a text in ISO 8601 or from unix seconds."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
        seconds = number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def clean(value: str, limit: int = MAX_NAME_LENGTH) -> str:
    """Return a text that UTF-8 can hold, of at most `limit` characters."""
    if len(value) > limit:
        value = value[:limit]
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def name(value: object) -> str:
    """Return a name or an id; empty for what is none. Numbers are ids too."""
    if isinstance(value, str):
        return clean(value)
    return str(value) if of_type(int, value) is not None else ""


def names(value: object) -> tuple[str, ...] | None:
    """Return the texts in a list."""
    if not isinstance(value, list | tuple):
        return None
    return tuple(clean(item) for item in value if isinstance(item, str))


def texts(value: object) -> Mapping[str, str]:
    """Return name → text."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {clean(str(key)): clean(text) for key, text in found if isinstance(text, str)}


def lists(value: object) -> Mapping[str, tuple[str, ...]]:
    """Return name → the texts in its list."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {clean(key): names(listed) or () for key, listed in found if isinstance(key, str)}


def counts(value: object) -> Mapping[str, int]:
    """Return name → whole number."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {
        clean(key): count for key, count in found if isinstance(key, str) and of_type(int, count) is not None
    }


def rows(value: object) -> Sequence[Mapping[str, Any]]:
    """Return the mappings in a list."""
    if not isinstance(value, list | tuple):
        return ()
    # What JSON made is a dict, and asking for the type is a tenth of asking for the protocol.
    return [row for row in value if type(row) is dict or isinstance(row, Mapping)]
