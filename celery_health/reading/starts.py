"""How often each worker's name has started lately, and why its last process ended: pure.

The record of a process that ended is hidden by that of the next one of its name; here it is still asked why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from celery_health.conf import Limits
from celery_health.reading.fields import clean
from celery_health.records import Exit, Starts, Worker
from celery_health.store.base import StoredRecord, StoredStart, StoredStarts, StoreReading
from celery_health.store.keys import STARTS_SECONDS

#: Characters of a cause; workers write fewer.
MAX_CAUSE: Final = 500
#: Of what tells processes apart, the starts hold so many characters: see starts.lua.
WRITER_LENGTH: Final = 8


def exit_of(record: Mapping[str, Any]) -> Exit | None:
    """Return why the worker of a record ended, by its own word."""
    told = record.get("exit")
    if not isinstance(told, Mapping) or not isinstance(told.get("cause"), str):
        return None
    return Exit(cause=clean(told["cause"], MAX_CAUSE), at_start=told.get("at_start") is True)


def with_starts(workers: Sequence[Worker], reading: StoreReading, limits: Limits) -> tuple[Worker, ...]:
    """Return `workers`, the youngest of each name with the starts under it.

    Args:
        workers: built of the records of `reading`; of each name the youngest last.
        reading: of the store.
        limits: of the verdict.
    """
    if not reading.starts:
        return tuple(workers)
    places: dict[str, list[int]] = {name: [] for name in reading.starts}
    for place, worker in enumerate(workers):
        if worker.hostname in places:
            places[worker.hostname].append(place)
    records: dict[str, list[StoredRecord]] = {name: [] for name in places}
    for stored in reading.workers:
        if stored.name in records:
            records[stored.name].append(stored)
    found, now = list(workers), int(reading.server_time * 1e6)
    for name, own in places.items():
        if own:
            living = {one.writer for place in own if (one := workers[place]).state.is_live}
            dead = (stored for stored in records[name] if stored.writer not in living)
            known = _starts(reading.starts[name], living, dead, now, limits.start_seconds)
            found[own[-1]] = replace(found[own[-1]], starts=known)
    return tuple(found)


def _starts(
    kept: StoredStarts,
    living: Iterable[str | None],
    dead: Iterable[StoredRecord],
    now: int,
    least_seconds: float,
) -> Starts:
    recent = [start for start in kept.starts if now - start.stamp <= STARTS_SECONDS * 1e6]
    alive = {writer[:WRITER_LENGTH] for writer in living if writer}
    broken = [start for start in recent if not start.is_told and start.writer not in alive]
    untold = (one for one in dead if not one.record.get("goodbye") and not one.record.get("draining"))
    # Whose record is the youngest ended last.
    last = min(untold, key=lambda one: one.age_seconds, default=None)
    return Starts(
        count=len(recent),
        seconds=max((_age(start.stamp, now) for start in recent), default=0.0),
        ready_count=sum(start.is_ready for start in recent),
        broken_count=len(broken),
        vain_count=kept.vain_count,
        vain_seconds=_age(kept.vain_since, now) if kept.vain_since else 0.0,
        is_over=_is_over(recent, broken, alive, now, least_seconds),
        last_exit=None if last is None else exit_of(last.record),
    )


def _is_over(
    recent: Sequence[StoredStart],
    broken: Sequence[StoredStart],
    alive: Collection[str],
    now: int,
    least_seconds: float,
) -> bool:
    """Say whether the last start came to something: it has lived for twice as long as any of the broken."""
    last = recent[-1] if recent else None
    if last is None or not last.is_ready or last.writer not in alive:
        return False
    lives = [(later.stamp - one.stamp) / 1e6 for one, later in zip(broken, broken[1:], strict=False)]
    return _age(last.stamp, now) > max([least_seconds, *(2 * life for life in lives)])


def _age(stamp: int, now: int) -> float:
    return max(0.0, (now - stamp) / 1e6)
