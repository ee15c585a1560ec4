"""What templates of pages cannot do, or would do too slowly: the cells of tables are most of a page.

Registered as built in by `celery_health.page.rendering`: templates need not load it.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from django.template import Library
from django.utils.safestring import SafeString, mark_safe

from celery_health.page.blocks import Cell, Column, Row, Table
from celery_health.text.formats import number

register = Library()
# As all other numbers, whatever the project's language is: the words around them are English.
register.filter("number", number)


@register.filter
def body(table: Table) -> SafeString:
    """Return the rows of a table as HTML; every text is escaped.

    Cells have roles, since small screens show them as cards, and browsers then take them for no table; and
    the titles of their columns, which stand before them there.
    """
    titles = [_escaped(column.title) for column in table.columns]
    return mark_safe("\n".join(_row(row, table.columns, titles) for row in table.rows))


def _row(row: Row, columns: tuple[Column, ...], titles: list[str]) -> str:
    return f'<tr role="row"{_class(row.tone)}>{"".join(_cells(row, columns, titles))}</tr>'


def _cells(row: Row, columns: tuple[Column, ...], titles: list[str]) -> Iterator[str]:
    for place, (cell, column, title) in enumerate(zip(row.cells, columns, titles, strict=True)):
        if not place:
            yield f'<th role="rowheader" scope="row"{_class(cell.tone)}>{cell_of(cell)}</th>'
            continue
        tones = " ".join(part for part in ("number" if column.is_number else "", cell.tone) if part)
        yield f'<td role="cell"{_class(tones)} data-label="{title}">{cell_of(cell)}</td>'


def _class(names: str) -> str:
    return f' class="{_escaped(names)}"' if names else ""


def _escaped(text: str) -> str:
    # As `conditional_escape` does, which first looks for texts that are made when they are needed.
    return text if isinstance(text, SafeString) else escape(text)


@register.filter
def cell_of(cell: Cell) -> SafeString:
    """Return what stands in a cell as HTML: a plot, the text with its link, a second line."""
    text = _escaped(cell.text)
    if cell.href:
        text = f'<a href="{_escaped(cell.href)}">{text}</a>'
    if cell.plot:
        text = f"{_escaped(cell.plot)} {text}"
    if cell.detail:
        text += f'<span class="detail">{_escaped(cell.detail)}</span>'
    return mark_safe(text)
