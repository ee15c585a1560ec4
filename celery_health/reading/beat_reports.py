"""What a beat's record says, as a `Beat`: pure, over the record and its age.

Every value comes from another process, maybe of another version: what has the wrong type is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celery_health.conf import Limits
from celery_health.records import Beat, BeatState, ScheduleEntryState
from celery_health.store.base import StoredRecord

#: A record older than this, and than makes a worker lost, is no proof that its beat lives.
SILENT_SECONDS: Final = 30.0


def beats_from_records(records: Iterable[StoredRecord], limits: Limits) -> tuple[Beat, ...]:
    """Return the beats of the store's records, by name."""
    beats = (beat_from_record(one.name, one.record, one.age_seconds, limits) for one in records)
    return tuple(sorted(beats, key=lambda beat: beat.name))


def beat_from_record(name: str, record: Mapping[str, Any], age_seconds: float, limits: Limits) -> Beat:
    """Return the beat whose record, of `age_seconds` ago, is `record`.

    Lateness is as the beat measured it, while it lives; once it has ended, what it left grows late by
    itself.
    """
    state = beat_state(record, age_seconds, limits)
    grown = age_seconds if state.has_ended else 0.0
    rows = record.get("entries")
    uptime = _number(record.get("uptime_seconds"))
    due_in = _number(record.get("due_in_seconds"))
    return Beat(
        name=name,
        state=state,
        pid=_whole(record.get("pid")),
        hostname=_text(record.get("hostname")),
        app_id=_text(record.get("app_id")),
        scheduler=_text(record.get("scheduler")),
        started_at=_moment(record.get("started_at")),
        uptime_seconds=None if uptime is None else uptime + age_seconds,
        last_seen_seconds=age_seconds,
        late_seconds=None if due_in is None else max(0.0, -due_in),
        tick_age_seconds=_plus(record.get("tick_age_seconds"), age_seconds),
        last_sent_seconds=_plus(record.get("last_sent_age_seconds"), age_seconds),
        stored_outside=record.get("stored_outside") is True,
        entries=(
            tuple(_entry(row, name, age_seconds, grown) for row in rows if isinstance(row, Mapping))
            if isinstance(rows, list | tuple)
            else None
        ),
        entries_total=_whole(record.get("entries_total")),
        versions=_texts(record.get("versions")),
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
    due_in = _number(record.get("due_in_seconds"))
    if due_in is not None and -due_in > limits.beat_lost_seconds:
        return BeatState.STUCK
    return BeatState.OK


def _entry(row: Mapping[str, Any], beat: str, age_seconds: float, grown: float) -> ScheduleEntryState:
    due_in, overdue = _number(row.get("next_due_in_seconds")), _number(row.get("overdue_seconds"))
    if due_in is not None:
        due_in -= age_seconds
    if overdue is not None and grown:
        # Nobody sends it any more: late already, or late once it was due.
        overdue = overdue + grown if overdue > 0 else max(0.0, -due_in if due_in is not None else 0.0)
    return ScheduleEntryState(
        entry=str(row.get("entry", "")),
        task=str(row.get("task", "")),
        beat=beat,
        queue=_text(row.get("queue")),
        schedule=_text(row.get("schedule")),
        enabled=row.get("enabled") is not False,
        last_sent_at=_moment(row.get("last_sent_at")),
        last_sent_seconds=_plus(row.get("last_sent_seconds"), age_seconds),
        next_due_at=_moment(row.get("next_due_at")),
        next_due_in_seconds=due_in,
        overdue_seconds=overdue,
        interval_seconds=_number(row.get("interval_seconds")),
        last_error=_text(row.get("last_error")),
    )


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> Mapping[str, str]:
    rows = value.items() if isinstance(value, Mapping) else ()
    return {key: text for key, text in rows if isinstance(key, str) and isinstance(text, str)}


def _plus(seconds: object, age: float) -> float | None:
    number = _number(seconds)
    return None if number is None else number + age


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = _number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
