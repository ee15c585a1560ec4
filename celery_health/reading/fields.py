"""Read a value of somebody else's record: what has the wrong type is unknown.

A record comes from another process, maybe of another version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")


def of_type(kind: type[T], value: object) -> T | None:
    """Return a value of this type; True and False are no numbers."""
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def plus(seconds: object, age: float) -> float | None:
    """Return seconds that have grown by `age` since they were written."""
    written = number(seconds)
    return None if written is None else written + age


def moment(value: object) -> datetime | None:
    """Return a moment, from a text in ISO 8601 or from unix seconds."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
        seconds = number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def names(value: object) -> tuple[str, ...] | None:
    """Return the texts in a list."""
    if not isinstance(value, list | tuple):
        return None
    return tuple(item for item in value if isinstance(item, str))


def texts(value: object) -> Mapping[str, str]:
    """Return name → text."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {str(key): text for key, text in found if isinstance(text, str)}


def counts(value: object) -> Mapping[str, int]:
    """Return name → whole number."""
    found = value.items() if isinstance(value, Mapping) else ()
    return {key: count for key, count in found if isinstance(key, str) and isinstance(count, int)}


def rows(value: object) -> Iterable[Mapping[str, Any]]:
    """Yield the mappings in a list."""
    return (row for row in value if isinstance(row, Mapping)) if isinstance(value, list | tuple) else ()
