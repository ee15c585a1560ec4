"""The schedule as a whole: what every beat says of each entry, put together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from django.apps import apps

from celery_health.reading.restarted_beats import with_restarts
from celery_health.records import Beat, BeatState, ScheduleEntryState
from celery_health.topology import configured_schedule

if TYPE_CHECKING:
    from celery import Celery

#: How long a run that was due while no beat ran is called missed, if nothing makes up for it.
MISSED_MEMORY_SECONDS: Final = 86400.0
#: What is due this soon makes up for itself what it missed.
_SOON_SECONDS: Final = 60.0

#: A beat tells its schedule once it has worked through it for the first time.
_TELLING_SECONDS: Final = 15.0

_SENDING: Final = (BeatState.OK, BeatState.STUCK, BeatState.UNKNOWN)


def sending_beats(beats: Iterable[Beat]) -> tuple[Beat, ...]:
    """Return the beats that send, or are there to: neither ended nor standing by."""
    return tuple(beat for beat in beats if beat.state in _SENDING)


def last_beat(beats: Iterable[Beat]) -> Beat | None:
    """Return the one seen last of those that have ended."""
    ended = [beat for beat in beats if beat.state.has_ended]
    return min(ended, key=lambda beat: beat.last_seen_seconds, default=None)


def schedule_entries(beats: Iterable[Beat]) -> tuple[ScheduleEntryState, ...] | None:
    """Return each entry once, by name; None when no beat says what its schedule holds.

    Entries are those of the beats that live; of the last one, if none does. Of two beats that both have an
    entry, the one counts that sends it: an entry is late if nobody sent it.
    """
    beats = tuple(beats)
    last = last_beat(beats)
    living = sending_beats(beats)
    sources = living or ((last,) if last is not None else ())
    told = [beat for beat in sources if beat.entries is not None]
    if living and not told and last is not None and last.entries is not None and _have_just_come(living):
        told = [last]
    if not told:
        return None
    merged: dict[str, tuple[ScheduleEntryState, Beat]] = {}
    for beat in told:
        for entry in beat.entries or ():
            known = merged.get(entry.entry)
            if known is None or _lateness(entry) < _lateness(known[0]):
                merged[entry.entry] = entry, beat
    entries = (_with_missed(*merged[name], beats) if living else merged[name][0] for name in sorted(merged))
    return tuple(with_restarts(entry, beats) for entry in entries)


def _have_just_come(beats: Iterable[Beat]) -> bool:
    """Say whether beats have not had the time to tell their schedule: it is that of the one before."""
    return all((beat.uptime_seconds or 0.0) < _TELLING_SECONDS for beat in beats)


def untold_entries(beats: Iterable[Beat], told: int) -> int:
    """Return how many entries there are more than the `told` ones: a beat bounds its list."""
    beats = tuple(beats)
    last = last_beat(beats)
    sources = sending_beats(beats) or ((last,) if last is not None else ())
    return max(0, max((beat.entries_total or 0 for beat in sources), default=0) - told)


def _lateness(entry: ScheduleEntryState) -> float:
    # One that nobody can judge must not hide one that somebody can.
    return float("inf") if entry.overdue_seconds is None else entry.overdue_seconds


def _with_missed(entry: ScheduleEntryState, beat: Beat, beats: tuple[Beat, ...]) -> ScheduleEntryState:
    """Return the entry as overdue since a run that was due while no beat ran, and that nobody made up for.

    A beat that starts with a new schedule file takes every entry for just run: a daily one that was due
    before it started is sent tomorrow, and nobody is told.
    """
    # Due soon, or late by its own beat's account: it will be sent, or is judged already.
    if not entry.enabled or beat.uptime_seconds is None:
        return entry
    if (entry.next_due_in_seconds or 0.0) <= _SOON_SECONDS:
        return entry
    sent = [
        one.last_sent_seconds
        for other in beats
        for one in other.entries or ()
        if one.entry == entry.entry and one.last_sent_seconds is not None
    ]
    missed = [
        left.overdue_seconds
        for other in beats
        if other.state.has_ended
        for left in other.entries or ()
        if left.entry == entry.entry
        and left.overdue_seconds is not None
        # Due before the beat started that should have sent it, on the schedule that it has.
        and beat.uptime_seconds < left.overdue_seconds <= MISSED_MEMORY_SECONDS
        and (left.task, left.schedule, left.enabled) == (entry.task, entry.schedule, True)
        and not _ran_since(entry, left)
        and not any(seconds < left.overdue_seconds for seconds in sent)
    ]
    return replace(entry, overdue_seconds=max(missed), missed=True) if missed else entry


def _ran_since(entry: ScheduleEntryState, left: ScheduleEntryState) -> bool:
    """Say whether the scheduler remembers a run since `left` was due, as those with a lasting memory do."""
    if entry.last_sent_at is None or left.next_due_at is None:
        return False
    return entry.last_sent_at >= left.next_due_at


def schedule_exists(app: Celery, *, is_imported: bool) -> bool | None:
    """Say whether an app has a schedule in its settings; None where it may be kept elsewhere.

    Task modules may add to it: before they are imported, that none is seen says nothing.
    """
    if configured_schedule(app):
        return True
    scheduler = str(app.conf.beat_scheduler or "")
    if not is_imported or (scheduler and not scheduler.startswith("celery.beat:")):
        return None
    # Its scheduler is mostly chosen on beat's own command line.
    return None if apps.is_installed("django_celery_beat") else False
