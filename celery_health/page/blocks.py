"""What pages are made of: blocks of text, each with a template of its own. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, Final, NamedTuple

from celery_health.text.formats import UNKNOWN
from celery_health.text.printable import printable

#: Rows of a table on a page of its own, and on the overview; the others are found by searching.
MOST_ROWS: Final = 100
MOST_ON_OVERVIEW: Final = 20
#: Without a script a reload takes what stands in the search field.
RELOAD_SECONDS: Final = 30
_NAME_LENGTH: Final = 120


class Cell(NamedTuple):
    """One text, as a part of a table or a list."""

    text: str
    tone: str = ""
    """A CSS class: ``good``, ``warn``, ``bad``, ``quiet``, or nothing."""
    href: str = ""
    """Where it leads; empty for nowhere."""
    plot: str = ""
    """An SVG of `plots`, which stands before the text."""
    detail: str = ""
    """A second, quiet line."""


class Column(NamedTuple):
    """The head of a column."""

    title: str
    is_number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One part of a page."""

    template: ClassVar[str]
    holds_input: ClassVar[bool] = False
    """Somebody types or chooses in it, which a reload would throw away."""

    id: str
    """Of its element; unique on the page."""
    title: str = ""
    """Its heading; empty for none."""
    count: int | None = None
    """How many there are, beside the heading."""
    more: Cell | None = None
    """The link beside the heading, to the page that has every one."""
    json: str = ""
    """The address of the same as JSON."""
    note: str = ""
    """What else is to be known, below; a whole sentence."""


class Row(NamedTuple):
    """One row of a table; a card on a small screen, headed by its first cell."""

    cells: tuple[Cell, ...]
    tone: str = ""
    """``bad`` or ``warn`` for one that worries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table(Block):
    """Rows of things; the first cell of each names it."""

    template: ClassVar[str] = "blocks/table.html"

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    empty: str
    """What to say when there are no rows: a whole sentence."""
    total: int
    """How many rows there are, shown or not."""

    @property
    def left_out(self) -> int:
        """Return how many rows are not shown."""
        return max(0, self.total - len(self.rows))


def table(
    id: str,
    title: str,
    columns: Sequence[Column],
    rows: Iterable[Row | Sequence[Cell]],
    empty: str,
    *,
    most: int = MOST_ROWS,
    total: int | None = None,
    **block: Any,
) -> Table:
    """Return a table of the first rows.

    Args:
        id: of the element.
        title: its heading.
        columns: their heads.
        rows: as many are taken as are shown; an iterator makes no others, of a thousand queues.
        empty: what to say without rows: a whole sentence.
        most: how many rows are shown.
        total: how many there are, where `rows` cannot tell.
        block: what else a block has.
    """
    kept = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in islice(rows, most))
    count = total if total is not None else len(rows) if isinstance(rows, Sized) else len(kept)
    return Table(
        id=id, title=title, columns=tuple(columns), rows=kept, empty=empty, total=count, count=count, **block
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts(Block):
    """Pairs of a name and what is known of it."""

    template: ClassVar[str] = "blocks/facts.html"

    pairs: tuple[tuple[str, Cell], ...]


class Figure(NamedTuple):
    """One large number."""

    label: str
    value: str
    detail: str = ""
    tone: str = ""
    href: str = ""
    plot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures(Block):
    """A few large numbers side by side."""

    template: ClassVar[str] = "blocks/figures.html"

    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot(Block):
    """A plot with the table behind it."""

    template: ClassVar[str] = "blocks/plot.html"

    plot: str
    """An SVG of `plots`."""
    legend: tuple[tuple[str, str], ...] = ()
    """CSS class of a series and its name."""
    behind: Table | None = None
    """The same numbers, folded away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text(Block):
    """Sentences."""

    template: ClassVar[str] = "blocks/text.html"

    lines: tuple[Cell, ...]
    """Small and quiet where they have no tone; ``plain`` is the tone of others."""
    is_folded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Code(Block):
    """Text as it is, such as a traceback or a command, with a button that copies it."""

    template: ClassVar[str] = "blocks/code.html"

    text: str
    is_folded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Html(Block):
    """What another template of ours has rendered."""

    template: ClassVar[str] = "blocks/html.html"

    html: str
    is_kept: bool = False
    """The script fills it by a request of its own, and leaves it alone when it refreshes the rest."""
    is_fresh: bool = False
    """It is filled already: the script need not ask at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything between the frame's head and foot."""

    title: str
    """What it is about: ``Queue emails``; the overview has none."""
    blocks: tuple[Block, ...]
    kind: str = ""
    """The heading's small first line: ``Queue``."""
    status: int = 200
    """Of HTTP: 404 where there is nothing of that name."""
    json: str = ""
    """The address of the same as JSON."""
    refreshes: bool = True
    """It keeps itself up to date; no, where something is typed in."""
    reload_seconds: int = RELOAD_SECONDS
    """How often the browser reloads it where no script runs."""
    asked: str = ""
    """What stands in the search field."""
    leads_to: str = ""
    """Where to go instead; empty for nowhere."""

    @property
    def reloads(self) -> bool:
        """Say whether the browser may reload it where no script runs: nobody has typed anything in it."""
        return self.refreshes and not any(block.holds_input for block in self.blocks)


def name(value: str | None, *, missing: str = UNKNOWN, href: str = "", tone: str = "") -> Cell:
    """Return a name from wherever it came, safe to show and not too long."""
    if value is None:
        return Cell(missing, "quiet")
    shown = printable(value, _NAME_LENGTH) or "(empty)"
    # A name of blanks alone is nothing to see, to hear or to press.
    return Cell(shown if shown.strip() else shown.replace(" ", r"\x20"), tone, href)


def words(value: str) -> str:
    """Return ``not consuming`` for ``not_consuming``."""
    return value.replace("_", " ")


def without(block: Table, *titles: str) -> Table:
    """Return the table without the columns of `titles`; one that it has not is no fault."""
    kept = [place for place, column in enumerate(block.columns) if column.title not in titles]
    return replace(
        block,
        columns=tuple(block.columns[place] for place in kept),
        rows=tuple(row._replace(cells=tuple(row.cells[place] for place in kept)) for row in block.rows),
    )


def worst(block: Table, calm: int) -> Table:
    """Return the table with its rows that worry, which come first; with so many where fewer do."""
    worrying = sum(1 for row in block.rows if row.tone)
    return cut(block, max(worrying, calm))


def cut(block: Table, most: int) -> Table:
    """Return the table with its first rows."""
    return replace(block, rows=block.rows[:most])


def joined(*parts: Block | Iterable[Block] | None) -> tuple[Block, ...]:
    """Return the blocks in their order, without those that are None."""
    found: list[Block] = []
    for part in parts:
        if isinstance(part, Block):
            found.append(part)
        elif part is not None:
            found.extend(part)
    return tuple(found)
