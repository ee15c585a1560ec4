"""Tables of text, and what goes into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from celery_health.text.formats import UNKNOWN
from celery_health.text.printable import printable

#: Rows of each table; the resources have them all.
MOST_ROWS: Final = 100
_NAME_LENGTH: Final = 120


class Cell(NamedTuple):
    """One cell."""

    text: str
    tone: str = ""
    """CSS classes: ``good``, ``warn``, ``bad``, ``quiet``, or nothing; ``number`` comes with its column."""


class Column(NamedTuple):
    """The head of a column."""

    title: str
    is_number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One table."""

    id: str
    title: str
    resource: str | None
    """The URL name of the resource that has every row."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str
    """What to say when there are no rows."""
    total: int
    """How many rows there are, shown or not."""
    note: str = ""
    """What else is to be known of them."""

    @property
    def left_out(self) -> int:
        """Return how many rows are not shown."""
        return max(0, self.total - len(self.rows))


def section(
    id: str,
    title: str,
    resource: str | None,
    columns: tuple[Column, ...],
    rows: Sequence[tuple[Cell, ...]],
    empty: str,
    *,
    total: int | None = None,
    note: str = "",
) -> Section:
    """Return a table of the first rows; `total` is how many there are, where not all were handed in."""
    return Section(
        id=id,
        title=title,
        resource=resource,
        columns=columns,
        rows=tuple(_aligned(row, columns) for row in rows[:MOST_ROWS]),
        empty=empty,
        total=len(rows) if total is None else total,
        note=note,
    )


def _aligned(row: tuple[Cell, ...], columns: tuple[Column, ...]) -> tuple[Cell, ...]:
    return tuple(
        cell._replace(tone=f"{cell.tone} number".strip()) if column.is_number else cell
        for cell, column in zip(row, columns, strict=True)
    )


def name(value: str | None, *, missing: str = UNKNOWN) -> Cell:
    """Return a name from wherever it came, safe to show and not too long."""
    return Cell(missing, "quiet") if value is None else Cell(printable(value, _NAME_LENGTH))


def words(value: str) -> str:
    """Return ``not consuming`` for ``not_consuming``."""
    return value.replace("_", " ")
