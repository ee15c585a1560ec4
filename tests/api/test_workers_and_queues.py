"""``workers/`` and ``queues/``: one row each, field by field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from celery_health.records import Hold, InspectionState, QueueState, Source, Worker, WorkerState
from celery_health.testing import make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery

ENVELOPE = {
    "truncated": False,
    "source": "inspection",
    "as_of": "2026-01-28T10:00:00.000Z",
    "age_seconds": 0.25,
    "notes": [],
}

FULL_WORKER = Worker(
    hostname="w1@host",
    state=WorkerState.BUSY,
    source=Source.HEARTBEATS,
    pid=4711,
    queues=("celery", "emails"),
    pool="prefork",
    concurrency=8,
    children=8,
    children_restarted=2,
    active_count=3,
    reserved_count=4,
    scheduled_count=5,
    processed=600,
    loop_age_seconds=0.12345,
    read_age_seconds=0.5,
    progress_age_seconds=0.75,
    unread_seconds=0.0004,
    idle_seconds=0.75,
    cancelled_queues=("slow",),
    held_back=(Hold(by="rate_limit", task_name="app.sync", count=8, limit="20/h"),),
    last_seen_seconds=1.25,
    started_at=datetime(2026, 1, 28, 9, 0, 0, 500_000, tzinfo=UTC),
    versions={"celery": "5.7.0"},
)
FULL_WORKER_ROW = {
    "hostname": "w1@host",
    "pid": 4711,
    "state": "busy",
    "queues": ["celery", "emails"],
    "cancelled_queues": ["slow"],
    "held_back": [{"by": "rate_limit", "task_name": "app.sync", "count": 8, "limit": "20/h"}],
    "pool": "prefork",
    "concurrency": 8,
    "children": 8,
    "children_restarted": 2,
    "active": 3,
    "reserved": 4,
    "scheduled": 5,
    "processed": 600,
    "loop_age_seconds": 0.123,
    "read_age_seconds": 0.5,
    "progress_age_seconds": 0.75,
    "unread_seconds": 0.0,
    "idle_seconds": 0.75,
    "last_seen_seconds": 1.25,
    "started_at": "2026-01-28T09:00:00.500Z",
    "exit": None,
    "starts": None,
    "versions": {"celery": "5.7.0"},
    "source": "heartbeats",
}


def test_workers__field_by_field(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(workers=[FULL_WORKER])

    response = staff.get(PREFIX + "workers/")

    assert response.status_code == 200
    assert response.json() == {"workers": [FULL_WORKER_ROW], "count": 1, **ENVELOPE}


def test_workers__unknown_is_null(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(
        workers=[Worker(hostname="w2@host", state=WorkerState.UNKNOWN, source=Source.INSPECTION)]
    )

    (row,) = staff.get(PREFIX + "workers/").json()["workers"]

    known = {"hostname": "w2@host", "state": "unknown", "versions": {}, "source": "inspection"}
    assert row == {**dict.fromkeys(FULL_WORKER_ROW), **known}


@pytest.mark.parametrize("state", list(WorkerState))
def test_workers__every_state_is_shown(staff: Client, celery: Celery, state: WorkerState) -> None:
    celery.snapshot = make_snapshot(workers=[make_worker(state=state)])

    (row,) = staff.get(PREFIX + "workers/").json()["workers"]

    assert row["state"] == state.value


def test_workers__count_is_null_while_there_may_be_others(staff: Client, celery: Celery) -> None:
    silent = InspectionState(asked=True, complete=False, silent=("w2@host",))
    celery.snapshot = make_snapshot(inspection=silent)

    body = staff.get(PREFIX + "workers/").json()

    assert (len(body["workers"]), body["count"]) == (1, None)
    assert body["notes"] == ["Worker 'w2@host' has not answered in time."]


def test_workers__filter_and_limit(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(workers=[make_worker(f"w{number}@host") for number in range(3)])

    body = staff.get(PREFIX + "workers/?worker=w2@host&worker=w0@host").json()
    assert [row["hostname"] for row in body["workers"]] == ["w0@host", "w2@host"]
    assert (body["count"], body["truncated"]) == (2, False)

    body = staff.get(PREFIX + "workers/?limit=2").json()
    assert [row["hostname"] for row in body["workers"]] == ["w0@host", "w1@host"]
    assert (body["count"], body["truncated"]) == (3, True)


FULL_QUEUE = QueueState(
    name="emails",
    ready=1204,
    reserved=4,
    unacked=7,
    scheduled=2,
    active=3,
    held=5,
    held_is_minimum=True,
    oldest_age_seconds=61.23456,
    oldest_age_is_minimum=True,
    oldest_held_by="w1@host",
    consumers=2,
    foreign_consumers=("crm@host",),
    idle_consumers=("w2@host (draining)",),
    unconsumed_seconds=0.0,
    capacity=16,
    expected_by=("task:app.tasks.send", "beat:digest", "setting"),
)
FULL_QUEUE_ROW = {
    "name": "emails",
    "ready": 1204,
    "reserved": 4,
    "unacked": 7,
    "scheduled": 2,
    "held": 5,
    "held_is_minimum": True,
    "oldest_age_seconds": 61.235,
    "oldest_age_is_minimum": True,
    "oldest_held_by": "w1@host",
    "consumers": 2,
    "foreign_consumers": ["crm@host"],
    "idle_consumers": ["w2@host (draining)"],
    "unconsumed_seconds": 0.0,
    "consumption_unknown": None,
    "capacity": 16,
    "expected_by": ["task:app.tasks.send", "beat:digest", "setting"],
}


def test_queues__field_by_field(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[FULL_QUEUE])

    response = staff.get(PREFIX + "queues/")

    assert response.status_code == 200
    assert response.json() == {"queues": [FULL_QUEUE_ROW], "count": 1, **ENVELOPE}


def test_queues__unknown_is_null_and_never_minus_one(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[QueueState(name="celery")])

    (row,) = staff.get(PREFIX + "queues/").json()["queues"]

    known: dict[str, object] = {"name": "celery", "oldest_age_is_minimum": False, "held_is_minimum": False}
    known |= dict.fromkeys(("expected_by", "foreign_consumers", "idle_consumers"), [])
    assert row == {**dict.fromkeys(FULL_QUEUE_ROW), **known}


def test_queues__filter_and_limit(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[make_queue(name) for name in ("a", "b", "c")])

    body = staff.get(PREFIX + "queues/?queue=c&queue=nowhere").json()
    assert ([row["name"] for row in body["queues"]], body["count"]) == (["c"], 1)

    body = staff.get(PREFIX + "queues/?limit=1").json()
    assert ([row["name"] for row in body["queues"]], body["count"], body["truncated"]) == (["a"], 3, True)


@pytest.mark.parametrize(
    "path", ["workers/?task=x", "queues/?worker=x", "queues/?limit=x", "workers/?queue="]
)
def test_workers_and_queues__bad_query(staff: Client, celery: Celery, path: str) -> None:
    response = staff.get(PREFIX + path)

    assert response.status_code == 400
    assert set(response.json()) == {"error", "parameter", "value", "fix"}
