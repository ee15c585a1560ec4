"""Test doubles: snapshots, workers and queues made by hand, for tests of your own rules, views and alerts.

Everything defaults to a small system that is well; a test names only what it changes::

    snapshot = make_snapshot(queues=[make_queue("emails", ready=1204)])
    assert judge(snapshot, Settings()).status is Status.DEGRADED
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from celery_health.records import (
    AppFacts,
    Beat,
    BeatState,
    BrokerState,
    InspectionState,
    LettersLack,
    QueueState,
    ResultsState,
    ScheduleEntryState,
    Snapshot,
    Source,
    StoreState,
    Worker,
    WorkerState,
    Writes,
)

#: When a snapshot made by hand was taken.
TAKEN_AT = datetime(2026, 1, 28, 10, 0, tzinfo=UTC)


def make_worker(hostname: str = "worker1@host", **changes: Any) -> Worker:
    """Return an idle worker that consumes ``celery``."""
    defaults: dict[str, Any] = {
        "state": WorkerState.OK,
        "source": Source.INSPECTION,
        "queues": ("celery",),
        "pool": "prefork",
        "concurrency": 4,
        "children": 4,
        "active_count": 0,
        "reserved_count": 0,
        "scheduled_count": 0,
        "last_seen_seconds": 0.0,
    }
    return Worker(hostname=hostname, **{**defaults, **changes})


def make_queue(name: str = "celery", **changes: Any) -> QueueState:
    """Return an empty queue with one consumer."""
    defaults: dict[str, Any] = {"ready": 0, "consumers": 1, "capacity": 4}
    return QueueState(name=name, **{**defaults, **changes})


def make_beat(name: str = "celerybeat@host-1", **changes: Any) -> Beat:
    """Return a beat that runs for an hour and has just sent its one entry."""
    defaults: dict[str, Any] = {
        "state": BeatState.OK,
        "uptime_seconds": 3600.0,
        "last_seen_seconds": 1.0,
        "late_seconds": 0.0,
        "last_sent_seconds": 5.0,
        "entries": (make_entry(beat=name),),
        "entries_total": 1,
    }
    return Beat(name=name, **{**defaults, **changes})


def make_entry(entry: str = "sync", **changes: Any) -> ScheduleEntryState:
    """Return an entry that runs once a minute and is in time."""
    defaults: dict[str, Any] = {
        "task": "proj.tasks.sync",
        "beat": "celerybeat@host-1",
        "queue": "celery",
        "schedule": "every 1 min",
        "last_sent_seconds": 5.0,
        "next_due_in_seconds": 55.0,
        "overdue_seconds": 0.0,
        "interval_seconds": 60.0,
    }
    return ScheduleEntryState(entry=entry, **{**defaults, **changes})


def make_snapshot(
    *, workers: Iterable[Worker] | None = None, queues: Iterable[QueueState] | None = None, **changes: Any
) -> Snapshot:
    """Return the snapshot of one idle worker and one empty queue on a broker that answers."""
    defaults: dict[str, Any] = {
        "taken_at": TAKEN_AT,
        "app": AppFacts(app_id="proj", name="proj"),
        "broker": BrokerState(
            transport="redis",
            url="redis://localhost:6379/0",
            reachable=True,
            latency_seconds=0.001,
            writes=Writes(accepted=True),
        ),
        "store": StoreState(configured=False),
        "results": ResultsState(ignored="no result_backend is set"),
        "inspection": InspectionState(asked=True, complete=True, roster=("worker1@host",)),
        "workers": (make_worker(),) if workers is None else tuple(workers),
        "queues": (make_queue(),) if queues is None else tuple(queues),
        "dead_letters_lack": LettersLack.OFF if changes.get("dead_letters") is None else None,
    }
    return Snapshot(**{**defaults, **changes})
