"""Cells as HTML: every text is escaped, and what a strict page and a small screen need is there."""

from __future__ import annotations

import pytest
from django.utils.safestring import SafeString, mark_safe

from celery_health.page.blocks import Cell, Column, Row, name, table, without, worst
from celery_health.page.filters import body, cell_of

HOSTILE = "</td><script>alert(1)</script>\"'&"
ESCAPED = "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;"


@pytest.mark.parametrize(
    ("cell", "html"),
    [
        (Cell("1"), "1"),
        (Cell(""), ""),
        (Cell(HOSTILE), ESCAPED),
        (Cell("a", href="?b&c"), '<a href="?b&amp;c">a</a>'),
        (Cell(HOSTILE, href=HOSTILE), f'<a href="{ESCAPED}">{ESCAPED}</a>'),
        (Cell("a", detail=HOSTILE), f'a<span class="detail">{ESCAPED}</span>'),
        # A plot is HTML if it says so itself, and text if not.
        (Cell("a", plot=mark_safe("<svg></svg>")), "<svg></svg> a"),
        (Cell("a", plot=HOSTILE), f"{ESCAPED} a"),
    ],
)
def test_cell__is_html(cell: Cell, html: str) -> None:
    found = cell_of(cell)

    assert found == html
    assert isinstance(found, SafeString)


def test_body__has_roles_titles_and_tones() -> None:
    block = table(
        "t",
        "T",
        (Column("Name"), Column('"Count"', True), Column("State")),
        [
            Row((Cell("a", "good"), Cell("1", "warn"), Cell("x")), "bad"),
            (Cell("b"), Cell("2"), Cell("y", HOSTILE)),
        ],
        "None.",
    )

    assert body(block) == (
        '<tr role="row" class="bad"><th role="rowheader" scope="row" class="good">a</th>'
        '<td role="cell" class="number warn" data-label="&quot;Count&quot;">1</td>'
        '<td role="cell" data-label="State">x</td></tr>\n'
        '<tr role="row"><th role="rowheader" scope="row">b</th>'
        '<td role="cell" class="number" data-label="&quot;Count&quot;">2</td>'
        f'<td role="cell" class="{ESCAPED}" data-label="State">y</td></tr>'
    )


def test_table__without_some_columns() -> None:
    block = table(
        "t", "T", (Column("A"), Column("B"), Column("C")), [(Cell("1"), Cell("2"), Cell("3"))], "None."
    )

    narrow = without(block, "B", "Z")

    assert [column.title for column in narrow.columns] == ["A", "C"]
    assert [cell.text for cell in narrow.rows[0].cells] == ["1", "3"]


@pytest.mark.parametrize(
    ("tones", "kept"),
    [(["", "", "", ""], 2), (["bad", "", "", ""], 2), (["bad", "warn", "bad", ""], 3), ([], 0)],
)
def test_table__of_what_worries_keeps_a_few_of_the_others(tones: list[str], kept: int) -> None:
    rows = [Row((Cell(str(number)),), tone) for number, tone in enumerate(tones)]
    block = table("t", "T", (Column("A"),), rows, "None.")

    few = worst(block, 2)

    assert [row.cells[0].text for row in few.rows] == [str(number) for number in range(kept)]
    # What is left out is said.
    assert few.left_out == len(tones) - kept


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("emails", "emails"),
        # What cannot be seen could not be pressed either.
        ("", "(empty)"),
        ("  ", r"\x20\x20"),
        ("\u3000", r"\u3000"),
        (" a ", " a "),
        ("x" * 200, "x" * 117 + "..."),
        (None, "?"),
    ],
)
def test_name__can_be_seen(value: str | None, text: str) -> None:
    assert name(value).text == text
