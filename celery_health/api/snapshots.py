"""What the answers about tasks, workers and queues share: how sure they are, and of when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from celery_health.conf import get_settings
from celery_health.deadline import Deadline
from celery_health.health.body import timestamp
from celery_health.reading import get_reading, get_reading_with_tasks, get_totals
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import Snapshot, Worker, WorkerState

Kind = Literal["active", "reserved", "scheduled"]
KINDS: Final[tuple[Kind, ...]] = ("active", "reserved", "scheduled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A snapshot, how old it is, and the rows that the caller asked for."""

    snapshot: Snapshot
    age_seconds: float
    only_workers: frozenset[str] | None = None
    """Host names; None for all."""
    only_tasks: frozenset[str] | None = None
    """Task names; None for all."""
    limit: int
    """Rows per list."""
    totals: Mapping[str, TaskTotals] | None = None
    """Task name → what has been counted of it; None when nobody counts, or it was not asked."""
    show_arguments: bool = False
    """``SHOW_ARGUMENTS``, here and now: what a worker was told to report is another matter."""

    @property
    def workers(self) -> list[Worker]:
        """Return the workers asked for that may be running something: not those known to be gone."""
        return [
            worker
            for worker in self.snapshot.workers
            if worker.state is not WorkerState.GONE
            and (self.only_workers is None or worker.hostname in self.only_workers)
        ]

    def wants(self, task_name: str) -> bool:
        """Say whether a task of this name was asked for."""
        return self.only_tasks is None or task_name in self.only_tasks

    def cut(self, rows: list[Any]) -> list[Any]:
        """Return the first rows, as many as the caller wants."""
        return rows[: self.limit]

    def listed_in_full(self, kind: Kind) -> bool:
        """Say whether the workers' lists are known to hold everything that they have."""
        return all(_count(worker, kind) == len(getattr(worker, kind)) for worker in self.workers)

    @property
    def cut_by_workers(self) -> bool:
        """Say whether a worker has more than it lists: they bound their lists."""
        return any(
            (_count(worker, kind) or 0) > len(getattr(worker, kind))
            for worker in self.workers
            for kind in KINDS
        )

    def count(self, kind: Kind, rows: Collection[Any]) -> int | None:
        """Return how many tasks of a kind there are; None while one worker's part of it is unknown.

        `rows` are those listed, of the tasks asked for.
        """
        if not self.everyone_told:
            return None
        if self.only_tasks is None:
            counts = [_count(worker, kind) for worker in self.workers]
            return None if None in counts else sum(count for count in counts if count is not None)
        return len(rows) if self.listed_in_full(kind) else None

    @property
    def everyone_told(self) -> bool:
        """Say whether every worker there is has said what it does; only then is "none" known."""
        if any(worker.state is WorkerState.UNKNOWN for worker in self.workers):
            return False
        if self.only_workers is not None and self.only_workers <= {w.hostname for w in self.workers}:
            return True
        return self.snapshot.roster_is_known

    def envelope(self, *, truncated: bool) -> dict[str, Any]:
        """Return the fields that say how complete and how fresh an answer is."""
        return {
            "truncated": truncated,
            "source": self.snapshot.source.value,
            "as_of": timestamp(self.snapshot.taken_at),
            "age_seconds": round(self.age_seconds, 3),
            "notes": list(notes(self.snapshot)),
        }


def _count(worker: Worker, kind: Kind) -> int | None:
    count: int | None = getattr(worker, f"{kind}_count")
    return count


def notes(snapshot: Snapshot) -> Iterable[str]:
    """Yield why something may be unknown; nothing when all have answered."""
    if snapshot.app.always_eager:
        yield "task_always_eager is on: tasks run in the process that calls them, and no worker is asked."
        return
    if snapshot.broker.reachable is False:
        yield f"The broker at {snapshot.broker.url} cannot be reached: {snapshot.broker.error}"
    if snapshot.broker.late:
        yield f"Whether the broker at {snapshot.broker.url} answers is not known. {snapshot.broker.late}"
    elif snapshot.store.late:
        yield f"Whether the store answers is not known. {snapshot.store.late}"
    if snapshot.store.reachable is False:
        yield f"The store at {snapshot.store.url} cannot be reached: {snapshot.store.error}"
    if not snapshot.inspection.supported:
        yield "Remote control is off, or not supported by this transport."
    if snapshot.importing:
        yield snapshot.importing
    elif snapshot.tasks_error:
        yield snapshot.tasks_error
    elif snapshot.inspection.error:
        yield f"The workers could not be asked: {snapshot.inspection.error}"
    for hostname in snapshot.inspection.silent:
        yield f"Worker {hostname!r} has not answered in time."
    yield from snapshot.task_notes


def take_reading(
    *,
    limit: int,
    only_workers: frozenset[str] | None = None,
    only_tasks: frozenset[str] | None = None,
    with_tasks: bool = False,
    with_totals: bool = False,
) -> Reading:
    """Return what is true now, within ``DEADLINE``, for one answer.

    Without `with_tasks` workers list no more tasks than a verdict needs.
    Totals are those of all workers together: there are none of the workers in `only_workers`.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    settings = get_settings()
    deadline = Deadline.after(settings.deadline)
    snapshot, age_seconds = (get_reading_with_tasks if with_tasks else get_reading)(deadline)
    with_totals = with_totals and only_workers is None and snapshot.store.reachable is True
    return Reading(
        snapshot=snapshot,
        age_seconds=age_seconds,
        only_workers=only_workers,
        only_tasks=only_tasks,
        limit=limit,
        totals=get_totals(deadline) if with_totals else None,
        show_arguments=settings.show_arguments,
    )
