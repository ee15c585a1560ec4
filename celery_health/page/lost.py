"""What workers held when they were last seen, where none is left that could end it. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.page.blocks import MOST_ON_OVERVIEW, Cell, Column, Table, name, table
from celery_health.page.links import Links
from celery_health.records import Snapshot, Worker, WorkerState
from celery_health.text.formats import duration, listing, number, plural

_NOTE: Final = (
    "What had only been reserved, or is acknowledged late (acks_late), the broker hands out again; what ran "
    "and was acknowledged before is lost."
)


def held_by_the_gone(snapshot: Snapshot, links: Links, *, most: int = MOST_ON_OVERVIEW) -> Table | None:
    """Return one row per task that vanished workers held; None while one lives, or where they held none."""
    if any(worker.state is not WorkerState.GONE for worker in snapshot.workers):
        return None
    lost = [worker for worker in snapshot.workers if not worker.said_goodbye]
    rows = [
        (
            name(task.task_name, href=links.task(task.task_name)),
            Cell(state),
            Cell(duration(getattr(task, "runtime_seconds", None)) if state == "running" else "-"),
            name(task.queue, href=links.queue(task.queue) if task.queue else ""),
            name(worker.hostname, href=links.worker(worker.hostname)),
            name(task.task_id),
        )
        for worker in lost
        for state, tasks in (("running", worker.active), ("reserved", worker.reserved))
        for task in tasks
    ]
    total = sum(_count(worker) for worker in lost)
    if not total and not rows:
        return None
    columns = ("Task", "Was", "For", "Queue", "Worker", "Id")
    return table(
        "held",
        "What the workers held that are gone",
        [Column(title, title == "For") for title in columns],
        rows,
        f"{_in_words(lost)} They are not named in the store.",
        most=most,
        total=max(total, len(rows)),
        note=f"{_in_words(lost)} {_NOTE}",
        more=Cell("All workers", href=links.workers),
    )


def _count(worker: Worker) -> int:
    return (worker.active_count or 0) + (worker.reserved_count or 0) + (worker.scheduled_count or 0)


def _in_words(lost: list[Worker]) -> str:
    kinds = (("active_count", "running"), ("reserved_count", "reserved"), ("scheduled_count", "scheduled"))
    counts = [(sum(getattr(worker, kind) or 0 for worker in lost), word) for kind, word in kinds]
    told = listing([f"{number(count)} {word}" for count, word in counts if count], len(counts))
    return f"{plural(len(lost), 'worker')} vanished with {told or 'nothing that they told of'}."
