"""What workers hold of a queue and could run now: pure, from their records and the broker's own count.

No message is counted twice. What a worker has taken is not ready, and the records of workers that are gone
count for nothing: what those held is lost, or comes back. A message that the broker has taken back from a
worker that lives (its visibility timeout is over, its connection is cut) is ready again while that worker
still holds it, and will run it too. Where the broker counts what is delivered, workers are believed as far as
that goes; elsewhere such a message counts twice until the worker's next record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery_health.reading.fields import clean, of_type, plus
from celery_health.records import DueTasks, Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What workers hold of one queue and could run now."""

    count: int | None = None
    """None when no worker says."""
    is_minimum: bool = False
    """A worker does not say, or holds more than it counted."""
    with_eta: int = 0
    """Of these, those that had an ETA."""
    oldest_seconds: float | None = None
    """None when there is none, or nobody can say."""
    oldest_is_minimum: bool = False
    oldest_by: str | None = None
    """The worker that holds the oldest."""


_NONE: Final = DueTasks(count=0)


class Holders:
    """The live workers by the queues of which they hold tasks, or may."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._telling: dict[str, list[Worker]] = {}
        self._silent: dict[str, list[Worker]] = {}
        for worker in workers:
            if not worker.state.is_live:
                continue
            due = worker.due_by_queue
            if due is None:
                found, names = self._silent, set(worker.queues or ())
            else:
                found = self._telling
                names = {*due, *worker.reserved_by_queue, *worker.scheduled_by_queue}
            for name in names:
                found.setdefault(name, []).append(worker)

    def of(
        self, queue: str, *, is_told: bool, unacked: int | None = None, without: Collection[Worker] = ()
    ) -> Held:
        """Return what is held of `queue`.

        Args:
            queue: its name.
            is_told: it is known who consumes it: then nothing is held where no worker says so.
            unacked: how many messages of it are delivered, by the broker's own count.
            without: workers that the broker knows to be gone, whatever their records say.
        """
        gone = {id(worker) for worker in without}
        telling = [worker for worker in self._telling.get(queue, ()) if id(worker) not in gone]
        is_silent = any(id(worker) not in gone for worker in self._silent.get(queue, ()))
        found = [(worker, due) for worker in telling if (due := _due(worker, queue)).count]
        if not found:
            return Held(count=0 if is_told and not is_silent else None)
        count = sum(due.count for _, due in found)
        if unacked is not None:
            # What else they took has been begun, or has gone back, since they said so.
            count = max(0, count - max(0, sum(_taken(worker, queue) for worker in telling) - unacked))
        if not count:
            return Held(count=0 if not is_silent else None)
        ages = [
            (due.oldest_seconds + (worker.last_seen_seconds or 0.0), worker.hostname)
            for worker, due in found
            if due.oldest_seconds is not None
        ]
        oldest, by = max(ages, default=(None, None))
        return Held(
            count=count,
            is_minimum=is_silent or any(worker.is_cut for worker, _ in found),
            with_eta=min(count, sum(due.eta_count for _, due in found)),
            oldest_seconds=oldest,
            oldest_is_minimum=is_silent
            or any(due.oldest_is_minimum or due.oldest_seconds is None for _, due in found),
            oldest_by=by,
        )


def _due(worker: Worker, queue: str) -> DueTasks:
    return (worker.due_by_queue or {}).get(queue, _NONE)


def _taken(worker: Worker, queue: str) -> int:
    return worker.reserved_by_queue.get(queue, 0) + worker.scheduled_by_queue.get(queue, 0)


def due_by_queue(value: object) -> Mapping[str, DueTasks] | None:
    """Return what a record says is due, by queue; None where it does not say."""
    if not isinstance(value, Mapping):
        return None
    found = {clean(key): _due_tasks(row) for key, row in value.items() if isinstance(key, str)}
    return {queue: due for queue, due in found.items() if due is not None}


def _due_tasks(row: object) -> DueTasks | None:
    if not isinstance(row, Mapping) or (count := of_type(int, row.get("count"))) is None:
        return None
    return DueTasks(
        count=max(0, count),
        eta_count=max(0, of_type(int, row.get("eta_count")) or 0),
        oldest_seconds=plus(row.get("oldest_seconds"), 0.0),
        oldest_is_minimum=row.get("oldest_is_minimum") is True,
    )


def counted(reserved: Iterable[Mapping[str, Any]]) -> Mapping[str, Mapping[str, int]]:
    """Return, as a record has it, what is due of those that Celery's ``inspect reserved`` lists.

    It lists none that wait for an ETA or a rate limit, and does not say how long any has waited.
    """
    return {queue: {"count": count} for queue, count in Counter(row["queue"] for row in reserved).items()}
