"""What ``--verbose`` adds: one table each of workers, running tasks, queues and the schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from celery_health.health.headline import consumers, oldest
from celery_health.reading.schedules import schedule_entries, untold_entries
from celery_health.records import QueueState, RunningTask, ScheduleEntryState, Snapshot, Worker
from celery_health.text.formats import UNKNOWN, duration, number, table
from celery_health.text.printable import printable

#: A terminal is no place for more; ``tasks/`` and ``schedule/`` have them all.
MOST_ROWS: Final = 50
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
    running, total = snapshot.running, snapshot.running_count
    if not running:
        return ["  none" if total == 0 else "  not known"]
    lines = table(("task", "for", "queue", "worker", "id"), map(_running, running[:MOST_ROWS]), right=(1,))
    # A worker names a bounded number of its tasks; the count is of all.
    more = max(len(running), total or 0) - min(len(running), MOST_ROWS)
    if more:
        lines.append(f"  ... and {number(more)} more")
    if total is None:
        lines.append("  ... and perhaps others: not every worker has told")
    lines += [f"  {printable(note)}" for note in snapshot.task_notes]
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
    header = ("name", "waiting", "held", "reserved", "unacked", "scheduled", "running", "oldest", "consumers")
    return table(header, map(_queue, snapshot.queues), right=range(1, 9))


def _queue(queue: QueueState) -> tuple[str, ...]:
    return (
        _name(queue.name),
        number(queue.ready),
        number(queue.held),
        number(queue.reserved),
        number(queue.unacked),
        number(queue.scheduled),
        number(queue.active),
        oldest(queue),
        consumers(queue),
    )


def schedule(snapshot: Snapshot) -> list[str]:
    """Return one line per entry of the schedule, the latest first."""
    entries = schedule_entries(snapshot.beats)
    if not entries:
        return ["  none known" if entries is None else "  empty"]
    latest = sorted(entries, key=lambda entry: -(entry.overdue_seconds or 0))
    header = ("entry", "task", "when", "last sent", "next", "late")
    lines = table(header, map(_entry, latest[:MOST_ROWS]), right=(3, 4, 5))
    more = max(0, len(entries) - MOST_ROWS) + untold_entries(snapshot.beats, len(entries))
    if more:
        lines.append(f"  ... and {number(more)} more")
    return lines


def _entry(entry: ScheduleEntryState) -> tuple[str, ...]:
    sent, due = entry.last_sent_seconds, entry.next_due_in_seconds
    return (
        _name(entry.entry),
        _name(entry.task),
        _name(entry.schedule) if entry.enabled else "disabled",
        "-" if sent is None else f"{duration(sent)} ago",
        "-" if not entry.enabled else duration(due if due is None else max(0.0, due)),
        "-" if entry.overdue_seconds == 0 or not entry.enabled else duration(entry.overdue_seconds),
    )


#: In the order in which they are shown.
SECTIONS: Final[Sequence[tuple[str, Callable[[Snapshot], list[str]]]]] = (
    ("Workers", workers),
    ("Running tasks", running_tasks),
    ("Queues", queues),
    ("Schedule", schedule),
)
