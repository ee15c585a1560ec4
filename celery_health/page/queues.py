"""Queues: what waits in them, and who takes it. Pure."""

from __future__ import annotations

from celery_health.health.headline import consumers, oldest
from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, joined, name, table
from celery_health.page.links import Links
from celery_health.page.problems import about, worst_of
from celery_health.records import HealthReport, QueueState
from celery_health.text.formats import number


def page(report: HealthReport, links: Links) -> Page:
    """Return all queues."""
    return Page(title="Queues", blocks=(queues(report, links),), json=links.json("queues"))


def page_of(queue: str, report: HealthReport, links: Links) -> Page:
    """Return one queue."""
    return Page(
        title=name(queue).text,
        kind="Queue",
        blocks=joined(about(report.checks, "queue", queue, links)),
        json=links.json("queues"),
    )


def queues(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per queue: with a fault, then what nobody can read or takes from, then the fullest."""
    faults = worst_of(report.checks, "queue")
    found = sorted(
        report.snapshot.queues,
        key=lambda queue: (
            -("", "warn", "bad").index(faults.get(queue.name, "")),
            queue.ready is not None,
            not _is_deserted(queue),
            -(queue.ready or 0),
            queue.name,
        ),
    )
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
        (Row(_queue(queue, links), faults.get(queue.name, "")) for queue in found),
        "No queue is known.",
        most=most,
        total=len(found),
        json=links.json("queues"),
    )


def _queue(queue: QueueState, links: Links) -> tuple[Cell, ...]:
    return (
        name(queue.name, href=links.queue(queue.name)),
        Cell(number(queue.ready), "" if queue.ready is not None else "warn"),
        Cell(oldest(queue)),
        Cell(number(queue.reserved)),
        Cell(number(queue.unacked)),
        Cell(number(queue.scheduled)),
        Cell(number(queue.active)),
        Cell(consumers(queue), "warn" if _is_deserted(queue) else ""),
        Cell(number(queue.capacity)),
    )


def _is_deserted(queue: QueueState) -> bool:
    return queue.consumers == 0 and bool(queue.expected_by)
