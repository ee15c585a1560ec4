"""The tasks that workers hold, as rows: those that run, wait for a slot, wait for their time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from celery_health.page.blocks import MOST_ROWS, Cell, Column, Table, name, table
from celery_health.page.links import Links
from celery_health.records import ReservedTask, RunningTask, ScheduledTask, Worker
from celery_health.text.formats import duration

#: The column beside the task: where it came from on a worker's page, who has it on a queue's.
_QUEUE: Final = Column("Queue")
_WORKER: Final = Column("Worker")
_FAR: Final = float("inf")


def running(
    tasks: Iterable[RunningTask],
    total: int | None,
    links: Links,
    *,
    by_queue: bool = False,
    id: str = "running",
    what: str = "Running now",
    note: str = "",
) -> Table:
    """Return one row per running task, the longest first; `by_queue` names the worker of each."""
    found = sorted(tasks, key=lambda task: -(task.runtime_seconds or 0.0))
    rows = [
        (
            _task(task, links),
            Cell(
                duration(task.runtime_seconds),
                detail="" if task.limit_seconds is None else f"limit {duration(task.limit_seconds)}",
            ),
            _place(task, links, by_queue=by_queue),
            task_id(task.task_id, links),
        )
        for task in found[:MOST_ROWS]
    ]
    return table(
        id,
        what,
        (Column("Task"), Column("For", True), _WORKER if by_queue else _QUEUE, Column("Id")),
        rows,
        "None." if total == 0 else "It is not known which." if total else "It is not known what runs.",
        # A worker names a bounded number of its tasks; the count is of all.
        total=max(len(found), total or 0),
        note=note,
    )


def reserved(
    tasks: Iterable[ReservedTask], total: int | None, links: Links, *, id: str = "reserved"
) -> Table:
    """Return one row per task that a worker has taken and not started."""
    found = tuple(tasks)
    rows = [
        (_task(task, links), _place(task, links), task_id(task.task_id, links)) for task in found[:MOST_ROWS]
    ]
    return table(
        id,
        "Reserved: taken, and not started",
        (Column("Task"), _QUEUE, Column("Id")),
        rows,
        "None." if total == 0 else "It is not known which.",
        total=max(len(found), total or 0),
    )


def scheduled(
    tasks: Iterable[ScheduledTask], total: int | None, links: Links, *, id: str = "scheduled"
) -> Table:
    """Return one row per task that a worker holds until its ETA, the soonest first."""
    found = sorted(
        tasks, key=lambda task: (task.eta is None, "" if task.eta is None else task.eta.isoformat())
    )
    rows = [
        (
            _task(task, links),
            Cell("?" if task.eta is None else f"{task.eta:%Y-%m-%d %H:%M:%S %Z}".strip()),
            _place(task, links),
            task_id(task.task_id, links),
        )
        for task in found[:MOST_ROWS]
    ]
    return table(
        id,
        "Held until later",
        (Column("Task"), Column("ETA"), _QUEUE, Column("Id")),
        rows,
        "None." if total == 0 else "It is not known which.",
        total=max(len(found), total or 0),
    )


def of_queue(queue: str, workers: Iterable[Worker]) -> list[RunningTask]:
    """Return the tasks that run and came from a queue, as far as workers name them."""
    return [
        task
        for worker in workers
        # Rows are made as they are looked at: not those of workers that run nothing from it.
        if worker.state.is_live and (not worker.active_by_queue or worker.active_by_queue.get(queue))
        for task in worker.active
        if task.queue == queue
    ]


def task_id(value: str, links: Links) -> Cell:
    """Return the id of a task, with all that is known of it a click away."""
    return name(value, href=links.search_for(value) if value else "")


def _task(task: RunningTask | ReservedTask | ScheduledTask, links: Links) -> Cell:
    return name(task.task_name, href=links.task(task.task_name))


def _place(task: RunningTask | ReservedTask | ScheduledTask, links: Links, *, by_queue: bool = False) -> Cell:
    if by_queue:
        return name(task.worker, href=links.worker(task.worker))
    return name(task.queue, href="" if task.queue is None else links.queue(task.queue))
