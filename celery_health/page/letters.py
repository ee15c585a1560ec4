"""Dead letters: how many, which, why. Pure."""

from __future__ import annotations

from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, name, table
from celery_health.page.links import Links
from celery_health.page.problems import worst_of
from celery_health.records import HealthReport
from celery_health.text.formats import number


def page(report: HealthReport, links: Links) -> Page:
    """Return the queues with dead letters."""
    return Page(title="Dead letters", blocks=(sizes(report, links),), json=links.json("dead-letters"))


def sizes(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per queue with dead letters: those not known, then those with most."""
    faults = worst_of(report.checks, "letters")
    letters = (report.snapshot.dead_letters or {}).items()
    found = sorted(letters, key=lambda item: (item[1] is not None, -(item[1] or 0), item[0]))
    rows = [
        Row(
            (name(queue, href=links.letters(queue)), Cell(number(count), "warn" if count is None else "")),
            faults.get(queue, ""),
        )
        for queue, count in found
    ]
    return table(
        "dead-letters",
        "Dead letters",
        (Column("Queue"), Column("Letters", True)),
        rows,
        "None.",
        most=most,
        json=links.json("dead-letters"),
    )
