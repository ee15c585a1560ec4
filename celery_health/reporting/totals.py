"""Counters and histograms in plain Python, for one process: workers, beat and producers alike.

The hot path is a method of a cached `TaskSeries`: it adds to an integer and leaves, without a lock, without
allocating and without I/O. `Totals.drain` takes out what was added since the last time. Needs neither
Celery nor Django nor Redis.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from celery_health import counters
from celery_health.counters import CUSTOM, OTHER, SEPARATOR, Family, custom_labels, encode
from celery_health.records import Streak
from celery_health.reporting.admission import Admission
from celery_health.reporting.series import TaskSeries

#: Pairs of name and queue: without a cap of their own there could be 250,000.
MAX_SERIES: Final = 2000
#: Fields with opted-in labels that wait to be sent; which values these may have, the store decides.
MAX_LABELLED: Final = 5_000

#: The outcomes that the ring of minutes keeps, as in its keys.
#: "killed" and "expected" are told again of what "failed" or "redelivered" has; readers that do not know an
#: outcome leave it out.
RING_OUTCOMES: Final = (
    "succeeded", "failed", "retried", "unknown", "sent",
    "rejected", "expired", "redelivered", "killed", "expected", "ignored",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What was added to the totals since they were last drained."""

    fields: Mapping[str, int] = field(default_factory=dict)
    """Field of the totals (see `counters.encode`) to what it grew by; never 0."""
    ring: Mapping[str, int] = field(default_factory=dict)
    """``name\\x1foutcome`` (see `RING_OUTCOMES`) to how many."""
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    """Task name to how its last runs ended, in a row."""

    @property
    def empty(self) -> bool:
        """Say whether nothing was added: there is no streak without a count."""
        return not self.fields and not self.ring

    def merge(self, later: Batch) -> Batch:
        """Return both together, as one batch."""
        return Batch(
            fields=_added(self.fields, later.fields),
            ring=_added(self.ring, later.ring),
            streaks=_joined(self.streaks, later.streaks),
        )


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    if not one or not other:
        return one or other
    total = dict(one)
    for key, amount in other.items():
        total[key] = total.get(key, 0) + amount
    return total


def _joined(one: Mapping[str, Streak], later: Mapping[str, Streak]) -> Mapping[str, Streak]:
    if not one or not later:
        return one or later
    streaks = dict(one)
    for name, streak in later.items():
        known = streaks.get(name)
        streaks[name] = streak if known is None else known.then(streak)
    return streaks


