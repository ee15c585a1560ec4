"""Draw small plots as SVG: numbers seen at once, read aloud in words, and told apart without colour.

A kind is one colour everywhere, and has a pattern or a shape of its own; failures come first, at the bottom
or at the left. What is not known is hatched, never drawn as 0. Geometry stands in attributes and colours in
``plots.css``, so that a page's policy need allow nothing inline. Patterns stand once a page: `pattern_defs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from celery_health.page.shapes import (
    KINDS,
    PAINT,
    WORDS,
    Kind,
    address_of,
    known,
    legend,
    pattern_defs,
    row,
    shares,
    svg,
    text,
)
from celery_health.text.formats import number
from celery_health.text.printable import printable

__all__ = [
    "KINDS",
    "WORDS",
    "Kind",
    "Part",
    "Piece",
    "Series",
    "columns",
    "dots",
    "legend",
    "pattern_defs",
    "slots",
    "sparkline",
    "stacked_bar",
    "strip",
]

_BAR: Final = 10
_STRIP: Final = 16
_SPARK: Final = 24
#: Height of a plot of columns, and width of one with the space beside it.
_COLUMNS: Final = 64
_COLUMN: Final = 8
#: How many minutes a plot has, of which nothing is known.
_MINUTES: Final = 60
#: Width of a cell or a dot with the space beside it.
_CELL: Final = 10
_MOST_SLOTS: Final = 20
_MOST_DOTS: Final = 60
#: The shape of a dot in a cell of ten units, after the tens of its place, and whether it is a line.
_SHAPES: Final[dict[Kind, tuple[str, bool]]] = {
    "bad": ("M{0}2 2l6 6m0-6l-6 6", True),
    "lost": ("M{0}2 2h6v6h-6z", False),
    "retry": ("M{0}5 1l4 7h-8z", False),
    "ok": ("M{0}1 5a4 4 0 0 0 8 0a4 4 0 0 0-8 0", False),
    "busy": ("M{0}1 3h8v4h-8z", False),
    "idle": ("M{0}3 5h4", True),
    "unknown": ("M{0}1.5 5a3.5 3.5 0 0 0 7 0a3.5 3.5 0 0 0-7 0", True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One share of a bar."""

    kind: Kind
    count: int | None
    """None is not known, and hatched."""
    label: str = ""
    """In words, after the count; empty for the kind's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The counts of one kind, minute by minute, the oldest first."""

    kind: Kind
    values: Sequence[int | None]
    """None is a minute of which nothing is known."""
    label: str = ""
    """In words, after the count; empty for the kind's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One stretch of a strip."""

    kind: Kind
    weight: float
    """Its length beside the others', in any unit."""
    label: str
    """In words, with its length: ``ready for 40 min``."""
    href: str | None = None
    """Where the piece leads to, on this host."""


def stacked_bar(
    parts: Iterable[Part], total_width: int = 240, *, what: str = "Outcomes", is_told: bool = False
) -> SafeString:
    """Return one horizontal bar of shares.

    Args:
        parts: of any order: they are stacked in that of `KINDS`.
        total_width: units; the bar is stretched to the width that there is.
        what: is said before the numbers.
        is_told: the numbers stand beside it, and nobody need hear them twice.
    """
    ordered = sorted(parts, key=lambda part: KINDS.index(part.kind))
    counts = [known(part.count) for part in ordered]
    words = [_told(count, part) for count, part in zip(counts, ordered, strict=True)] or ["none"]
    if all(count == 0 for count in counts):
        body = row(["idle"], [total_width], _BAR)
    else:
        # How large an unknown share is, nobody knows: it takes a fifth, or all where there is no other.
        total = sum(count for count in counts if count is not None)
        # No quotient: the counts may be integers beyond any float.
        sizes = [total or 1 if count is None else 4 * count for count in counts]
        kinds = [
            part.kind if count is not None else "unknown" for count, part in zip(counts, ordered, strict=True)
        ]
        body = row(kinds, shares(sizes, total_width), _BAR)
    return svg("bar", (total_width, _BAR), what, words, body, is_told=is_told)


