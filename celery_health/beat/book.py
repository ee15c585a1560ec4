"""The rows of beat's record: each entry of the schedule, when it was sent and how late it is.

Lateness is measured on the monotonic clock, so that a clock that is set back does not hide that nothing is
sent. Belongs to the agent's thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from celery_health.beat.entries import MAX_NAME, EntryFacts
from celery_health.beat.sources import MAX_ENTRIES, Heap, Listing
from celery_health.beat.ticks import Sending, Ticks
from celery_health.records.beats import fingerprint
from celery_health.reporting.faults import Faults
from celery_health.store.base import OwnEntry
from celery_health.topology import Resolver

#: Entries due further apart follow the wall clock when it is set: a daily one keeps its hour.
_MONOTONIC_UP_TO_SECONDS: Final = 3600.0
#: The options of an entry that say where it goes.
_ROUTING: Final = ("queue", "exchange", "routing_key")


@dataclass(kw_only=True, slots=True)
class _Memory:
    """What is remembered of one entry from look to look. Stamps are ``time.monotonic`` seconds."""

    appeared_at: float
    """Since when it is on the schedule and switched on, without a break."""
    facts: EntryFacts
    due: float | None = None
    """When it is due, for the `EntryFacts.due` that was seen."""
    late_since: float | None = None
    """Since when it is overdue; None while it is not."""
    judged: bool = True


class Book:
    """Merges what the schedule says with what was seen being sent."""

    def __init__(self, app: Any, ticks: Ticks, heap: Heap, faults: Faults) -> None:
        self._app = app
        self._ticks = ticks
        self._heap = heap
        self._faults = faults
        self._memories: dict[str, _Memory] = {}
        self._resolver: Resolver | None = None
        self._queues: dict[tuple[str, ...], str | None] = {}
        self.stored: Listing | None = None
        """The last reading of a schedule that lives outside beat."""
        self.stored_is_judged = False
        self.total: int | None = None
        """How many entries there are; None when nobody can say."""

    def rows(self) -> list[dict[str, Any]] | None:
        """Return the entries, most urgent first, as JSON can hold them; None when there is nothing to see."""
        now = monotonic()
        sendings = self._ticks.entries.copy()
        listed = self._listed(sendings)
        if listed is None:
            return None
        ahead = self._app.now().timestamp() - now
        memories = {}
        for facts, judged, read_at in listed:
            memory = self._remember(facts, now)
            memory.judged = judged
            self._time(memory, sendings.get(facts.name), read_at, now, ahead)
            memories[facts.name] = memory
        self._memories = memories
        ordered = sorted(memories.values(), key=lambda m: m.late_since or m.due or float("inf"))
        wall = time.time()
        return [self._row(m, sendings.get(m.facts.name), now, wall) for m in ordered[:MAX_ENTRIES]]

    def listed(self) -> tuple[OwnEntry, ...]:
        """Return those that are judged for the store, which remembers across restarts of beat."""
        now, sendings = monotonic(), self._ticks.entries.copy()
        return tuple(
            OwnEntry(
                name=name[:MAX_NAME],
                fingerprint=fingerprint(
                    memory.facts.task[:MAX_NAME], memory.facts.schedule, memory.facts.enabled
                ),
                done_seconds=_since(sending.settled_at if (sending := sendings.get(name)) else None, now),
            )
            for name, memory in list(self._memories.items())[:MAX_ENTRIES]
            if memory.judged
        )

    # Which entries there are

    def _listed(self, sendings: Mapping[str, Sending]) -> list[tuple[EntryFacts, bool, float]] | None:
        """Return the entries, whether each is judged, and when it was read."""
        heap = self._heap.look()
        found = {facts.name: (facts, True, heap.read_at) for facts in heap.entries} if heap else {}
        self.total = heap.total if heap else None
        # Taken from the heap while it is sent, which may take as long as the broker is away.
        current = self._ticks.current
        if heap and current is not None and current not in found and current in self._memories:
            found[current] = self._memories[current].facts, True, heap.read_at
        stored = self.stored
        if stored is not None:
            for facts in stored.entries:
                found.setdefault(facts.name, (facts, self.stored_is_judged, stored.read_at))
            self.total = max(stored.total, len(found))
        if found or heap or stored:
            return list(found.values())
        # A scheduler of its own kind: what it sent is all that is known.
        seen = [EntryFacts(name=name, task=sending.task) for name, sending in sendings.items()]
        return [(facts, True, monotonic()) for facts in seen[-MAX_ENTRIES:]] or None

    def _remember(self, facts: EntryFacts, now: float) -> _Memory:
        memory = self._memories.get(facts.name)
        if memory is None or (facts.enabled and not memory.facts.enabled):
            return _Memory(appeared_at=now, facts=facts)
        if memory.facts.due != facts.due:
            memory.due = None
        memory.facts = facts
        return memory

    # When they are due

    def _time(
        self, memory: _Memory, sending: Sending | None, read_at: float, now: float, ahead: float
    ) -> None:
        """Work out when an entry is due and since when it is late. `ahead`: unix seconds less monotonic."""
        memory.due = self._due(memory, sending, read_at, ahead)
        failing = None if sending is None else sending.failing_since
        if not memory.facts.enabled or not memory.judged:
            memory.late_since = None
        elif failing is not None:
            # Late before it failed, as when beat had to wait for the broker.
            late = memory.late_since
            settled = (sending and sending.settled_at) or 0.0
            memory.late_since = min(failing, late) if late is not None and late > settled else failing
        else:
            memory.late_since = memory.due if memory.due is not None and memory.due < now else None

    def _due(self, memory: _Memory, sending: Sending | None, read_at: float, ahead: float) -> float | None:
        facts = memory.facts
        if not facts.enabled or facts.due is None:
            return None
        settled = None if sending is None else sending.settled_at
        due: float | None
        if settled is not None and settled > read_at:
            due = None  # sent since: when it is due next has not been read yet
        elif memory.due is not None and self._period(facts) <= _MONOTONIC_UP_TO_SECONDS:
            due = memory.due
        else:
            due = facts.due - ahead
        if facts.every_seconds is not None and settled is not None:
            # Whatever the wall clock did: so long after it was sent it is due again.
            begins = 0.0 if facts.begins is None else facts.begins - ahead
            again = max(settled, memory.appeared_at, begins) + facts.every_seconds
            due = again if due is None else min(due, again)
        postponed = self._ticks.postponed.get(facts.name)
        # Looked at and not due, but left at its place in the heap: Celery before 5.7.
        return due if due is None or postponed is None else max(due, postponed)

    @staticmethod
    def _period(facts: EntryFacts) -> float:
        """Return the seconds from one run to the next, about; infinity when nobody can say."""
        if facts.every_seconds is not None:
            return facts.every_seconds
        if facts.last_run is None or facts.due is None:
            return float("inf")
        return max(0.0, facts.due - facts.last_run.timestamp())

    # As JSON

    def _row(self, memory: _Memory, sending: Sending | None, now: float, wall: float) -> dict[str, Any]:
        facts = memory.facts
        late = 0.0 if memory.late_since is None else now - memory.late_since
        period = self._period(facts)
        row: dict[str, Any] = {
            "entry": facts.name[:MAX_NAME],
            "task": facts.task[:MAX_NAME],
            "queue": self._queue(facts),
            "schedule": facts.schedule,
            "enabled": facts.enabled,
            "last_sent_at": _last_sent(facts, sending),
            "last_sent_seconds": _since(sending.sent_at if sending else None, now),
            "next_due_at": _iso(facts.due) if facts.enabled else None,
            "next_due_in_seconds": None if memory.due is None else round(memory.due - now, 1),
            # Unknown of what is only listed: whether it is sent is not this beat's to say.
            "overdue_seconds": round(late, 1) if memory.judged else None,
            "interval_seconds": None if period in (0.0, float("inf")) else round(period, 1),
            "last_error": sending.error if sending else None,
        }
        if not memory.judged:
            row["next_due_in_seconds"] = None
        return {key: value for key, value in row.items() if value is not None}

    def _queue(self, facts: EntryFacts) -> str | None:
        key = facts.task, *(str(facts.options.get(name)) for name in _ROUTING)
        if key not in self._queues:
            if len(self._queues) >= 2 * MAX_ENTRIES:
                self._queues.clear()
                self._resolver = None  # it remembers names, too
            self._queues[key] = self._resolved(facts)
        return self._queues[key]

    def _resolved(self, facts: EntryFacts) -> str | None:
        try:
            if self._resolver is None:
                self._resolver = Resolver(self._app)
            return self._resolver.resolve(facts.task, facts.options).queue
        except Exception as error:  # a router of the project's may raise anything
            self._faults.caught("beat.route", error)
            return None


def _last_sent(facts: EntryFacts, sending: Sending | None) -> str | None:
    """Return when it was last sent: as this process saw it, else as the scheduler remembers."""
    if sending is not None and sending.sent_wall is not None:
        return _iso(sending.sent_wall)
    if sending is not None and sending.failing_since is not None:
        return None  # the scheduler counts attempts as runs
    return None if facts.last_run is None else facts.last_run.isoformat(timespec="seconds")


def _since(stamp: float | None, now: float) -> float | None:
    return None if stamp is None else round(max(0.0, now - stamp), 1)


def _iso(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None
