"""The shapes of ``workers/`` and ``queues/``."""

from __future__ import annotations

from typing import Final

from celery_health.api.openapi.parts import (
    ENVELOPE,
    LIMIT,
    QUEUE,
    WORKER,
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
from celery_health.records import Source, WorkerState

_HOLD: Final = fields(
    {"by": text(), "task_name": text(), "count": whole(), "limit": unknown_or(text("The limit in words."))}
)

_EXIT: Final = fields({"cause": text(), "at_start": YES_NO})
_STARTS: Final = fields(
    {
        "count": whole("Processes of this name that started in the last hour; the 20 youngest at most."),
        "seconds": number("Since the first of them."),
        "ready": whole("How many became ready."),
        "broken": whole("How many ended without having been told to."),
    }
)

WORKERS: Final = fields(
    {
        "workers": rows(
            fields(
                {
                    "hostname": text(),
                    "pid": unknown_or(whole()),
                    "state": one_of(WorkerState),
                    "queues": unknown_or(rows(text())),
                    "cancelled_queues": unknown_or(rows(text())),
                    "held_back": unknown_or(rows(_HOLD)),
                    "pool": unknown_or(text()),
                    "concurrency": unknown_or(whole()),
                    "children": unknown_or(whole("Live pool processes.")),
                    "children_restarted": unknown_or(whole()),
                    "active": unknown_or(whole()),
                    "reserved": unknown_or(whole()),
                    "scheduled": unknown_or(whole()),
                    "processed": unknown_or(whole("Tasks accepted since it started.")),
                    "loop_age_seconds": unknown_or(number("Since its event loop turned.")),
                    "read_age_seconds": unknown_or(number("Since it read the broker.")),
                    "progress_age_seconds": unknown_or(number("Since one of its tasks started or ended.")),
                    "unread_seconds": unknown_or(number("For so long it should have read, and has not.")),
                    "idle_seconds": unknown_or(number("For so long it could have begun a task.")),
                    "last_seen_seconds": unknown_or(number()),
                    "started_at": unknown_or(text(format="date-time")),
                    "exit": unknown_or(_EXIT),
                    "starts": unknown_or(_STARTS),
                    "versions": by_name(text()),
                    "source": one_of(Source),
                }
            )
        ),
        "count": unknown_or(whole("How many there are, listed or not.")),
        **ENVELOPE,
    }
)

QUEUES: Final = fields(
    {
        "queues": rows(
            fields(
                {
                    "name": text(),
                    "ready": unknown_or(whole("Waiting, over all priorities.")),
                    "reserved": unknown_or(whole("Taken by workers, not started.")),
                    "unacked": unknown_or(whole("Delivered, not acknowledged.")),
                    "scheduled": unknown_or(whole("Held by workers until their time.")),
                    "held": unknown_or(whole("Held by workers that could run it now.")),
                    "held_is_minimum": {**YES_NO, "description": "At least so many: not every worker says."},
                    "oldest_age_seconds": unknown_or(number("Of the oldest that waits, here or in workers.")),
                    "oldest_age_is_minimum": {**YES_NO, "description": "It is at least that old."},
                    "oldest_held_by": unknown_or(text("The worker that holds it; null if none does.")),
                    "consumers": unknown_or(whole("Who takes from it, other applications' workers too.")),
                    "foreign_consumers": rows(text("Those that are another application's workers.")),
                    "idle_consumers": rows(text("Own workers that should and do not, each with its state.")),
                    "unconsumed_seconds": unknown_or(number("Nobody took from it for so long, at least.")),
                    "consumption_unknown": unknown_or(text("Why that is not known.")),
                    "capacity": unknown_or(whole("Tasks its consumers can run at once.")),
                    "expected_by": rows(text("`task:<name>`, `beat:<entry>` or `setting`.")),
                }
            )
        ),
        "count": whole("How many there are, listed or not."),
        **ENVELOPE,
    }
)

WORKERS_OPERATION: Final = operation("workers", WORKERS, "The workers", [WORKER, LIMIT])
QUEUES_OPERATION: Final = operation("queues", QUEUES, "The queues", [QUEUE, LIMIT])
