"""What a beat's record says, as a `Beat`: pure, over the record and its age.

Every value comes from another process: see `fields`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from celery_health.conf import Limits
from celery_health.reading import fields
from celery_health.reading.fields import moment, number, of_type, plus, texts
from celery_health.records import Beat, BeatState, ScheduleEntryState
from celery_health.store.base import StoredRecord

#: A record older than this, and than makes a worker lost, is no proof that its beat lives.
SILENT_SECONDS: Final = 30.0


def beat_of(stored: StoredRecord, limits: Limits) -> Beat:
    """Return the beat of a record of the store."""
    return beat_from_record(stored.name, stored.record, stored.age_seconds, limits)


def beat_from_record(name: str, record: Mapping[str, Any], age_seconds: float, limits: Limits) -> Beat:
    """Return the beat whose record, of `age_seconds` ago, is `record`.

    Lateness is as the beat measured it, while it lives; once it has ended, what it left grows late by
    itself.
    """
    state = beat_state(record, age_seconds, limits)
    grown = age_seconds if state.has_ended else 0.0
    rows = record.get("entries")
    uptime = number(record.get("uptime_seconds"))
    due_in = number(record.get("due_in_seconds"))
    return Beat(
        name=name,
        state=state,
        pid=of_type(int, record.get("pid")),
        hostname=of_type(str, record.get("hostname")),
        app_id=of_type(str, record.get("app_id")),
        scheduler=of_type(str, record.get("scheduler")),
        started_at=moment(record.get("started_at")),
        uptime_seconds=None if uptime is None else uptime + age_seconds,
        last_seen_seconds=age_seconds,
        late_seconds=None if due_in is None else max(0.0, -due_in),
        tick_age_seconds=plus(record.get("tick_age_seconds"), age_seconds),
        last_sent_seconds=plus(record.get("last_sent_age_seconds"), age_seconds),
        stored_outside=record.get("stored_outside") is True,
        entries=(
            tuple(_entry(row, name, age_seconds, grown) for row in rows if isinstance(row, Mapping))
            if isinstance(rows, list | tuple)
            else None
        ),
        entries_total=of_type(int, record.get("entries_total")),
        versions=texts(record.get("versions")),
    )


def beat_state(record: Mapping[str, Any], age_seconds: float, limits: Limits) -> BeatState:
    """Return what the beat of a record is doing; what explains silence comes before what accuses."""
    if record.get("goodbye") is True:
        return BeatState.STOPPED
    if record.get("ended_by_error") is True or age_seconds > limits.beat_lost_seconds:
        return BeatState.GONE
    if age_seconds > max(SILENT_SECONDS, limits.worker_lost_seconds):
        return BeatState.UNKNOWN
    if record.get("lock") == "waiting":
        return BeatState.STANDBY
    due_in = number(record.get("due_in_seconds"))
    if due_in is not None and -due_in > limits.beat_lost_seconds:
        return BeatState.STUCK
    return BeatState.OK


def _entry(row: Mapping[str, Any], beat: str, age_seconds: float, grown: float) -> ScheduleEntryState:
    due_in, overdue = number(row.get("next_due_in_seconds")), number(row.get("overdue_seconds"))
    if due_in is not None:
        due_in -= age_seconds
    if overdue is not None and grown:
        # Nobody sends it any more: late already, or late once it was due.
        overdue = overdue + grown if overdue > 0 else max(0.0, -due_in if due_in is not None else 0.0)
    return ScheduleEntryState(
        entry=fields.name(row.get("entry")),
        task=fields.name(row.get("task")),
        beat=beat,
        queue=of_type(str, row.get("queue")),
        schedule=of_type(str, row.get("schedule")),
        enabled=row.get("enabled") is not False,
        last_sent_at=moment(row.get("last_sent_at")),
        last_sent_seconds=plus(row.get("last_sent_seconds"), age_seconds),
        next_due_at=moment(row.get("next_due_at")),
        next_due_in_seconds=due_in,
        overdue_seconds=overdue,
        interval_seconds=number(row.get("interval_seconds")),
        last_error=of_type(str, row.get("last_error")),
    )