def slots(busy: int | None, total: int | None, *, what: str = "Slots", is_told: bool = False) -> SafeString:
    """Return a strip of cells, so many of them busy; a bar where there are too many to be counted.

    `is_told`: the numbers stand beside it, and nobody need hear them twice.
    """
    busy, total = known(busy), known(total)
    words = [f"{_or_words(busy)} busy of {_or_words(total)}"]
    if busy is None or total is None:
        # As long as it would be, where that is known.
        width = _CELL * (total if total and total <= _MOST_SLOTS else _MOST_SLOTS // 4)
        body = row(["unknown"], [width], _BAR)
    elif total > _MOST_SLOTS:
        width = _CELL * _MOST_SLOTS
        body = row(["busy", "idle"], shares([min(busy, total), max(0, total - busy)], width), _BAR)
    else:
        width = max(1, _CELL * total)
        body = _cells("busy", range(min(busy, total))) + _cells("idle", range(min(busy, total), total))
    return svg("slots", (width, _BAR), what, words, body, stretched=False, is_told=is_told)


def _cells(kind: Kind, places: range) -> SafeString:
    path = "".join(f"M{_CELL * place + 1} 1h8v8h-8z" for place in places)
    return (
        format_html('<path class="{}" fill="{}" d="{}"/>', kind, PAINT[kind], path)
        if path
        else SafeString("")
    )


def strip(pieces: Iterable[Piece], total_width: int = 480, *, what: str = "Over time") -> SafeString:
    """Return pieces in a row, the oldest first, each as long as its weight; some may be links."""
    drawn = [piece for piece in pieces if known(piece.weight)]
    links = [(piece.label, address_of(piece.href)) for piece in drawn]
    if drawn:
        widths = shares([piece.weight for piece in drawn], total_width)
        body = row([piece.kind for piece in drawn], widths, _STRIP, links)
    else:
        body = row(["unknown"], [total_width], _STRIP)
    # What stands within a picture cannot be reached by keyboard or reader: with links in it, it is a group.
    role = "group" if any(address for _, address in links) else "img"
    words = [printable(piece.label, 80) for piece in drawn]
    return svg("strip", (total_width, _STRIP), what, words, body, role=role)


def sparkline(
    values: Sequence[float | None], *, what: str = "Over time", unit: str = "", last: str = "now"
) -> SafeString:
    """Return a line through `values`, the oldest first, from 0 up; None leaves a gap, which is hatched.

    Args:
        values: the last is said first, as what there is `last`.
        what: is said before the numbers.
        unit: is said after the highest.
        last: what the last value is of.
    """
    counts = [known(value) for value in values] or [None] * _MINUTES
    told = [count for count in counts if count is not None]
    most = max(told, default=0) or 1
    line, before = "", None
    gaps: list[tuple[int, int]] = []
    for place, count in enumerate(counts):
        if count is None:
            # One gap is one box, however long.
            start = gaps.pop()[0] if gaps and gaps[-1][1] == place else place
            gaps.append((start, place + 1))
            before = None
            continue
        height = _SPARK - 1 - round(count / most * (_SPARK - 2))
        # A value between two gaps is a line of no length: its ends are round, so that it is a dot.
        line += f"M{place}.5 {height}h0" if before is None else f"l1{height - before:+d}".replace("+", " ")
        before = height
    words = []
    if told:
        words = [
            f"{last} {_or_words(counts[-1])}",
            f"lowest {_or_words(min(told))}",
            f"highest {_or_words(max(told))}",
        ]
        words[-1] += f" {unit}" if unit else ""
        if len(told) < len(counts):
            words.append(f"{number(len(counts) - len(told))} of {number(len(counts))} not known")
    hatched = "".join(f"M{start} 0H{end}v{_SPARK}H{start}z" for start, end in gaps)
    paths = (("unknown", PAINT["unknown"], "none", hatched), ("line", "none", "currentColor", line))
    body = format_html_join(
        "", '<path class="{}" fill="{}" stroke="{}" d="{}"/>', (path for path in paths if path[-1])
    )
    return svg("spark", (len(counts), _SPARK), what, words, body)


def columns(series: Iterable[Series], *, what: str = "Runs per minute", now: str = "now") -> SafeString:
    """Return stacked columns, one a minute up to `now`, with the first, the highest and the last in words."""
    ordered = sorted(series, key=lambda one: KINDS.index(one.kind))
    minutes = max((len(one.values) for one in ordered), default=0) or _MINUTES
    filled = [_filled(one.values, minutes) for one in ordered]
    by_minute = list(zip(*filled, strict=True)) or [(None,)] * minutes
    totals = [total for total in map(_total, by_minute) if total is not None]
    most = max(totals, default=0)
    words = []
    if totals:
        words = [_told(_total(counts), one) for counts, one in zip(filled, ordered, strict=True)]
        words.append(f"most in a minute {number(most)}")
        unknown = sum(None in counts for counts in by_minute)
        if unknown:
            words.append(f"{number(unknown)} of {number(minutes)} minutes not known")
    paths = _stacked(by_minute, most, [one.kind for one in ordered])
    width = _COLUMN * minutes
    body = format_html(
        '<path class="axis" stroke="currentColor" d="M0 {}h{}"/><g fill="none" stroke-width="{}">{}</g>',
        _COLUMNS,
        width,
        _COLUMN - 2,
        format_html_join(
            "",
            '<path class="{}" stroke="{}" d="{}"/>',
            ((kind, PAINT[kind], paths[kind]) for kind in reversed(KINDS) if kind in paths),
        ),
    )
    return format_html(
        '<div class="plot-frame">{}<p class="plot-axis" aria-hidden="true"><span>{} min ago</span> '
        "<span>{}</span> <span>{}</span></p></div>",
        svg("columns", (width, _COLUMNS), what, words, body),
        number(minutes),
        f"most {number(most)} a minute" if totals else WORDS["unknown"],
        text(now),
    )


def _filled(values: Sequence[int | None], minutes: int) -> list[int | None]:
    """Return a value for each minute: a shorter series began later."""
    return [*[None] * (minutes - len(values)), *(known(value) for value in values)]


def _stacked(by_minute: Sequence[Sequence[int | None]], most: int, kinds: Sequence[Kind]) -> dict[Kind, str]:
    """Return the path of each kind: one stroke upwards a minute, on those of the kinds before."""
    paths: dict[Kind, str] = {}
    for minute, counts in enumerate(by_minute):
        middle = _COLUMN * minute + _COLUMN // 2
        if None in counts:
            paths["unknown"] = paths.get("unknown", "") + f"M{middle} {_COLUMNS}V0"
        sizes = [count or 0 for count in counts]
        total = sum(sizes)
        if not total:
            continue
        # A minute with little beside the highest is still seen, and all that is in it.
        room = max(total / most * (_COLUMNS - 1), 3.0 * sum(1 for size in sizes if size))
        bottom = 0.0
        for kind, height in zip(kinds, shares(sizes, room), strict=True):
            if height:
                top = bottom + height
                start = _COLUMNS - round(bottom)
                paths[kind] = paths.get(kind, "") + f"M{middle} {start}v{_COLUMNS - round(top) - start}"
                bottom = top
    return paths


def dots(outcomes: Sequence[Kind], *, what: str = "Last runs") -> SafeString:
    """Return a row of dots, the oldest first, each of the shape of its outcome; of many the last ones."""
    shown = outcomes[-_MOST_DOTS:]
    counted = Counter(outcomes)
    words = [f"{number(counted[kind])} {WORDS[kind]}" for kind in KINDS if counted[kind]] or ["none"]
    paths: dict[Kind, str] = {}
    for place, kind in enumerate(shown):
        paths[kind] = paths.get(kind, "") + _SHAPES[kind][0].format(place or "")
    body = format_html_join(
        "",
        '<path class="{}" fill="{}" stroke="{}" d="{}"/>',
        (
            (kind, "none", "currentColor", path) if _SHAPES[kind][1] else (kind, "currentColor", "none", path)
            for kind, path in paths.items()
        ),
    )
    if shown:
        words.append(f"the last one {WORDS[shown[-1]]}")
    return svg("dots", (max(1, _CELL * len(shown)), _CELL), what, words, body, stretched=False)


def _told(count: int | None, of: Part | Series) -> str:
    return f"{_or_words(count)} {of.label or WORDS[of.kind]}"


def _or_words(count: float | None) -> str:
    """Return a number; what is not known in words, since a mark is not read aloud."""
    return (
        "not known how many"
        if count is None
        else number(count if isinstance(count, int) else round(count, 2))
    )


def _total(counts: Iterable[int | None]) -> int | None:
    """Return the sum of what is known, and None where nothing is."""
    told = [count for count in counts if count is not None]
    return sum(told) if told else None
