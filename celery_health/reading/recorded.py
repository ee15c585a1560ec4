"""The workers that report themselves: their records, and what the store remembers, read once."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import TYPE_CHECKING, Final

from celery_health.conf import Limits, Settings
from celery_health.counters import OTHER, SENT, decode
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError, LateError
from celery_health.reading.beat_reports import beat_of
from celery_health.reading.built_workers import BuiltWorkers
from celery_health.reading.last import Last
from celery_health.reading.outages import ASKED_SECONDS, Outages
from celery_health.reading.processes import shown
from celery_health.reading.restarted_beats import with_unsent
from celery_health.reading.starts import with_starts
from celery_health.reading.task_rows import processes_of
from celery_health.reading.task_totals import TaskTotals, totals_by_task
from celery_health.records import Beat, ObservedRuntime, StoreState, TaskOutcomes, TaskStreak, Worker
from celery_health.store import MinutesReading, RowsReading, open_store, skipped
from celery_health.store.base import Store, StoredRecord, StoreReading
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

#: Of the ring, as `TaskOutcomes` calls them.
_OUTCOMES: Final = tuple(one.name for one in fields(TaskOutcomes))

#: How often the totals are read for queue names.
SENT_REFRESH_SECONDS: Final = 15.0

#: How often the store is asked whether it takes writes.
REFUSAL_REFRESH_SECONDS: Final = ASKED_SECONDS
#: The same while records came and none is new.
REFUSAL_URGENT_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What one reading of the store says."""

    store: StoreState = field(default_factory=lambda: StoreState(configured=False))
    workers: tuple[Worker, ...] = ()
    beats: tuple[Beat, ...] = ()
    queues: tuple[str, ...] = ()
    """Every queue that a worker consumes, or lately did."""
    sent_to: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Every queue that a task was ever sent to, by any name, → which: a typing error in ``queue=`` shows."""
    consumed: Mapping[str, float] | None = None
    """Queue → seconds since somebody consumed it; None when the store says nothing."""
    store_age_seconds: float | None = None
    recent: Mapping[str, TaskOutcomes] | None = None
    streaks: Mapping[str, TaskStreak] = field(default_factory=dict)
    reading: StoreReading | None = None
    notes: tuple[str, ...] = ()
    """What of the store could not be read, and what to do."""

    @property
    def is_complete(self) -> bool:
        """Say whether live workers report themselves here: then none of ours is missing."""
        return any(worker.state.is_live for worker in self.workers)

    @property
    def unreported(self) -> str | None:
        """Return why records say nothing of now; None where they do."""
        return None if self.is_complete else self.store.no_reports


class RecordedWorkers:
    """Reads the store of one app; one thread at a time."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._store: Store | None = None
        self._opened = False
        self._built = BuiltWorkers(settings.limits)
        self._queues = Last(_distinct)
        self._sent_to: Mapping[str, frozenset[str]] = {}
        self._sent_read_at = float("-inf")
        self._totals_problems: tuple[str, ...] = ()
        """What the last reading of the totals could not read: said until the next."""
        self._refusal: str | None = None
        self._refusal_asked_at = float("-inf")
        self._outages = Outages(settings)

    def read(self, deadline: Deadline) -> Recorded:
        """Return what the store says; that it is down is said so."""
        try:
            store = self._open()
        except CeleryHealthError as error:
            return Recorded(store=StoreState(configured=True, reachable=False, error=str(error)))
        if store is None:
            return Recorded()
        minutes = max(1, math.ceil(self._settings.limits.recent_seconds / 60))
        try:
            reading = store.read(deadline, ring_minutes=minutes)
        except LateError as error:
            return Recorded(store=StoreState(configured=True, late=str(error), url=store.url))
        except CeleryHealthError as error:
            self._outages.note(time.monotonic(), is_one=True)
            return Recorded(
                store=StoreState(configured=True, reachable=False, error=str(error), url=store.url)
            )
        limits, notes = self._settings.limits, _Notes()
        workers = with_starts(self._workers(reading, notes), reading, limits)
        beats = with_unsent(_beats(reading, limits, notes), reading.entries)
        refusal, now = self._refuses_writes(store, workers, deadline), time.monotonic()
        self._outages.note(now, is_one=refusal is not None)
        return Recorded(
            store=StoreState(
                configured=True,
                reachable=True,
                url=store.url,
                refuses_writes=refusal,
                outage=None if refusal is not None else self._outages.last(now),
            ),
            workers=workers,
            beats=beats,
            queues=self._queues([tuple(reading.consumed), *(worker.queues or () for worker in workers)]),
            sent_to=self._queues_sent_to(store, deadline),
            consumed=reading.consumed,
            store_age_seconds=max(0.0, reading.server_time - reading.epoch / 1e6) if reading.epoch else None,
            recent=_outcomes(reading.ring.values()),
            streaks=reading.streaks,
            reading=reading,
            notes=tuple(dict.fromkeys([*reading.problems, *self._totals_problems, *notes.texts])),
        )

    def note_refusal(self) -> None:
        """Note that the store takes no reports now, by whoever's word: silence proves nothing until later."""
        self._outages.note(time.monotonic(), is_one=True)

    def _workers(self, reading: StoreReading, notes: _Notes) -> list[Worker]:
        workers = []
        for one in shown(reading.workers, self._settings.limits.worker_lost_seconds):
            try:
                workers.append(self._built.worker(one, reading.registered))
            except Exception as error:  # whatever another process wrote, it must not end a reading
                notes.add(one.stored, error)
        self._built.keep()
        return workers

    def unasked(self) -> StoreState:
        """Return what is known of the store without asking it: whether there is one."""
        try:
            store = self._open()
        except CeleryHealthError as error:
            return StoreState(configured=True, error=str(error))
        return StoreState(configured=False) if store is None else StoreState(configured=True, url=store.url)

    def _queues_sent_to(self, store: Store, deadline: Deadline) -> Mapping[str, frozenset[str]]:
        """Return queue → tasks of the totals, which are large and change slowly: read now and then."""
        if time.monotonic() - self._sent_read_at > SENT_REFRESH_SECONDS:
            try:
                found = store.read(deadline, totals=True)
            except CeleryHealthError:
                return self._sent_to
            totals, self._totals_problems = found.totals or {}, found.problems
            cells = (decode(field) for field in totals if field.startswith(SENT.name))
            sent: dict[str, set[str]] = defaultdict(set)
            for cell in cells:
                if cell is not None and cell.family is SENT and cell.labels[1] not in ("", OTHER):
                    sent[cell.labels[1]].add(cell.labels[0])
            self._sent_to = {queue: frozenset(tasks) for queue, tasks in sent.items()}
            self._sent_read_at = time.monotonic()
        return self._sent_to

    def _refuses_writes(self, store: Store, workers: Sequence[Worker], deadline: Deadline) -> str | None:
        # Before all of them are called gone, it is asked whether it takes what they say.
        is_urgent = bool(workers) and not any(worker.state.is_live for worker in workers)
        pause = REFUSAL_URGENT_SECONDS if is_urgent else REFUSAL_REFRESH_SECONDS
        if time.monotonic() - self._refusal_asked_at > pause:
            try:
                self._refusal = store.refuses_writes(deadline)
            except CeleryHealthError:
                return self._refusal
            self._refusal_asked_at = time.monotonic()
        return self._refusal

    def _open(self) -> Store | None:
        if not self._opened:
            self._store = open_store(self._app, self._settings)
            self._opened = True
        return self._store

    def observed(self, workers: Iterable[Worker], deadline: Deadline) -> Mapping[str, ObservedRuntime]:
        """Return the observed runtimes of the tasks that run so long that only history can judge them."""
        least = self._settings.least_stuck_seconds
        names = {
            task.task_name
            for worker in workers
            if worker.may_run_over(least)
            for task in worker.active
            if task.limit_seconds is None
            and (task.runtime_seconds or 0.0)
            > self._settings.limit("stuck_floor_seconds", task=task.task_name)
        }
        if not names or self._store is None:
            return {}
        try:
            totals = totals_by_task(self._store.read(deadline, totals=True).totals or {})
        except CeleryHealthError:
            return {}
        return {
            name: seen.runtime for name, seen in totals.items() if name in names and seen.runtime is not None
        }

    def totals(self, deadline: Deadline) -> Mapping[str, TaskTotals] | None:
        """Return the totals by task name; None without a store, or when it cannot be read."""
        try:
            store = self._open()
            reading = None if store is None else store.read(deadline, totals=True)
        except CeleryHealthError:
            return None
        return None if reading is None else totals_by_task(reading.totals or {})

    def rows(self, workers: Iterable[Worker], deadline: Deadline) -> RowsReading:
        """Return the tasks that `workers` hold, one by one; none without a store.

        Raises:
            StoreError: it cannot be read.
        """
        store = self._open()
        return RowsReading() if store is None else store.rows(processes_of(workers), deadline)

    def minutes(self, epoch: int, known: Collection[int], deadline: Deadline) -> MinutesReading | None:
        """Return the minutes of the last hour that are not `known`; None without a store.

        Raises:
            StoreError: it cannot be read.
        """
        store = self._open()
        return None if store is None else store.minutes(epoch, known, deadline)

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._store is not None:
            self._store.close()


class _Notes:
    """Keeps what could not be made of a record, so that one odd record hides no other."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, stored: StoredRecord, error: Exception) -> None:
        """Note that nothing could be made of a record."""
        skipped.count("reading.record")
        self.texts.append(
            f"The record of '{stored.name}' in the store cannot be read and was left out "
            f"({describe_error(error)}). Restart it with the version of celery_health that runs here."
        )


def _beats(reading: StoreReading, limits: Limits, notes: _Notes) -> tuple[Beat, ...]:
    beats = []
    for one in reading.beats:
        try:
            beats.append(beat_of(one, limits))
        except Exception as error:  # as with workers
            notes.add(one, error)
    return tuple(beat for beat in beats if beat is not None)


def _distinct(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))


def _outcomes(minutes: Iterable[Mapping[tuple[str, str], int]]) -> Mapping[str, TaskOutcomes]:
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for minute in minutes:
        for (name, outcome), count in minute.items():
            sums[name][outcome] += count
    # An outcome of a later version is none that this one knows.
    return {
        name: TaskOutcomes(**{outcome: counts[outcome] for outcome in _OUTCOMES if outcome in counts})
        for name, counts in sums.items()
    }
