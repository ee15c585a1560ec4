"""Plots: what they say in words, what is seen without colour, and that no number or text breaks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.utils.safestring import SafeString, mark_safe

from celery_health.page import plots
from celery_health.page.plots import (
    KINDS,
    Kind,
    Part,
    Piece,
    Series,
    columns,
    dots,
    legend,
    pattern_defs,
    slots,
    sparkline,
    stacked_bar,
    strip,
)

HOSTILE = '"><script>alert(1)</script>\x1b[31m\u202e{{ x }}{0}' + "x" * 3000
CSS = Path(plots.__file__).parent.joinpath("files", "plots.css").read_text("utf-8")
HUGE = 10**400


def element(html: str) -> ElementTree.Element:
    """Parse what is well-formed XML, too."""
    return ElementTree.fromstring(html)


def name(html: str) -> str:
    """Return what a screen reader says."""
    found = re.search(r'aria-label="([^"]*)"', html)
    assert found is not None, html
    return found[1]


def rects(html: str) -> list[tuple[str, float, float]]:
    """Return the kind, left and width of each box."""
    return [
        (each.get("class", ""), float(each.get("x", "0")), float(each.get("width", "nan")))
        for each in element(html).iter("rect")
    ]


def path_of(html: str, kind: str) -> str:
    return next((each.get("d", "") for each in element(html).iter("path") if each.get("class") == kind), "")


# Words: one row each of what a plot says.


@pytest.mark.parametrize(
    ("plot", "said"),
    [
        (
            stacked_bar([Part(kind="ok", count=1204), Part(kind="bad", count=3)]),
            "Outcomes: 3 failed, 1,204 succeeded",
        ),
        (stacked_bar([Part(kind="ok", count=0)]), "Outcomes: 0 succeeded"),
        (stacked_bar([]), "Outcomes: none"),
        # Unknown is no 0, and no mark that nobody reads aloud.
        (
            stacked_bar([Part(kind="bad", count=None), Part(kind="ok", count=5)], what="pay"),
            "pay: not known how many failed, 5 succeeded",
        ),
        (stacked_bar([Part(kind="lost", count=2, label="of no known task")]), "Outcomes: 2 of no known task"),
        (slots(3, 8), "Slots: 3 busy of 8"),
        (slots(0, 0), "Slots: 0 busy of 0"),
        (slots(None, 8), "Slots: not known how many busy of 8"),
        (slots(3, None), "Slots: 3 busy of not known how many"),
        (slots(9, 8), "Slots: 9 busy of 8"),
        (sparkline([]), "Over time: not known"),
        (sparkline([None, None]), "Over time: not known"),
        (sparkline([0, 0]), "Over time: now 0, lowest 0, highest 0"),
        (
            sparkline([1, None, 4], what="Waiting", unit="messages"),
            "Waiting: now 4, lowest 1, highest 4 messages, 1 of 3 not known",
        ),
        (
            sparkline([2, None]),
            "Over time: now not known how many, lowest 2, highest 2, 1 of 2 not known",
        ),
        (
            columns([Series(kind="ok", values=[1, 2, 0]), Series(kind="bad", values=[0, 1, 0])]),
            "Runs per minute: 1 failed, 3 succeeded, most in a minute 3",
        ),
        (
            columns([Series(kind="ok", values=[1, None]), Series(kind="bad", values=[None, None])]),
            "Runs per minute: not known how many failed, 1 succeeded, most in a minute 1, "
            "2 of 2 minutes not known",
        ),
        (columns([]), "Runs per minute: not known"),
        (columns([Series(kind="ok", values=[None])]), "Runs per minute: not known"),
        (columns([Series(kind="ok", values=[])]), "Runs per minute: not known"),
        (dots(["ok", "ok", "bad"]), "Last runs: 1 failed, 2 succeeded, the last one failed"),
        (dots([]), "Last runs: none"),
        (
            strip([Piece(kind="ok", weight=4, label="4 min"), Piece(kind="unknown", weight=1, label="?")]),
            "Over time: 4 min, ?",
        ),
        (strip([]), "Over time: not known"),
    ],
)  # fmt: skip
def test_plot__says_its_numbers_in_words(plot: SafeString, said: str) -> None:
    assert name(plot) == said
    svg = next(element(plot).iter("svg"))
    assert svg.get("role") == "img"
    assert svg[0].tag == "title"
    assert said.endswith(f": {svg[0].text}")


# Geometry


@pytest.mark.parametrize(
    ("counts", "widths"),
    [
        # One unit lies between neighbours.
        ([1, 1], [119, 120]),
        ([1, 10**9], [2.1, 236.9]),
        ([1, 1, 10**9], [2.1, 2.1, 233.8]),
        # What is zero takes no place.
        ([0, 7], [240]),
        ([7, 0], [240]),
        ([HUGE, HUGE], [119, 120]),
        ([1, HUGE], [2.1, 236.9]),
    ],
)
def test_stacked_bar__shows_each_share_however_small(counts: list[int], widths: list[float]) -> None:
    found = rects(stacked_bar([Part(kind="ok", count=count) for count in counts]))

    assert [width for _, _, width in found] == pytest.approx(widths, abs=0.11)
    assert all(width >= 2 for _, _, width in found)
    assert found[-1][1] + found[-1][2] == pytest.approx(240)


def test_stacked_bar__gives_more_parts_than_there_is_room_for_what_there_is() -> None:
    found = rects(stacked_bar([Part(kind="ok", count=1 + n) for n in range(400)], total_width=100))

    assert len(found) == 400
    assert found[-1][1] + found[-1][2] == pytest.approx(100)


def test_stacked_bar__begins_with_what_failed() -> None:
    parts = [Part(kind=kind, count=1) for kind in reversed(KINDS)]

    assert [kind for kind, _, _ in rects(stacked_bar(parts))] == list(KINDS)


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (None, [("unknown", 0, 47), ("ok", 48, 192)]),
        (0, [("ok", 0, 240)]),
    ],
)
def test_stacked_bar__hatches_what_is_not_known(
    failed: int | None, expected: list[tuple[str, float, float]]
) -> None:
    assert rects(stacked_bar([Part(kind="ok", count=9), Part(kind="bad", count=failed)])) == expected


@pytest.mark.parametrize(
    ("busy", "total", "cells"),
    [
        (3, 8, {"busy": 3, "idle": 5}),
        (0, 2, {"busy": 0, "idle": 2}),
        (20, 20, {"busy": 20, "idle": 0}),
        # More than there are: a pool that shrinks.
        (5, 4, {"busy": 4, "idle": 0}),
        (0, 0, {"busy": 0, "idle": 0}),
    ],
)
def test_slots__are_cells(busy: int, total: int, cells: dict[str, int]) -> None:
    plot = slots(busy, total)

    assert {kind: path_of(plot, kind).count("z") for kind in cells} == cells


def test_slots__are_a_bar_where_nobody_could_count_them() -> None:
    assert rects(slots(50, 200)) == [("busy", 0, 49), ("idle", 50, 150)]
    assert rects(slots(0, 21)) == [("idle", 0, 200)]


@pytest.mark.parametrize(("busy", "total"), [(None, 8), (3, None), (None, None), (None, 400)])
def test_slots__that_are_not_known_are_hatched(busy: int | None, total: int | None) -> None:
    assert [kind for kind, _, _ in rects(slots(busy, total))] == ["unknown"]


@pytest.mark.parametrize(
    ("values", "line", "gaps"),
    [
        ([0, 1], "M0.5 23h0l1-22", ""),
        # A gap is a gap: the line does not pass it, and a lone value is a dot.
        ([2, None, 2], "M0.5 1h0M2.5 1h0", "M1 0H2v24H1z"),
        ([0, 0], "M0.5 23h0l1 0", ""),
        ([5], "M0.5 1h0", ""),
        ([None], "", "M0 0H1v24H0z"),
        ([float("nan"), 1.5], "M1.5 1h0", "M0 0H1v24H0z"),
        ([float("inf"), -1, 10**9], "M2.5 1h0", "M0 0H2v24H0z"),
        ([], "", "M0 0H60v24H0z"),
    ],
)
def test_sparkline__is_a_line_with_gaps(values: list[float | None], line: str, gaps: str) -> None:
    plot = sparkline(values)

    assert path_of(plot, "line") == line
    assert path_of(plot, "unknown") == gaps


def test_columns__stand_on_what_failed() -> None:
    plot = columns([Series(kind="ok", values=[6, 0]), Series(kind="bad", values=[2, 0])])

    assert path_of(plot, "bad") == "M4 64v-16"
    assert path_of(plot, "ok") == "M4 48v-47"


def test_columns__show_one_failure_beside_a_thousand_million_runs() -> None:
    plot = columns([Series(kind="ok", values=[10**9, 0]), Series(kind="bad", values=[1, 1])])

    assert path_of(plot, "bad") == "M4 64v-3M12 64v-3"


def test_columns__hatch_a_minute_of_which_something_is_not_known() -> None:
    plot = columns([Series(kind="ok", values=[1, 1, None]), Series(kind="bad", values=[1, None])])

    # The shorter one began later.
    assert path_of(plot, "unknown") == "M4 64V0M20 64V0"
    assert path_of(plot, "bad") == "M12 64v-32"


def test_columns__name_the_first_the_highest_and_the_last() -> None:
    plot = columns([Series(kind="ok", values=[1204] * 60)], now="14:05")

    axis = next(element(plot).iter("p"))
    assert [span.text for span in axis.iter("span")] == ["60 min ago", "most 1,204 a minute", "14:05"]


def test_strip__is_as_long_as_its_weights_and_leads_where_it_should() -> None:
    plot = strip(
        [
            Piece(kind="ok", weight=30, label="healthy for 30 min", href="?at=1"),
            Piece(kind="unknown", weight=10, label="nobody looked for 10 min"),
            Piece(kind="bad", weight=0, label="never"),
        ]
    )

    assert rects(plot) == [("ok", 0, 359), ("unknown", 360, 120)]
    links = list(element(plot).iter("a"))
    assert [(link.get("href"), link.get("aria-label")) for link in links] == [("?at=1", "healthy for 30 min")]
    assert [title.text for title in element(plot).iter("title")][1:] == [
        "healthy for 30 min",
        "nobody looked for 10 min",
    ]
    # A reader does not look into a picture.
    assert element(plot).get("role") == "group"


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "https://elsewhere.example/", "",
     "//elsewhere.example/", "/\\elsewhere.example/", "data:text/html,x", "\x01javascript:alert(1)", "http://["],
)  # fmt: skip
def test_strip__leads_to_no_other_place(href: str) -> None:
    plot = strip([Piece(kind="ok", weight=1, label="x", href=href)])

    assert "<a" not in plot
    assert element(plot).get("role") == "img"


def test_dots__have_a_shape_of_their_own() -> None:
    shapes = {kind: path_of(dots([kind]), kind) for kind in KINDS}

    assert len(set(shapes.values())) == len(KINDS)
    assert path_of(dots(["ok", "bad"]), "bad") == "M12 2l6 6m0-6l-6 6"


def test_dots__of_many_are_the_last_ones() -> None:
    plot = dots(["bad"] + ["ok"] * 100)

    assert path_of(plot, "bad") == ""
    assert path_of(plot, "ok").count("M") == 60
    assert name(plot).startswith("Last runs: 1 failed, 100 succeeded")


# All of them


ALL: dict[str, Callable[[str], SafeString]] = {
    "bar": lambda text: stacked_bar([Part(kind=kind, count=1, label=text) for kind in KINDS], what=text),
    "slots": lambda text: slots(1, 2, what=text),
    "strip": lambda text: strip([Piece(kind=k, weight=1, label=text, href=text) for k in KINDS], what=text),
    "link": lambda text: strip([Piece(kind="ok", weight=1, label=text, href="?q=" + text)], what=text),
    "sparkline": lambda text: sparkline([1, None], what=text, unit=text),
    "columns": lambda text: columns([Series(kind="ok", values=[1, 2], label=text)], what=text, now=text),
    "dots": lambda text: dots(list(KINDS), what=text),
    "legend": lambda text: legend(KINDS, {"ok": text}),
    "patterns": lambda text: pattern_defs(),
}


@pytest.mark.parametrize("plot", ALL.values(), ids=ALL)
@pytest.mark.parametrize(
    "text", [HOSTILE, mark_safe(HOSTILE), "", "ünï \u4e00"], ids=["hostile", "safe", "none", "any"]
)
def test_plot__is_well_formed_whatever_the_text(plot: Callable[[str], SafeString], text: str) -> None:
    html = plot(text)

    assert isinstance(html, SafeString)
    root = element(html)
    assert not {each.tag for each in root.iter()} & {"script", "style", "image", "use", "foreignObject"}
    assert not {key for each in root.iter() for key in each.attrib if key == "style" or key.startswith("on")}
    assert html.isprintable()
    assert len(html) < 6_000
    assert "nan" not in html.lower()


@pytest.mark.parametrize("kind", KINDS)
def test_plot__knows_each_kind(kind: Kind) -> None:
    assert f".plot .{kind}" in CSS or kind == "busy"
    if kind not in ("ok", "busy", "idle"):
        # Told apart without colour.
        assert f'id="plot-{kind}"' in pattern_defs()
        assert f"url(#plot-{kind})" in stacked_bar([Part(kind=kind, count=1)])


def test_plots__stay_small() -> None:
    hour = [(7 * minute) % 1000 + 100 for minute in range(60)]
    counts = (("ok", 1_000_000), ("bad", 1_000), ("retry", 1_000), ("lost", 1_000), ("unknown", None))

    assert len(columns([Series(kind=k, values=hour) for k in ("ok", "bad", "retry")])) <= 3_000
    assert len(stacked_bar([Part(kind=kind, count=count) for kind, count in counts[:3]])) <= 600  # type: ignore[arg-type]
    assert len(path_of(sparkline([hour[(m * 31) % 60] for m in range(60)]), "line")) <= 500
    assert len(slots(10, 20)) <= 600
    assert len(pattern_defs()) <= 1_500


def test_plots__coordinates_have_one_decimal_at_most() -> None:
    drawn = [
        stacked_bar([Part(kind=kind, count=7**n) for n, kind in enumerate(KINDS)]),
        strip([Piece(kind="ok", weight=n / 7, label="") for n in range(1, 50)]),
        columns([Series(kind=kind, values=[n % 7 for n in range(60)]) for kind in KINDS]),
        sparkline([n / 7 for n in range(60)]),
        dots(list(KINDS)),
    ]

    geometry = [value for html in drawn for value in re.findall(r'(?:d|x|width|viewBox)="([^"]*)"', html)]
    assert len(geometry) > 100
    assert [value for value in geometry if re.search(r"\.\d{2}", value)] == []


def test_stacked_bar__whose_numbers_stand_beside_it_is_not_read_twice() -> None:
    plot = stacked_bar([Part(kind="ok", count=5)], is_told=True)

    assert element(plot).get("aria-hidden") == "true"
    assert not {"role", "aria-label"} & set(element(plot).attrib)
    assert "title" not in {each.tag for each in element(plot).iter()}
    assert rects(plot) == rects(stacked_bar([Part(kind="ok", count=5)]))
