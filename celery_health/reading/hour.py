"""The last hour of all tasks: minutes that are over are kept, so that only the newest are read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from celery_health.counters import OTHER
from celery_health.records import HOUR_MINUTES, Hour, TaskHour
from celery_health.store import MinuteCounts, MinutesReading
from celery_health.store.keys import MAX_RING_FIELDS
from celery_health.store.readings import clean_name

OUTCOMES: Final = ("succeeded", "failed", "retried", "unknown", "rejected", "expired", "redelivered")
#: Exceptions that one task's hour tells apart, the most frequent; the others are without a name.
MAX_EXCEPTIONS: Final = 20

#: Task name and outcome, or task name and exception → 60 counts, the oldest minute first.
_Rows = dict[tuple[str, str], list[int]]


class HourMemory:
    """What a process keeps of the last hour; one thread at a time.

    One list of 60 counts for each name and outcome, of so many at most: a dictionary for each minute would be
    some hundred megabytes of a full ring.
    """

    def __init__(self) -> None:
        self.epoch = 0
        """Of all that is kept; 0 for nothing."""
        self.final: frozenset[int] = frozenset()
        """Minutes (unix seconds // 60 by the store's clock) that need not be read again."""
        self._present = 0
        self._outcomes: _Rows = {}
        self._exceptions: _Rows = {}

    def take(self, reading: MinutesReading) -> Hour:
        """Take over what was read, and return the hour."""
        present = int(reading.server_time // 60)
        if reading.epoch != self.epoch or present < self._present:
            # Another epoch starts from zero; a clock that was put back has the same minutes again.
            self._outcomes, self._exceptions, self.final = {}, {}, frozenset()
        else:
            for rows in (self._outcomes, self._exceptions):
                _move(rows, present - self._present)
        self.epoch, self._present = reading.epoch, present
        oldest = present - HOUR_MINUTES + 1
        hour = range(oldest, present + 1)
        # Whatever the reading took for known: what is not here is not known.
        unread = {minute for minute in hour if minute not in reading.minutes and minute not in self.final}
        read = [minute for minute in hour if minute in reading.minutes]
        for rows in (self._outcomes, self._exceptions):
            _clear(rows, [minute - oldest for minute in (*unread, *read)])
        for minute in read:
            self._add(minute - oldest, reading.minutes[minute])
        final = {minute for minute in read if reading.minutes[minute].is_final}
        self.final = frozenset(minute for minute in self.final | final if minute >= oldest)
        return self._hour(reading, frozenset(minute - oldest for minute in unread))

    def _add(self, place: int, counts: MinuteCounts) -> None:
        failing = set()
        for (name, outcome), amount in counts.outcomes.items():
            if outcome in OUTCOMES:
                _count(self._outcomes, (clean_name(name), outcome), (OTHER, outcome), place, amount)
                if outcome == "failed":
                    failing.add(name)
        for (name, exception), amount in counts.exceptions.items():
            # Where earlier versions have started the totals over, exceptions of the last epoch are left.
            if name in failing:
                key = clean_name(name), clean_name(exception)
                _count(self._exceptions, key, (OTHER, OTHER), place, amount)

    def _hour(self, reading: MinutesReading, unread: frozenset[int]) -> Hour:
        age = self._present - reading.epoch // 60_000_000
        minutes = min(HOUR_MINUTES, max(0, age) + 1) if reading.epoch else 0
        exceptions: dict[str, dict[str, int]] = {}
        for (name, exception), row in self._exceptions.items():
            exceptions.setdefault(name, {})[exception] = sum(row)
        ends: dict[str, dict[str, tuple[int, ...]]] = {}
        for (name, outcome), row in self._outcomes.items():
            if any(row):
                ends.setdefault(name, {})[outcome] = tuple(row)
        return Hour(
            taken_at=datetime.fromtimestamp(reading.server_time, UTC),
            minutes=minutes,
            unread=frozenset(place for place in unread if place >= HOUR_MINUTES - minutes),
            tasks={
                name: TaskHour(exceptions=_most_frequent(exceptions.get(name, {})), **of_outcome)
                for name, of_outcome in sorted(ends.items())
            },
            problems=reading.problems,
        )


def _move(rows: _Rows, minutes: int) -> None:
    """Let so many minutes go, and make room for as many; what is then empty goes, too."""
    if not minutes:
        return
    new = [0] * min(minutes, HOUR_MINUTES)
    for key, row in list(rows.items()):
        row[:] = row[minutes:] + new
        if not any(row):
            del rows[key]


def _clear(rows: _Rows, places: list[int]) -> None:
    for row in rows.values():
        for place in places:
            row[place] = 0


def _count(rows: _Rows, key: tuple[str, str], over: tuple[str, str], place: int, amount: int) -> None:
    """Add to a row; to that of `over` where `key` is new and there are too many."""
    row = rows.get(key)
    if row is None:
        key = over if len(rows) >= MAX_RING_FIELDS else key
        row = rows.setdefault(key, [0] * HOUR_MINUTES)
    row[place] += amount


def _most_frequent(exceptions: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(exceptions.items(), key=lambda item: (-item[1], item[0]))
    return dict([item for item in ordered if item[1]][:MAX_EXCEPTIONS])
