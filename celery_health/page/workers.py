"""Workers: what they do, and what they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from celery_health.page import plots
from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, joined, name, table
from celery_health.page.links import Links
from celery_health.page.single import choice, of_the_whole, starts_with, title_of
from celery_health.page.worker_words import brief, shown_state
from celery_health.records import HealthReport, Worker, WorkerState
from celery_health.text.formats import UNKNOWN, duration, listing, number

_NAMES: Final = 6
_WORRYING: Final = (WorkerState.STUCK, WorkerState.NOT_CONSUMING, WorkerState.GONE)
_UNSURE: Final = (WorkerState.UNKNOWN, WorkerState.RECONNECTING, WorkerState.NO_QUEUES, WorkerState.STARTING)
_TONES: Final = ("bad", "warn", "", "quiet")
COLUMNS: Final = (
    Column("Worker"),
    Column("State"),
    Column("Slots busy"),
    Column("Reserved", True),
    Column("Until later", True),
    Column("Last seen", True),
    Column("Pool"),
    Column("Queues"),
)


def page(report: HealthReport, links: Links, *, begins: str = "") -> Page:
    """Return all workers, or those whose names begin so."""
    return Page(
        title="Workers",
        blocks=joined(
            of_the_whole(report.checks, "worker", links),
            choice("workers", begins, len(report.snapshot.workers), links.workers),
            replace(workers(report, links, begins=begins), title=title_of(begins)),
        ),
        json=links.json("workers"),
    )


def workers(report: HealthReport, links: Links, *, most: int = MOST_ROWS, begins: str = "") -> Table:
    """Return one row per worker, those that worry first."""
    found = worst_first(worker for worker in report.snapshot.workers if starts_with(worker.hostname, begins))
    is_known = report.snapshot.roster_is_known
    nobody = "None begins so." if begins else "No worker is known."
    if not is_known:
        nobody = f"{nobody[:-1]}, and not every one that may be has answered."
    return table(
        "workers",
        "Workers",
        COLUMNS,
        (row(worker, links) for worker in found),
        nobody,
        most=most,
        total=len(found),
        note="" if is_known or not found else "Perhaps there are others: not every worker has answered.",
        json=links.json("workers"),
    )


def worst_first(workers: Iterable[Worker]) -> Sequence[Worker]:
    """Return workers in the order in which one looks at them."""
    return sorted(workers, key=lambda worker: (_TONES.index(tone_of(worker)), worker.hostname))


def row(worker: Worker, links: Links) -> Row:
    """Return one worker."""
    pool = name(worker.pool).text + ("" if worker.concurrency is None else f" {worker.concurrency}")
    names = None if worker.queues is None else listing([name(queue).text for queue in worker.queues], _NAMES)
    cells = (
        name(worker.hostname, href=links.worker(worker.hostname)),
        Cell(shown_state(worker), tone_of(worker), detail=brief(worker)),
        busy(worker),
        Cell(number(worker.reserved_count)),
        Cell(number(worker.scheduled_count)),
        Cell(last_seen(worker)),
        Cell(pool),
        Cell(UNKNOWN if names is None else names or "none"),
    )
    return Row(cells, tone_of(worker))


def busy(worker: Worker) -> Cell:
    """Return how many slots run a task: nothing of a worker that is gone."""
    if worker.state is WorkerState.GONE:
        return Cell("-")
    running, slots = worker.active_count, worker.concurrency
    return Cell(f"{number(running)} of {number(slots)}", plot=plots.slots(running, slots, is_told=True))


def last_seen(worker: Worker) -> str:
    """Return when it was last seen, in words."""
    seen = worker.last_seen_seconds
    return UNKNOWN if seen is None else f"{duration(seen)} ago"


def tone_of(worker: Worker) -> str:
    """Return the CSS class of a worker's state: one that left as it was told to is no worry."""
    if worker.state is WorkerState.GONE and (worker.said_goodbye or worker.is_draining):
        return "quiet"
    if worker.state in _WORRYING:
        return "bad"
    return "warn" if worker.state in _UNSURE else ""
