"""What plots are drawn of: kinds and their patterns, shares of a width, boxes, the frame with its words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeVar, get_args

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from celery_health.text.formats import listing
from celery_health.text.printable import printable

_Number = TypeVar("_Number", int, float)
Kind = Literal["bad", "lost", "retry", "ok", "busy", "idle", "unknown"]
#: In this order they are stacked, from the bottom or from the left.
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
WORDS: Final[Mapping[Kind, str]] = {
    "bad": "failed",
    "lost": "lost",
    "retry": "retried",
    "ok": "succeeded",
    "busy": "busy",
    "idle": "idle",
    "unknown": "not known",
}
#: What each is filled with; where a page has forgotten the patterns, their colours still show.
PAINT: Final[Mapping[Kind, str]] = {
    "bad": "url(#plot-bad) currentColor",
    "lost": "url(#plot-lost) currentColor",
    "retry": "url(#plot-retry) currentColor",
    "ok": "currentColor",
    "busy": "currentColor",
    "idle": "none",  # an outline, drawn by the style
    "unknown": "url(#plot-unknown) currentColor",
}
#: Kind, size, turn, line, width of the line, and tint of what lies between the lines.
_PATTERNS: Final = (
    ("bad", 4, "rotate(45)", "M0 1.5h4", 2.4, 0.45),
    ("lost", 4, "rotate(0)", "M0 2h4M2 0v4", 1.4, 0.3),
    ("retry", 4, "rotate(0)", "M0 1h4", 2, 0.4),
    ("unknown", 6, "rotate(-45)", "M0 3h6", 1.2, 0.08),
)
#: What is there is seen, however small its share: 2 units beside a gap, edges rounded to a tenth.
_LEAST: Final = 3.1
#: Between neighbours, so that they are told apart without colour where there is no room for a pattern.
_GAP: Final = 1
_MOST_WORDS: Final = 12
_MOST_LABEL: Final = 120


def pattern_defs() -> SafeString:
    """Return the patterns of all plots: once on each page with a plot, outside of what is replaced."""
    patterns = format_html_join(
        "",
        '<pattern id="plot-{0}" class="{0}" width="{1}" height="{1}" patternUnits="userSpaceOnUse" '
        'patternTransform="{2}"><rect width="{1}" height="{1}" fill="currentColor" fill-opacity="{5}"/>'
        '<path d="{3}" stroke="currentColor" stroke-width="{4}"/></pattern>',
        _PATTERNS,
    )
    return format_html(
        '<svg class="plot plot-defs" width="0" height="0" aria-hidden="true" focusable="false">'
        "<defs>{}</defs></svg>",
        patterns,
    )


def legend(kinds: Iterable[Kind], words: Mapping[Kind, str] | None = None) -> SafeString:
    """Return a list of what each of `kinds` looks like; `words` in the place of a kind's own."""
    told, wanted = {**WORDS, **(words or {})}, set(kinds)
    items = format_html_join(
        "",
        '<li><svg class="plot plot-key" viewBox="0 0 12 12" aria-hidden="true" focusable="false">{}</svg> '
        "{}</li>",
        ((row([kind], [12], 12), text(told[kind])) for kind in KINDS if kind in wanted),
    )
    return format_html('<ul class="plot-legend">{}</ul>', items)


def known(value: _Number | None) -> _Number | None:
    """Return the number, or None for what is none: unknown, not finite, or below zero."""
    # An integer may be beyond any float, and is finite.
    return (
        value
        if value is not None and (isinstance(value, int) or math.isfinite(value)) and value >= 0
        else None
    )


def shares(sizes: Sequence[float], room: float) -> list[float]:
    """Divide `room` in proportion to `sizes`: nothing for 0, and for all else enough to be seen."""
    total = sum(sizes)
    if not total:
        return [0.0] * len(sizes)
    least = min(_LEAST, room / sum(1 for size in sizes if size))
    # The sizes may be integers beyond any float: their quotient is not.
    widths = [max(least, size / total * room) if size else 0.0 for size in sizes]
    over = sum(widths) - room
    spare = sum(width - least for width in widths if width)
    factor = 1 - over / spare if spare > 0 else 1
    return [least + (width - least) * factor if width else 0.0 for width in widths]


def row(
    kinds: Iterable[Kind],
    widths: Iterable[float],
    height: float,
    links: Iterable[tuple[str, str | None]] | None = None,
) -> SafeString:
    """Return boxes side by side, without those of no width; `links` are a title and an address of each."""
    boxes, left, placed = [], 0.0, list(widths)
    end = sum(placed)
    gap = _GAP if all(not width or width >= _LEAST for width in placed) else 0
    titles = iter(links) if links is not None else None
    for kind, width in zip(kinds, placed, strict=True):
        title, address = next(titles) if titles is not None else ("", None)
        right = left + width
        if width:
            start = round(left, 1)
            is_last = end - right < _LEAST / 2
            box = _box(kind, start, round(right, 1) - start - (0 if is_last else gap), height, title)
            boxes.append((box if address is None else _linked(box, address, title),))
        left = right
    return format_html_join("", "{}", boxes)


def _box(kind: Kind, left: float, width: float, height: float, title: str) -> SafeString:
    place = format_html('x="{}" ', tenth(left)) if left else ""
    tip = format_html("<title>{}</title>", text(title)) if title else ""
    return format_html(
        '<rect class="{}" fill="{}" {}width="{}" height="{}">{}</rect>'
        if tip
        else '<rect class="{}" fill="{}" {}width="{}" height="{}"{}/>',
        kind,
        PAINT[kind],
        place,
        tenth(width),
        height,
        tip,
    )


def _linked(box: SafeString, address: str, title: str) -> SafeString:
    return format_html('<a href="{}" aria-label="{}">{}</a>', text(address, 2000), text(title), box)


def address_of(href: str | None) -> str | None:
    """Return `href` if it leads to this host, and None for any other: a plot leads nowhere else."""
    if not href or not href.isprintable() or "\\" in href:
        return None
    address = href.strip()
    # A colon before anything else of an address ends a scheme, and two slashes begin a host.
    is_elsewhere = address.startswith("//") or ":" in re.split("[/?#]", address, maxsplit=1)[0]
    return None if is_elsewhere else address


def tenth(value: float) -> str:
    """Return a coordinate with one decimal at most."""
    return f"{round(value, 1):.10g}"


def text(value: str, most: int = _MOST_LABEL) -> SafeString:
    """Return any text, printable and escaped, whatever it says of itself."""
    return escape(printable(value, most))


def svg(
    name: str,
    size: tuple[float, float],
    what: str,
    words: Sequence[str],
    body: SafeString,
    *,
    stretched: bool = True,
    role: str = "img",
    is_told: bool = False,
) -> SafeString:
    """Return a plot with its name in words, unless they stand beside it (`is_told`).

    It is `stretched` to the width that there is, else as it is.
    """
    shape = format_html(
        '<svg class="plot plot-{}" viewBox="0 0 {} {}" preserveAspectRatio="{}"',
        name,
        *size,
        "none" if stretched else "xMinYMid",
    )
    if is_told:
        return format_html('{} aria-hidden="true">{}</svg>', shape, body)
    numbers = text(listing(list(words), _MOST_WORDS), 1000) if words else text(WORDS["unknown"])
    return format_html(
        '{} role="{}" aria-label="{}: {}"><title>{}</title>{}</svg>',
        shape,
        role,
        text(what),
        numbers,
        numbers,
        body,
    )
