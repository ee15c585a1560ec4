"""What a search found, as a page shows it. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.page.blocks import Cell, Column, Page, Row, Table, Text, joined, name, table
from celery_health.page.links import Links
from celery_health.page.lookup import LONGEST_QUERY, Found, Hit, Kind
from celery_health.text.printable import printable

_WHAT: Final = (
    "Type how the name of a queue, task, worker or schedule entry begins, or an id of a task or letter."
)


def page(found: Found, links: Links) -> Page:
    """Return what was found; the page leads straight to the only hit."""
    only = found.only
    return Page(
        title=name(found.query).text if found.query else "Search",
        kind="Search" if found.query else "",
        asked=printable(found.query, LONGEST_QUERY),
        leads_to="" if only is None else address(only, links),
        refreshes=False,
        blocks=joined(
            _hits(found, links) if found.query else Text(id="how", lines=(Cell(_WHAT),)), _where(found)
        ),
    )


def address(hit: Hit, links: Links) -> str:
    """Return where a hit leads."""
    if hit.kind is Kind.LETTER:
        return links.letter(hit.queue or "", hit.name)
    if hit.kind is Kind.HELD:
        return links.worker(hit.worker or "")
    pages = {
        Kind.QUEUE: links.queue,
        Kind.TASK: links.task,
        Kind.WORKER: links.worker,
        Kind.ENTRY: links.entry,
        Kind.LETTERS: links.letters,
    }
    return pages[hit.kind](hit.name)


def _hits(found: Found, links: Links) -> Table:
    rows = [
        Row((name(hit.name, href=address(hit, links)), Cell(hit.kind.value), Cell(printable(hit.about, 300))))
        for hit in found.hits
    ]
    return table(
        "found",
        "Found",
        (Column("Name"), Column("What it is"), Column("About")),
        rows,
        f"Nothing begins with “{printable(found.query, 120)}”.",
        total=len(rows) + found.more,
    )


def _where(found: Found) -> Text:
    cut = f"Only the first {LONGEST_QUERY} characters of what was typed were looked for." * found.was_cut
    lines = [cut, f"Looked through: {found.searched}.", *found.unsearched]
    shown = tuple(Cell(printable(line)) for line in lines if line)
    return Text(id="where", title="Where it was looked", lines=shown)
