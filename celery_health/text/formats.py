"""Numbers, durations, lists and tables, as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from celery_health.text.printable import width

#: What stands in a table where nobody knows; zero is a value, this is none.
UNKNOWN: Final = "?"
_INDENT: Final = "  "


def number(value: float | None) -> str:
    """Return ``1,204``, or ``?`` for what is not known."""
    if value is None:
        return UNKNOWN
    return f"{value:,d}" if isinstance(value, int) else f"{value:,g}"


def duration(seconds: float | None) -> str:
    """Return ``0.8 s``, ``3 min 20 s``, ``2 h 5 min`` or ``3 d 4 h``; ``?`` for what is not known."""
    if seconds is None:
        return UNKNOWN
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def plural(count: int, noun: str) -> str:
    """Return ``1 worker`` or ``1,204 workers``."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def listing(items: Sequence[str], most: int) -> str:
    """Return the first `most` items, and how many more there are."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {number(len(items) - most)} more"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Return the lines of a table, indented; the columns `right` are aligned to the right."""
    lines = [header, *rows]
    widths = [max(width(line[column]) for line in lines) for column in range(len(header))]
    aligned = set(right)
    rendered = []
    for line in lines:
        cells = []
        for column, cell in enumerate(line):
            padding = " " * (widths[column] - width(cell))
            cells.append(padding + cell if column in aligned else cell + padding)
        rendered.append((_INDENT + "  ".join(cells)).rstrip())
    return rendered
