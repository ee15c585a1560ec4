"""A system of 200 workers, 1,000 queues and 100 tasks, by hand, in each of the states that it may be in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery_health.reading.task_totals import TaskTotals
from celery_health.records import (
    HOUR_MINUTES,
    BeatState,
    Hour,
    ObservedRuntime,
    Snapshot,
    StoreState,
    TaskHour,
    TaskOutcomes,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker

WORKERS, QUEUES, TASKS = 200, 1_000, 100
#: A queue with messages that nobody takes.
DESERTED = {"ready": 50, "consumers": 0, "expected_by": ("settings",)}
FINE = {"succeeded": 1000}


@dataclass(frozen=True, kw_only=True)
class Large:
    """What the pages find of it."""

    snapshot: Snapshot
    hour: Hour
    totals: dict[str, TaskTotals]


def large(worker: dict[str, Any], queue: dict[str, Any], task: dict[str, int], padding: str = "") -> Large:
    """Return a system, all workers, queues and tasks of which are in one state."""
    queues = [f"shop-queue-{number}{padding}" for number in range(QUEUES)]
    tasks = [f"shop.orders.tasks.number_{number}{padding}" for number in range(TASKS)]
    snapshot = make_snapshot(
        workers=[
            make_worker(
                f"celery-{number}{padding}@shop-worker-7c9f",
                **{"queues": tuple(queues[number * 5 : number * 5 + 5]), **worker},
            )
            for number in range(WORKERS)
        ],
        queues=[make_queue(name, **queue) for name in queues],
        recent={name: TaskOutcomes(**task) for name in tasks},
        beats=[make_beat(state=BeatState.OK, entries=tuple(make_entry(n, task=n) for n in tasks))],
        store=StoreState(configured=True, reachable=True, url="redis://store/0"),
        dead_letters=dict.fromkeys(queues, 3),
        notes=tuple(f"Note {n} of what was skipped, and of what to do about it." for n in range(10)),
    )
    of_minute = {how: (1 + count // 10,) * HOUR_MINUTES for how, count in task.items()}
    exceptions = dict.fromkeys(("ValueError", "PaymentRefused", "ConnectionError"), 20)
    hour = Hour(
        taken_at=datetime(2026, 1, 28, 10, tzinfo=UTC),
        minutes=HOUR_MINUTES,
        tasks={
            name: TaskHour(**of_minute, exceptions=exceptions if "failed" in task else {})  # type: ignore[arg-type]
            for name in tasks
        },
    )
    runtime = ObservedRuntime(samples=100, p50_seconds=0.1, p95_seconds=12.5, p99_seconds=60.0)
    totals = {name: TaskTotals(started=5000, succeeded=5000, runtime=runtime) for name in tasks}
    return Large(snapshot=snapshot, hour=hour, totals=totals)


STATES: dict[str, Callable[[], Large]] = {
    "healthy": lambda: large({}, {}, FINE),
    "busy": lambda: large({"active_count": 4, "reserved_count": 9}, {"ready": 900}, FINE),
    "backlog": lambda: large({}, {"ready": 90_000, "oldest_age_seconds": 9e5}, FINE),
    "failing": lambda: large({}, {}, {"succeeded": 1, "failed": 1000, "retried": 50, "unknown": 7}),
    "deserted": lambda: large({"state": WorkerState.GONE, "last_seen_seconds": 600.0}, DESERTED, FINE),
    "unknown": lambda: large(
        {"state": WorkerState.UNKNOWN, "active_count": None}, {"ready": None, "consumers": None}, FINE
    ),
    "long names": lambda: large({}, DESERTED, {"failed": 1000}, "x" * 12),
}
