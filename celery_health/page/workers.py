"""Workers: what they do, and what they hold. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.page.blocks import (
    MOST_ROWS,
    Cell,
    Column,
    Page,
    Row,
    Table,
    joined,
    name,
    table,
    words,
)
from celery_health.page.links import Links
from celery_health.page.problems import about
from celery_health.records import HealthReport, Worker, WorkerState
from celery_health.text.formats import UNKNOWN, duration, listing, number

_NAMES: Final = 6
_WORRYING: Final = (WorkerState.STUCK, WorkerState.NOT_CONSUMING, WorkerState.GONE)
_UNSURE: Final = (WorkerState.UNKNOWN, WorkerState.RECONNECTING, WorkerState.NO_QUEUES)
_TONES: Final = ("bad", "warn", "", "quiet")


def page(report: HealthReport, links: Links) -> Page:
    """Return all workers."""
    return Page(title="Workers", blocks=(workers(report, links),), json=links.json("workers"))


def page_of(hostname: str, report: HealthReport, links: Links) -> Page:
    """Return one worker."""
    return Page(
        title=name(hostname).text,
        kind="Worker",
        blocks=joined(about(report.checks, "worker", hostname, links)),
        json=links.json("workers", worker=hostname),
    )


def workers(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per worker, those that worry first."""
    found = sorted(
        report.snapshot.workers, key=lambda worker: (_TONES.index(tone_of(worker)), worker.hostname)
    )
    return table(
        "workers",
        "Workers",
        (
            Column("Worker"),
            Column("State"),
            Column("Pool"),
            Column("Running", True),
            Column("Reserved", True),
            Column("Scheduled", True),
            Column("Last seen", True),
            Column("Queues"),
        ),
        (Row(_worker(worker, links), tone_of(worker)) for worker in found),
        "No worker is known.",
        most=most,
        total=len(found),
        json=links.json("workers"),
    )


def _worker(worker: Worker, links: Links) -> tuple[Cell, ...]:
    pool = name(worker.pool).text + ("" if worker.concurrency is None else f" {worker.concurrency}")
    seen = worker.last_seen_seconds
    names = None if worker.queues is None else listing([name(queue).text for queue in worker.queues], _NAMES)
    return (
        name(worker.hostname, href=links.worker(worker.hostname)),
        Cell(words(worker.state.value), tone_of(worker)),
        Cell(pool),
        Cell(number(worker.active_count)),
        Cell(number(worker.reserved_count)),
        Cell(number(worker.scheduled_count)),
        Cell(UNKNOWN if seen is None else f"{duration(seen)} ago"),
        Cell(UNKNOWN if names is None else names or "none"),
    )


def tone_of(worker: Worker) -> str:
    """Return the CSS class of a worker's state: one that left as it was told to is no worry."""
    if worker.state is WorkerState.GONE and (worker.said_goodbye or worker.is_draining):
        return "quiet"
    if worker.state in _WORRYING:
        return "bad"
    return "warn" if worker.state in _UNSURE else ""
