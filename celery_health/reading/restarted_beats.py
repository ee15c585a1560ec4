"""Entries that no beat lives long enough to send: pure.

A beat without its schedule file takes each entry for just sent when it starts. If it starts again before the
interval of an entry is over, that one is never sent, and by its own account nothing is ever late. The store
remembers, across all beats, when each was last sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from celery_health.records import Beat, ScheduleEntryState
from celery_health.records.beats import fingerprint
from celery_health.store.base import StoredEntry

#: A beat counts the interval from its own start, if at its start this part of it was left.
_ANEW: Final = 0.9
#: So many starts are no accident; two are, until a second interval is over.
_STARTS: Final = 3


def with_unsent(beats: Iterable[Beat], kept: Mapping[str, StoredEntry]) -> tuple[Beat, ...]:
    """Return `beats`, their entries with what the store has kept of them."""
    if not kept:
        return tuple(beats)
    return tuple(
        beat
        if beat.entries is None
        else replace(
            beat, entries=tuple(_with_unsent(entry, kept.get(entry.entry)) for entry in beat.entries)
        )
        for beat in beats
    )


def _with_unsent(entry: ScheduleEntryState, kept: StoredEntry | None) -> ScheduleEntryState:
    if kept is None or kept.fingerprint != fingerprint(entry.task, entry.schedule, entry.enabled):
        return entry
    done = kept.listed_seconds if kept.done_seconds is None else kept.done_seconds
    return replace(entry, unsent_seconds=min(done, kept.listed_seconds))


def with_restarts(entry: ScheduleEntryState, beats: Iterable[Beat]) -> ScheduleEntryState:
    """Return an entry as overdue since its interval was over, where beats start anew before it is.

    Nothing is said of one whose beat remembers when it was sent, or that a beat will soon send after all: of
    one start, as a deployment has, the entry is late by one interval at most.
    """
    interval, unsent = entry.interval_seconds, entry.unsent_seconds
    if not entry.enabled or unsent is None or not interval or entry.last_error:
        return entry
    # Of crontabs no start moves the time.
    if not (entry.schedule or "").startswith("every "):
        return entry
    late = unsent - interval
    # Late by its own beat's account: that one has to say why.
    if late <= 0 or (entry.overdue_seconds and not entry.missed):
        return entry
    beats = tuple(beats)
    own = next((beat for beat in beats if beat.name == entry.beat), None)
    if own is None or not _counts_anew(entry, own, interval):
        return entry
    starts = sum(1 for beat in beats if _began_within(beat, unsent, entry))
    if starts >= _STARTS or (starts == _STARTS - 1 and late > interval):
        return replace(
            entry, overdue_seconds=max(late, entry.overdue_seconds or 0.0), restarts=starts, missed=False
        )
    return entry


def _counts_anew(entry: ScheduleEntryState, beat: Beat, interval: float) -> bool:
    """Say whether a beat took an entry for just sent when it started."""
    if entry.next_due_in_seconds is None or beat.uptime_seconds is None:
        return False
    return entry.next_due_in_seconds + beat.uptime_seconds >= _ANEW * interval


def _began_within(beat: Beat, seconds: float, entry: ScheduleEntryState) -> bool:
    """Say whether a beat that has the entry, as far as it told, started within the last `seconds`."""
    if beat.uptime_seconds is None or beat.uptime_seconds >= seconds:
        return False
    return beat.entries is None or any(
        (one.entry, one.schedule) == (entry.entry, entry.schedule) for one in beat.entries
    )
