"""Queues: what waits in them, and who takes it. Pure."""

from __future__ import annotations

from dataclasses import replace

from celery_health.health.headline import consumers, oldest
from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, joined, name, table
from celery_health.page.links import Links
from celery_health.page.problems import worst_of
from celery_health.page.single import choice, of_the_whole, starts_with, title_of, tones_of
from celery_health.records import HealthReport, QueueState
from celery_health.text.formats import number
from celery_health.text.printable import printable


def page(report: HealthReport, links: Links, *, begins: str = "") -> Page:
    """Return all queues, or those whose names begin so."""
    return Page(
        title="Queues",
        blocks=joined(
            of_the_whole(report.checks, "queue", links),
            choice("queues", begins, len(report.snapshot.queues), links.queues),
            replace(queues(report, links, begins=begins), title=title_of(begins)),
        ),
        json=links.json("queues"),
    )


def queues(report: HealthReport, links: Links, *, most: int = MOST_ROWS, begins: str = "") -> Table:
    """Return one row per queue: with a fault, then what nobody can read or takes from, then the fullest."""
    faults, tones = worst_of(report.checks, "queue"), tones_of(report.checks, "queue")
    found = sorted(
        (queue for queue in report.snapshot.queues if starts_with(queue.name, begins)),
        key=lambda queue: (
            -("", "warn", "bad").index(faults.get(queue.name, "")),
            queue.ready is not None,
            not (queue.consumers == 0 and queue.expected_by),
            -(queue.waiting or 0),
            queue.name,
        ),
    )
    # Of a broker that is away each says the same: the verdict says it once.
    says_errors = not report.snapshot.broker.is_lacking
    return table(
        "queues",
        "Queues",
        (
            Column("Queue"),
            Column("Waiting", True),
            Column("Oldest", True),
            Column("Reserved", True),
            Column("Unacked", True),
            Column("Scheduled", True),
            Column("Running", True),
            Column("Consumers", True),
            Column("Capacity", True),
        ),
        (
            Row(
                _queue(queue, tones.get(queue.name, {}), links, says_errors=says_errors),
                faults.get(queue.name, ""),
            )
            for queue in found
        ),
        "None begins so." if begins else "No queue is known.",
        most=most,
        total=len(found),
        json=links.json("queues"),
    )


def _queue(queue: QueueState, tones: dict[str, str], links: Links, *, says_errors: bool) -> tuple[Cell, ...]:
    deep = tones.get("queues.depth") or tones.get("queues.stalled", "")
    error = printable(queue.error) if queue.error and says_errors else ""
    held = f"and {number(queue.held)} in workers" if queue.held else ""
    return (
        name(queue.name, href=links.queue(queue.name)),
        Cell(number(queue.ready), deep, detail=error or held),
        Cell(oldest(queue), tones.get("queues.age", "")),
        Cell(number(queue.reserved)),
        Cell(number(queue.unacked)),
        Cell(number(queue.scheduled)),
        Cell(number(queue.active)),
        Cell(consumers(queue), tones.get("queues.consumed", "")),
        Cell(number(queue.capacity)),
    )
