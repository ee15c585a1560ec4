"""What tests read of a page that a pure function made: its tables, texts and HTML."""

from __future__ import annotations

from celery_health.page.blocks import Page, Table
from celery_health.page.rendering import render


def table_of(page: Page, table_id: str) -> Table:
    """Return the table of that id."""
    return next(block for block in page.blocks if isinstance(block, Table) and block.id == table_id)


def texts(table: Table) -> list[list[str]]:
    """Return the text of each cell."""
    return [[cell.text for cell in row.cells] for row in table.rows]


def text_of(page: Page) -> str:
    """Return all of a page as HTML, without the frame."""
    return "\n".join(render(block.template, block=block) for block in page.blocks)
