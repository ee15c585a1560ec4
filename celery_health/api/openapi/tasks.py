"""The shapes of ``tasks/`` and ``stats/``."""

from __future__ import annotations

from typing import Final

from celery_health.api.openapi.parts import (
    ARGUMENTS,
    ENVELOPE,
    LIMIT,
    TASK,
    WORKER,
    Schema,
    by_name,
    fields,
    number,
    operation,
    rows,
    text,
    unknown_or,
    whole,
)

_TASK: Final[dict[str, Schema]] = {"worker": text(), "task_name": text(), "task_id": text()}
_QUEUE: Final[dict[str, Schema]] = {"queue": unknown_or(text())}
_RUNNING: Final = {
    **_TASK,
    "time_start": unknown_or(number("Unix seconds, by the worker's clock.")),
    "runtime_seconds": unknown_or(number()),
    **_QUEUE,
    **ARGUMENTS,
}
_SCHEDULED: Final = {**_TASK, "eta": unknown_or(text(format="date-time")), **ARGUMENTS}
TASKS: Final = fields(
    {
        "running": rows(fields(_RUNNING, optional=("args", "kwargs"))),
        "reserved": rows(fields({**_TASK, **_QUEUE, **ARGUMENTS}, optional=("args", "kwargs"))),
        "scheduled": rows(fields(_SCHEDULED, optional=("args", "kwargs"))),
        "running_count": unknown_or(whole()),
        "reserved_count": unknown_or(whole()),
        "scheduled_count": unknown_or(whole()),
        **ENVELOPE,
    }
)

_NAMED_COUNTS: Final = ("running", "scheduled", "reserved", "started", "succeeded", "failed", "retried")
STATS: Final = fields(
    {
        "total_running": unknown_or(whole()),
        "total_scheduled": unknown_or(whole()),
        "total_reserved": unknown_or(whole()),
        "queues": by_name(unknown_or(whole()), "Ready tasks by queue."),
        "by_task_name": by_name(
            fields(
                {
                    **{name: unknown_or(whole()) for name in _NAMED_COUNTS},
                    "runtime_seconds": fields(
                        {
                            **{name: unknown_or(number()) for name in ("p50", "p95", "p99")},
                            "at_least": rows(text(enum=["p50", "p95", "p99"])),
                        }
                    ),
                }
            )
        ),
        **ENVELOPE,
    }
)

TASKS_OPERATION: Final = operation(
    "tasks", TASKS, "What workers run, hold and keep for later", [WORKER, TASK, LIMIT]
)
STATS_OPERATION: Final = operation("stats", STATS, "Totals, by task name", [WORKER, TASK, LIMIT])
