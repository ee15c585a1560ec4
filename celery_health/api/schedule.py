"""``schedule/``: one row per entry, and the beats that send them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.api.snapshots import Reading, take_reading
from celery_health.health.body import timestamp
from celery_health.reading.schedules import schedule_entries, untold_entries
from celery_health.records import Beat, ScheduleEntryState


class ScheduleView(MonitoringView):
    """What beat sends, when it last did and will next, and how late that is; `null` is unknown or never.

    `?task=` and `?queue=` choose (each may be repeated), `?limit=` cuts the list.
    """

    parameters: ClassVar = ["task", "queue", "limit"]

    @describe("schedule")
    def get(self, request: Request) -> Response:
        """Answer the entries, by name."""
        query = self.query()
        reading = take_reading(limit=query.limit(), only_tasks=query.names("task"))
        return Response(schedule_body(reading, query.names("queue")))


def schedule_body(reading: Reading, only_queues: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the answer to `reading`; ``count`` is None while no beat says what its schedule holds."""
    beats = reading.snapshot.beats
    entries = schedule_entries(beats)
    wanted = [
        entry
        for entry in entries or ()
        if reading.wants(entry.task) and (only_queues is None or entry.queue in only_queues)
    ]
    untold = untold_entries(beats, len(entries or ()))
    chosen = reading.only_tasks is not None or only_queues is not None
    count = None if entries is None or (chosen and untold) else len(wanted) + untold
    return {
        "schedule": [entry_row(entry) for entry in reading.cut(wanted)],
        "count": count,
        "beats": [beat_row(beat) for beat in reading.cut(list(beats))],
        **reading.envelope(truncated=len(wanted) > reading.limit or untold > 0),
    }


def entry_row(entry: ScheduleEntryState) -> dict[str, Any]:
    """Return one entry, field by field as the contract has it."""
    late = entry.overdue_seconds
    return {
        "entry": entry.entry,
        "task": entry.task,
        "queue": entry.queue,
        "schedule": entry.schedule,
        "last_sent_at": _moment(entry.last_sent_at),
        "next_due_at": _moment(entry.next_due_at),
        "overdue_seconds": None if late is None else round(late, 3),
        "enabled": entry.enabled,
        "last_error": entry.last_error,
        "beat": entry.beat,
    }


def beat_row(beat: Beat) -> dict[str, Any]:
    """Return one beat."""
    sent = beat.last_sent_seconds
    return {
        "name": beat.name,
        "state": beat.state.value,
        "scheduler": beat.scheduler,
        "started_at": _moment(beat.started_at),
        "last_seen_seconds": round(beat.last_seen_seconds, 3),
        "last_sent_seconds": None if sent is None else round(sent, 3),
        "versions": dict(beat.versions),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)