class Totals:
    """What one process has counted and not yet handed on. Safe in threads, in greenlets and after a fork."""

    def __init__(self) -> None:
        self._admission = Admission()
        self._series: dict[tuple[str, str], TaskSeries] = {}
        self._counts: dict[str, int] = {}
        self._unknown: dict[str, int] = {}
        self._ring: dict[str, int] = {}
        self._labelled: set[str] = set()
        self.label_caps: dict[str, int] = {}
        """Label that was opted in to how many values it may have over all workers."""
        _register(self)

    def series(self, name: str, queue: str) -> TaskSeries:
        """Return the counts of the task `name` taken from `queue` (sent to it): always the same object.

        Over a cap it is the one of "other", and the overflow is counted at each call.
        """
        return self._series.get((name, queue)) or self._add_series(name, queue)

    def _add_series(self, name: str, queue: str) -> TaskSeries:
        with self._admission.lock:
            key = self._admission.admit("name", name), self._admission.admit("queue", queue)
            if key not in self._series and len(self._series) >= MAX_SERIES:
                self._admission.refuse("name")
                key = OTHER, OTHER
            return self._series.setdefault(key, TaskSeries(self._admission, *key))

    def sent(self, name: str, queue: str) -> None:
        """Count a message that this process published."""
        self.series(name, queue).sent()

    def unknown(self, name: str) -> None:
        """Count a message whose task name this worker does not register."""
        with self._admission.lock:
            name = self._admission.admit("name", name, table="unknown")
            self._unknown[name] = self._unknown.get(name, 0) + 1

    def unsent(self, name: str, exception: str, *, is_refused: bool) -> None:
        """Count a task that was to be sent, and was not; `is_refused`: by its broker."""
        self._rare(counters.PUBLISH_FAILED, name, exception, "refused" if is_refused else None)

    def unstored(self, name: str, exception: str) -> None:
        """Count a result that could not be stored."""
        self._rare(counters.RESULT_FAILED, name, exception, "unstored")

    def _rare(self, family: Family, name: str, exception: str, outcome: str | None) -> None:
        with self._admission.lock:
            name = self._admission.admit("name", name)
            self._add(encode(family, (name, self._admission.admit("exception", exception))), 1)
            if outcome is not None:
                key = f"{name}{SEPARATOR}{outcome}"
                self._ring[key] = self._ring.get(key, 0) + 1

    def labelled(self, family: Family, series: TaskSeries, labels: str, *more: str) -> None:
        """Count a fact of a task under labels of its own instead of in its series.

        Args:
            family: of how a run begins or ends.
            series: the task's.
            labels: as `counters.custom_labels` writes them.
            more: the family's labels behind name and queue.
        """
        with self._admission.lock:
            rest = map(self._admission.admit, family.labels[2:], more)
            base = encode(family, (series.name, series.queue, *rest))
            if (field := base + labels) not in self._labelled:
                if len(self._labelled) < MAX_LABELLED:
                    self._labelled.add(field)
                else:
                    field = base + self._others(labels)
            self._add(field, 1)
            if family.name in RING_OUTCOMES:
                key = f"{series.name}{SEPARATOR}{family.name}"
                self._ring[key] = self._ring.get(key, 0) + 1

    def _others(self, labels: str) -> str:
        names = [item.partition("=")[0] for item in labels.split(CUSTOM)[1:]]
        for name in names:
            self._admission.refuse(name)
        return custom_labels((name, OTHER) for name in names)

    def all_sent(self) -> None:
        """Make room for other labels: nothing that was drained waits any more."""
        if self._labelled:
            with self._admission.lock:
                self._labelled = set()

    def overflowed(self) -> set[str]:
        """Return the labels of which values became "other" since this was last asked."""
        return self._admission.overflowed()

    def internal_error(self, where: str) -> None:
        """Count an error of our own that was caught at `where`, a fixed place in the code."""
        self.count(counters.INTERNAL_ERRORS, where)

    def count(self, family: Family, *labels: str, amount: int = 1) -> None:
        """Add to a counter of any family; each label value is cleaned and capped."""
        with self._admission.lock:
            admitted = map(self._admission.admit, family.labels, labels)
            self._add(encode(family, tuple(admitted)), amount)

    def drain(self) -> Batch:
        """Return what was added since the last drain; what is added meanwhile is in this one or the next."""
        fields: dict[str, int] = {}
        ring: dict[str, int] = {}
        streaks: dict[str, Streak] = {}
        for series in tuple(self._series.values()):
            series.unload(fields, ring, streaks)
        with self._admission.lock:
            counts, self._counts = self._counts, {}
            refused = self._admission.drain()
            unknown, self._unknown = self._unknown, {}
            labelled, self._ring = self._ring, {}
        for key, amount in (*counts.items(), *refused.items()):
            fields[key] = fields.get(key, 0) + amount
        for name, amount in unknown.items():
            fields[encode(counters.UNKNOWN, (name,))] = amount
            ring[f"{name}{SEPARATOR}unknown"] = amount
        for key, amount in labelled.items():
            ring[key] = ring.get(key, 0) + amount
        return Batch(fields=fields, ring=ring, streaks=streaks)

    def _add(self, field: str, amount: int) -> None:
        self._counts[field] = self._counts.get(field, 0) + amount

    def _forget(self) -> None:
        """Start from zero with a new lock: what the parent counted is the parent's to hand on."""
        self._admission.forget()
        self._counts, self._unknown, self._ring = {}, {}, {}
        self._labelled = set()
        for series in self._series.values():
            series.forget()


_living: weakref.WeakSet[Totals] = weakref.WeakSet()
_hooked = False


def _register(totals: Totals) -> None:
    """Have `totals` forget what it holds in every process forked from this one."""
    global _hooked
    _living.add(totals)
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    for totals in tuple(_living):
        totals._forget()
