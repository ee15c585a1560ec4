"""The frozen records of beats and their schedules; None means unknown, as in `celery_health.records`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zlib import crc32


class BeatState(StrEnum):
    """What a beat is doing."""

    OK = "ok"
    STANDBY = "standby"
    """It waits for a lock that another beat holds."""
    STUCK = "stuck"
    """It lives, and its scheduler does not wake."""
    UNKNOWN = "unknown"
    """It has not been seen for a while, and not long enough to be gone."""
    STOPPED = "stopped"
    """It said goodbye."""
    GONE = "gone"
    """It fell silent, or an error ended it."""

    @property
    def has_ended(self) -> bool:
        """Say whether a beat in this state sends nothing any more."""
        return self in (BeatState.STOPPED, BeatState.GONE)


def fingerprint(task: str, schedule: str | None, enabled: bool) -> str:
    """Return what tells an entry from one of the same name that is another: hexadecimal."""
    return f"{crc32(f'{task} {schedule} {enabled}'.encode('utf-8', 'replace')):08x}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleEntryState:
    """One entry of a schedule, as the beat that sends it describes it."""

    entry: str
    task: str
    beat: str
    """The name of that beat."""
    queue: str | None = None
    """Where the app's router sends it; None when it goes to an exchange, or nobody can say."""
    schedule: str | None = None
    """In words: ``every 30 s``, ``0 4 * * * (UTC)``."""
    enabled: bool = True
    last_sent_at: datetime | None = None
    """By beat's clock: to show. None when it never was, or nobody remembers."""
    last_sent_seconds: float | None = None
    """Since the broker last took a message of it from this beat; None when it took none."""
    next_due_at: datetime | None = None
    """By beat's clock: to show."""
    next_due_in_seconds: float | None = None
    """Until it is due, below zero when that is over; None when unknown or never."""
    overdue_seconds: float | None = None
    """How late it is; 0.0 when it is not, None when nobody can say."""
    interval_seconds: float | None = None
    """From one run to the next, about."""
    last_error: str | None = None
    """Why it could not be sent the last time; masked. None when it could."""
    missed: bool = False
    """It was due while no beat ran, and none has made up for it."""
    unsent_seconds: float | None = None
    """Since any beat sent it, or it appeared on the schedule as it is, by the store; None when unknown."""
    restarts: int = 0
    """How many beats have started since that, and count its interval anew: where it is overdue for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """One beat, as its own record describes it."""

    name: str
    state: BeatState
    pid: int | None = None
    hostname: str | None = None
    app_id: str | None = None
    scheduler: str | None = None
    """The dotted path of its scheduler's class."""
    started_at: datetime | None = None
    uptime_seconds: float | None = None
    """Since it started, up to now."""
    last_seen_seconds: float = 0.0
    """Age of its last record."""
    late_seconds: float | None = None
    """How long ago its scheduler was to wake; 0.0 when it is in time, None before its first tick."""
    tick_age_seconds: float | None = None
    """Since its scheduler last worked through the schedule."""
    last_sent_seconds: float | None = None
    """Since it last sent any task; None when it has not."""
    stored_outside: bool = False
    """Its schedule is in a table or in Redis, not in the settings."""
    entries: tuple[ScheduleEntryState, ...] | None = None
    """At most a bounded number: see `entries_total`. None when nobody can say."""
    entries_total: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
