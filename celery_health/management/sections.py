"""What ``--verbose`` adds: one table each of workers, running tasks and queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from celery_health.formats import UNKNOWN, duration, number, table
from celery_health.printable import printable
from celery_health.records import QueueState, RunningTask, Snapshot, Worker

#: A terminal is no place for more; ``tasks/`` has them all.
MOST_RUNNING: Final = 50
_NAME_LENGTH: Final = 60


def _name(value: str | None) -> str:
    return UNKNOWN if value is None else printable(value, _NAME_LENGTH)


def _names(values: Sequence[str] | None) -> str:
    if values is None:
        return UNKNOWN
    return printable(", ".join(_name(value) for value in values), 2 * _NAME_LENGTH) or "none"


def workers(snapshot: Snapshot) -> list[str]:
    """Return one line per worker."""
    if not snapshot.workers:
        return ["  none known"]
    header = ("name", "state", "pool", "running", "reserved", "scheduled", "seen", "queues")
    return table(header, map(_worker, snapshot.workers), right=(3, 4, 5))


def _worker(worker: Worker) -> tuple[str, ...]:
    pool = _name(worker.pool) + ("" if worker.concurrency is None else f" {worker.concurrency}")
    seen = "not known" if worker.last_seen_seconds is None else f"{duration(worker.last_seen_seconds)} ago"
    return (
        _name(worker.hostname),
        worker.state.value.replace("_", " "),
        pool,
        number(worker.active_count),
        number(worker.reserved_count),
        number(worker.scheduled_count),
        seen,
        _names(worker.queues),
    )


def running_tasks(snapshot: Snapshot) -> list[str]:
    """Return one line per running task, the longest first."""
    running = sorted(
        (task for worker in snapshot.workers for task in worker.active),
        key=lambda task: task.runtime_seconds or 0,
        reverse=True,
    )
    counts = [worker.active_count for worker in snapshot.workers if worker.state.is_live]
    # A worker names a bounded number of its tasks; the count is of all.
    total = max(len(running), sum(count or 0 for count in counts))
    if not running:
        return ["  none" if counts and None not in counts and not total else "  not known"]
    lines = table(("task", "for", "queue", "worker", "id"), map(_running, running[:MOST_RUNNING]), right=(1,))
    if total > MOST_RUNNING or total > len(running):
        lines.append(f"  ... and {number(total - min(len(running), MOST_RUNNING))} more")
    return lines


def _running(task: RunningTask) -> tuple[str, ...]:
    return (
        _name(task.task_name),
        duration(task.runtime_seconds),
        _name(task.queue),
        _name(task.worker),
        _name(task.task_id),
    )


def queues(snapshot: Snapshot) -> list[str]:
    """Return one line per queue."""
    if not snapshot.queues:
        return ["  none known"]
    header = ("name", "waiting", "reserved", "unacked", "scheduled", "running", "oldest", "consumers")
    return table(header, map(_queue, snapshot.queues), right=range(1, 8))


def _queue(queue: QueueState) -> tuple[str, ...]:
    least = "over " if queue.oldest_age_is_minimum and queue.oldest_age_seconds is not None else ""
    # Nothing waits, so nothing is old: that is known.
    oldest = "-" if queue.ready == 0 else least + duration(queue.oldest_age_seconds)
    return (
        _name(queue.name),
        number(queue.ready),
        number(queue.reserved),
        number(queue.unacked),
        number(queue.scheduled),
        number(queue.active),
        oldest,
        number(queue.consumers),
    )


#: In the order in which they are shown. The schedule gets its place here when beat reports it.
SECTIONS: Final[Sequence[tuple[str, Callable[[Snapshot], list[str]]]]] = (
    ("Workers", workers),
    ("Running tasks", running_tasks),
    ("Queues", queues),
)
