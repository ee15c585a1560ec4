"""The shape of ``schedule/``."""

from __future__ import annotations

from typing import Final

from celery_health.api.openapi.parts import (
    ENVELOPE,
    LIMIT,
    QUEUE,
    TASK,
    YES_NO,
    by_name,
    fields,
    number,
    one_of,
    operation,
    rows,
    text,
    unknown_or,
    whole,
)
from celery_health.records import BeatState

SCHEDULE: Final = fields(
    {
        "schedule": rows(
            fields(
                {
                    "entry": text(),
                    "task": text(),
                    "queue": unknown_or(text("Where the app's router sends it.")),
                    "schedule": unknown_or(text("In words.")),
                    "last_sent_at": unknown_or(text("By beat's clock.", format="date-time")),
                    "next_due_at": unknown_or(text("By beat's clock.", format="date-time")),
                    "overdue_seconds": unknown_or(number("0 when it is in time.")),
                    "enabled": YES_NO,
                    "last_error": unknown_or(text("Why it could not be sent the last time.")),
                    "beat": text("The name of the beat that sends it."),
                }
            )
        ),
        "count": unknown_or(whole("How many there are, listed or not.")),
        "beats": rows(
            fields(
                {
                    "name": text(),
                    "state": one_of(BeatState),
                    "scheduler": unknown_or(text("The path of its class.")),
                    "started_at": unknown_or(text(format="date-time")),
                    "last_seen_seconds": number(),
                    "last_sent_seconds": unknown_or(number("Since it last sent any task.")),
                    "versions": by_name(text()),
                }
            )
        ),
        **ENVELOPE,
    }
)

OPERATION: Final = operation("schedule", SCHEDULE, "The schedule", [TASK, QUEUE, LIMIT])
