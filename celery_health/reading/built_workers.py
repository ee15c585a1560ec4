"""The workers of records, built when their record changes and aged from reading to reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from celery_health.conf import Limits
from celery_health.reading.processes import Shown
from celery_health.reading.worker_reports import aged, changed_keys, with_changes, worker_from_report
from celery_health.reading.worker_states import recorded_state
from celery_health.records import Source, Worker
from celery_health.store.base import StoredRecord

#: Sets of registered names to keep: workers of one deployment share theirs.
MAX_SETS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """A worker as its record describes it, and what it was built of."""

    record: Mapping[str, Any]
    fingerprint: str
    names: tuple[str, ...] | None
    is_lost: bool
    worker: Worker
    """Its ages are those at the moment of the report."""


class BuiltWorkers:
    """Keeps the workers of the last reading, each until its record changes. One thread at a time.

    What the age of a record decides, whether its worker is lost, is looked at in each reading.
    """

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
        stored, is_doubled = one
        age_seconds = stored.age_seconds
        key = stored.name, stored.writer
        built = self._built.get(key)
        # A store hands out the same record until it changes.
        if (
            built is None
            or built.record is not stored.record
            or built.is_lost is not (age_seconds > self._limits.worker_lost_seconds)
            or built.names is not registered.get(built.fingerprint)
            or built.worker.is_doubled is not is_doubled
        ):
            built = self._build(stored, built, registered, is_doubled=is_doubled)
        self._kept[key] = built
        return aged(built.worker, age_seconds)

    def _build(
        self,
        stored: StoredRecord,
        before: _Built | None,
        registered: Mapping[str, tuple[str, ...]],
        *,
        is_doubled: bool,
    ) -> _Built:
        record = stored.record
        fingerprint = str(record.get("fingerprint"))
        names = registered.get(fingerprint)
        state = recorded_state(record, stored.age_seconds, self._limits)
        changed = None
        if before is not None and before.names is names and before.worker.is_doubled is is_doubled:
            changed = changed_keys(before.record, record)
        if before is not None and changed is not None and "registered" not in changed:
            worker = with_changes(before.worker, record, changed, state=state)
        else:
            worker = worker_from_report(
                stored.name,
                record,
                state=state,
                source=Source.HEARTBEATS,
                registered=self._registered(names),
                is_doubled=is_doubled,
                writer=stored.writer,
            )
        return _Built(
            record=record,
            fingerprint=fingerprint,
            names=names,
            is_lost=stored.age_seconds > self._limits.worker_lost_seconds,
            worker=worker,
        )

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
