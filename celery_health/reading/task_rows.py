"""The tasks that workers hold, one by one: read beside a snapshot, when people ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from celery_health.reading.worker_reports import with_rows
from celery_health.records import Snapshot, Worker, WorkerState
from celery_health.store import RowsReading, StoredRecord

_WHAT: Final = "Queue and arguments of running tasks, and the tasks that wait,"


def processes_of(workers: Iterable[Worker]) -> list[tuple[str, str]]:
    """Return writer and name of the workers that may hold tasks, or vanished with them, by their reports."""
    return [
        (worker.writer, worker.hostname)
        for worker in workers
        if worker.writer is not None and not (worker.state is WorkerState.GONE and worker.said_goodbye)
    ]


def joined(snapshot: Snapshot, found: RowsReading, since_seconds: float) -> Snapshot:
    """Return `snapshot` with the tasks that were `found`, `since_seconds` ago.

    Where none were, a worker keeps what its record lists: those of earlier versions hold everything.
    """
    by_writer: Mapping[str, StoredRecord] = {one.writer: one for one in found.rows}
    workers = tuple(
        worker
        if (stored := by_writer.get(worker.writer or "")) is None
        else with_rows(worker, stored.record, stored.age_seconds + since_seconds)
        for worker in snapshot.workers
    )
    notes = [*found.problems]
    if found.unread:
        some = f"{len(found.unread)} of {len(found.rows) + len(found.unread)}"
        notes.append(
            f"{_WHAT} are not listed of {some} workers: there are too many to be read in time. "
            "The counts are of all. Ask one: celery inspect reserved --destination NAME."
        )
    return replace(snapshot, workers=workers, task_notes=tuple(notes))


def without_rows(snapshot: Snapshot, error: Exception) -> Snapshot:
    """Return `snapshot`, whose workers' tasks could not be read."""
    note = f"{_WHAT} are not listed: they could not be read ({error})"
    return replace(snapshot, task_notes=(note,))
