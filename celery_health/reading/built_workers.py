"""The workers of records, built when their record changes and aged from reading to reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery_health.conf import Limits
from celery_health.reading.processes import Shown
from celery_health.reading.worker_reports import aged, worker_from_report
from celery_health.reading.worker_states import recorded_state
from celery_health.records import Source, Worker

#: Sets of registered names to keep: workers of one deployment share theirs.
MAX_SETS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """A worker as its record describes it, and what it was built of."""

    record: Mapping[str, Any]
    names: tuple[str, ...] | None
    worker: Worker
    """Its ages are those at the moment of the report."""

    def is_of(self, record: Mapping[str, Any], names: tuple[str, ...] | None, *, is_doubled: bool) -> bool:
        """Say whether the same would come of these. A store hands out the same record until it changes."""
        return self.record is record and self.names is names and self.worker.is_doubled == is_doubled


class BuiltWorkers:
    """Keeps the workers of the last reading. One thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._built: dict[tuple[str, str], _Built] = {}
        self._kept: dict[tuple[str, str], _Built] = {}
        self._sets: dict[tuple[str, ...], frozenset[str]] = {}

    def keep(self) -> None:
        """Forget the workers that were not asked for since the last call."""
        self._built, self._kept = self._kept, {}

    def worker(self, one: Shown, registered: Mapping[str, tuple[str, ...]]) -> Worker:
        """Return the worker of a record, as it is by now.

        Args:
            one: the record, and whether another process of its name lives.
            registered: fingerprint → task names.
        """
        stored, record = one.stored, one.stored.record
        names = registered.get(str(record.get("fingerprint")))
        key = stored.name, stored.writer
        built = self._built.get(key)
        is_lost = stored.age_seconds > self._limits.worker_lost_seconds
        if built is None or is_lost or not built.is_of(record, names, is_doubled=one.is_doubled):
            state = recorded_state(record, stored.age_seconds, self._limits)
            worker = worker_from_report(
                stored.name,
                record,
                state=state,
                source=Source.HEARTBEATS,
                age_seconds=0.0,
                registered=self._registered(names),
                is_doubled=one.is_doubled,
                writer=stored.writer,
            )
            built = _Built(record=record, names=names, worker=worker)
        self._kept[key] = built
        return aged(built.worker, stored.age_seconds)

    def _registered(self, names: tuple[str, ...] | None) -> frozenset[str] | None:
        """Return the names as a set: one for all workers that register the same."""
        if names is None:
            return None
        found = self._sets.get(names)
        if found is None:
            if len(self._sets) > MAX_SETS:
                self._sets.clear()
            found = self._sets[names] = frozenset(names)
        return found
