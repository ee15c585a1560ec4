"""``tasks/`` and ``stats/``: field by field, and what is said of what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client, override_settings

from celery_health.api.snapshots import Reading
from celery_health.api.stats import stats_body
from celery_health.api.tasks import tasks_body
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import (
    AppFacts,
    BrokerState,
    InspectionState,
    ObservedRuntime,
    ReservedTask,
    RunningTask,
    ScheduledTask,
    Snapshot,
    Source,
    StoreState,
    WorkerState,
)
from celery_health.testing import make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery

ETA = datetime(2026, 1, 28, 10, 30, tzinfo=UTC)


def running(number: int, worker: str = "w1@host", name: str = "app.tasks.x", **changes: Any) -> RunningTask:
    defaults: dict[str, Any] = {"queue": "celery", "time_start": 1234567890.1, "runtime_seconds": 3.2}
    return RunningTask(worker=worker, task_id=f"id-{number}", task_name=name, **{**defaults, **changes})


def reserved(number: int, worker: str = "w1@host", name: str = "app.tasks.x", **more: Any) -> ReservedTask:
    return ReservedTask(worker=worker, task_id=f"id-{number}", task_name=name, queue="celery", **more)


def scheduled(number: int, worker: str = "w1@host", name: str = "app.tasks.x", **more: Any) -> ScheduledTask:
    return ScheduledTask(worker=worker, task_id=f"id-{number}", task_name=name, **{"eta": ETA, **more})


def worker(hostname: str = "w1@host", **changes: Any) -> Any:
    """Return a worker whose counts are those of its lists, unless told otherwise."""
    counts = {
        f"{kind}_count": len(changes[kind]) for kind in ("active", "reserved", "scheduled") if kind in changes
    }
    return make_worker(hostname, **{**counts, **changes})


def read(snapshot: Snapshot, **changes: Any) -> Reading:
    return Reading(snapshot=snapshot, age_seconds=0.1234, **{"limit": 1000, **changes})


BUSY = make_snapshot(
    workers=[
        worker(
            "w1@host",
            active=(running(1, runtime_seconds=1.0), running(2, runtime_seconds=9.87654)),
            reserved=(reserved(3),),
        ),
        worker(
            "w2@host",
            active=(running(4, "w2@host", "app.tasks.y"),),
            scheduled=(scheduled(5, "w2@host", eta=ETA + timedelta(hours=1)), scheduled(6, "w2@host")),
        ),
    ],
    queues=[make_queue("celery", ready=5), make_queue("emails", ready=None)],
)


def test_tasks__field_by_field() -> None:
    body = tasks_body(read(BUSY))

    assert body == {
        "running": [
            # Longest first.
            {
                "worker": "w1@host",
                "task_name": "app.tasks.x",
                "task_id": "id-2",
                "time_start": 1234567890.1,
                "runtime_seconds": 9.877,
                "queue": "celery",
            },
            {
                "worker": "w2@host",
                "task_name": "app.tasks.y",
                "task_id": "id-4",
                "time_start": 1234567890.1,
                "runtime_seconds": 3.2,
                "queue": "celery",
            },
            {
                "worker": "w1@host",
                "task_name": "app.tasks.x",
                "task_id": "id-1",
                "time_start": 1234567890.1,
                "runtime_seconds": 1.0,
                "queue": "celery",
            },
        ],
        "reserved": [{"worker": "w1@host", "task_name": "app.tasks.x", "task_id": "id-3", "queue": "celery"}],
        "scheduled": [
            # Soonest first.
            {
                "worker": "w2@host",
                "task_name": "app.tasks.x",
                "task_id": "id-6",
                "eta": "2026-01-28T10:30:00+00:00",
            },
            {
                "worker": "w2@host",
                "task_name": "app.tasks.x",
                "task_id": "id-5",
                "eta": "2026-01-28T11:30:00+00:00",
            },
        ],
        "running_count": 3,
        "reserved_count": 1,
        "scheduled_count": 2,
        "truncated": False,
        "source": "inspection",
        "as_of": "2026-01-28T10:00:00.000Z",
        "age_seconds": 0.123,
        "notes": [],
    }


def test_tasks__nothing_runs_is_zero_not_unknown() -> None:
    body = tasks_body(read(make_snapshot()))

    assert (body["running"], body["running_count"], body["truncated"]) == ([], 0, False)
    assert (body["reserved_count"], body["scheduled_count"]) == (0, 0)


FILTER_TABLE: list[tuple[dict[str, Any], list[str], int | None]] = [
    ({}, ["id-2", "id-4", "id-1"], 3),
    ({"only_workers": frozenset({"w1@host"})}, ["id-2", "id-1"], 2),
    ({"only_workers": frozenset({"w1@host", "w2@host"})}, ["id-2", "id-4", "id-1"], 3),
    ({"only_tasks": frozenset({"app.tasks.y"})}, ["id-4"], 1),
    ({"only_workers": frozenset({"w1@host"}), "only_tasks": frozenset({"app.tasks.y"})}, [], 0),
    # Every worker has answered: one of that name runs nothing.
    ({"only_workers": frozenset({"w9@host"})}, [], 0),
]


@pytest.mark.parametrize(("chosen", "ids", "count"), FILTER_TABLE)
def test_tasks__filters(chosen: dict[str, Any], ids: list[str], count: int | None) -> None:
    body = tasks_body(read(BUSY, **chosen))

    assert [row["task_id"] for row in body["running"]] == ids
    assert body["running_count"] == count
    assert body["truncated"] is False


def test_tasks__limit_cuts_lists_and_not_counts() -> None:
    body = tasks_body(read(BUSY, limit=1))

    assert [row["task_id"] for row in body["running"]] == ["id-2"]
    assert [row["task_id"] for row in body["scheduled"]] == ["id-6"]
    assert (body["running_count"], body["scheduled_count"], body["truncated"]) == (3, 2, True)


def test_tasks__worker_that_lists_a_part() -> None:
    snapshot = make_snapshot(workers=[worker(active=(running(1),), active_count=250)])

    body = tasks_body(read(snapshot))
    assert (len(body["running"]), body["running_count"], body["truncated"]) == (1, 250, True)

    # How many of the others have that name is not known.
    body = tasks_body(read(snapshot, only_tasks=frozenset({"app.tasks.x"})))
    assert (len(body["running"]), body["running_count"], body["truncated"]) == (1, None, True)


SILENT = InspectionState(asked=True, complete=False, roster=("w1@host", "w2@host"), silent=("w2@host",))
DOWN = BrokerState(
    transport="redis", url="redis://:**@db:6379/0", reachable=False, error="Connection refused"
)
W1 = worker("w1@host", active=(running(1),))
UNKNOWN_TABLE: list[tuple[Snapshot, dict[str, Any], int | None, list[str]]] = [
    # One has not answered: it may run anything.
    (
        make_snapshot(
            workers=[W1, make_worker("w2@host", state=WorkerState.UNKNOWN, active_count=None)],
            inspection=SILENT,
        ),
        {},
        None,
        ["Worker 'w2@host' has not answered in time."],
    ),
    # What it reported before says nothing of now.
    (
        make_snapshot(
            workers=[W1, make_worker("w2@host", state=WorkerState.UNKNOWN, active_count=7)],
            inspection=SILENT,
        ),
        {},
        None,
        ["Worker 'w2@host' has not answered in time."],
    ),
    # The one that was asked for has.
    (
        make_snapshot(
            workers=[W1, make_worker("w2@host", state=WorkerState.UNKNOWN, active_count=None)],
            inspection=SILENT,
        ),
        {"only_workers": frozenset({"w1@host"})},
        1,
        ["Worker 'w2@host' has not answered in time."],
    ),
    # A worker that is gone runs nothing, and what it ran is not listed.
    (
        make_snapshot(workers=[W1, worker("w2@host", state=WorkerState.GONE, active=(running(2),))]),
        {},
        1,
        [],
    ),
    # Nobody could be asked.
    (
        make_snapshot(workers=[], broker=DOWN, inspection=InspectionState()),
        {},
        None,
        ["The broker at redis://:**@db:6379/0 cannot be reached: Connection refused"],
    ),
    # A record answers without any inspection: where one worker keeps one, all of ours do.
    (
        make_snapshot(workers=[replace(W1, source=Source.HEARTBEATS)], inspection=InspectionState()),
        {},
        1,
        [],
    ),
    # A record of one that is gone says nothing of others.
    (
        make_snapshot(
            workers=[make_worker("w2@host", state=WorkerState.GONE, source=Source.HEARTBEATS)],
            inspection=InspectionState(asked=True, error="No roster"),
        ),
        {},
        None,
        ["The workers could not be asked: No roster"],
    ),
    # An old worker that does not say how many.
    (make_snapshot(workers=[make_worker(active_count=None)]), {}, None, []),
    (
        make_snapshot(
            workers=[],
            inspection=InspectionState(supported=False),
            store=StoreState(configured=True, reachable=False, url="redis://s", error="Timeout"),
        ),
        {},
        None,
        [
            "The store at redis://s cannot be reached: Timeout",
            "Remote control is off, or not supported by this transport.",
        ],
    ),
    (
        make_snapshot(
            workers=[],
            app=AppFacts(app_id="proj", name="proj", always_eager=True),
            inspection=InspectionState(),
        ),
        {},
        None,
        ["task_always_eager is on: tasks run in the process that calls them, and no worker is asked."],
    ),
]


@pytest.mark.parametrize(("snapshot", "chosen", "count", "notes"), UNKNOWN_TABLE)
def test_tasks_and_stats__unknown_is_null(
    snapshot: Snapshot, chosen: dict[str, Any], count: int | None, notes: list[str]
) -> None:
    tasks, stats = tasks_body(read(snapshot, **chosen)), stats_body(read(snapshot, **chosen))

    assert tasks["running_count"] == stats["total_running"] == count
    assert tasks["notes"] == stats["notes"] == notes
    assert all(row["worker"] != "w2@host" for row in tasks["running"])
    for name, row in stats["by_task_name"].items():
        assert (name, row["running"]) == ("app.tasks.x", count)


def test_tasks__without_times() -> None:
    snapshot = make_snapshot(
        workers=[
            worker(
                active=(running(1, runtime_seconds=None, time_start=None, queue=None), running(2)),
                scheduled=(scheduled(3, eta=None), scheduled(4)),
            )
        ]
    )

    body = tasks_body(read(snapshot))

    assert [row["task_id"] for row in body["running"]] == ["id-2", "id-1"]
    assert body["running"][1]["runtime_seconds"] is body["running"][1]["queue"] is None
    assert [(row["task_id"], row["eta"]) for row in body["scheduled"]] == [
        ("id-4", "2026-01-28T10:30:00+00:00"),
        ("id-3", None),
    ]


WITH_ARGUMENTS = make_snapshot(
    workers=[
        worker(
            active=(running(1, args="(1,)", kwargs="{}"),),
            reserved=(reserved(2, args="(2,)"),),
            scheduled=(scheduled(3, args="(3,)"),),
        )
    ]
)


@pytest.mark.parametrize("kind", ["running", "reserved", "scheduled"])
def test_tasks__arguments_only_where_this_process_allows_them(
    staff: Client, celery: Celery, kind: str
) -> None:
    # A worker may have been told otherwise.
    celery.snapshot = WITH_ARGUMENTS
    (hidden,) = staff.get(PREFIX + "tasks/").json()[kind]
    with override_settings(CELERY_HEALTH={"SHOW_ARGUMENTS": True}):
        (shown,) = staff.get(PREFIX + "tasks/").json()[kind]

    assert not {"args", "kwargs"} & set(hidden)
    assert set(shown) - set(hidden) == {"args", "kwargs"}
    assert shown["args"].startswith("(")


def test_stats__field_by_field() -> None:
    unknown = {
        "started": None,
        "succeeded": None,
        "failed": None,
        "retried": None,
        "runtime_seconds": {"p50": None, "p95": None, "p99": None, "at_least": []},
    }

    assert stats_body(read(BUSY)) == {
        "total_running": 3,
        "total_scheduled": 2,
        "total_reserved": 1,
        # Unknown is null, not the -1 of health/.
        "queues": {"celery": 5, "emails": None},
        "by_task_name": {
            "app.tasks.x": {"running": 2, "scheduled": 2, "reserved": 1, **unknown},
            "app.tasks.y": {"running": 1, "scheduled": 0, "reserved": 0, **unknown},
        },
        "truncated": False,
        "source": "inspection",
        "as_of": "2026-01-28T10:00:00.000Z",
        "age_seconds": 0.123,
        "notes": [],
    }


TOTALS = {
    "app.tasks.x": TaskTotals(
        started=42,
        succeeded=39,
        failed=2,
        retried=1,
        runtime=ObservedRuntime(
            samples=41, p50_seconds=0.81234567, p95_seconds=4.1, p99_seconds=None, measured_to_seconds=3600.0
        ),
    ),
    "app.tasks.idle": TaskTotals(),
    # Messages that nobody could read.
    "": TaskTotals(),
}


def test_stats__with_totals() -> None:
    body = stats_body(read(BUSY, totals=TOTALS))

    assert list(body["by_task_name"]) == ["app.tasks.idle", "app.tasks.x", "app.tasks.y"]
    assert body["by_task_name"]["app.tasks.x"] == {
        "running": 2,
        "scheduled": 2,
        "reserved": 1,
        "started": 42,
        "succeeded": 39,
        "failed": 2,
        "retried": 1,
        "runtime_seconds": {"p50": 0.8123, "p95": 4.1, "p99": 3600.0, "at_least": ["p99"]},
    }
    # Counted, and never run: zero is a value.
    idle = body["by_task_name"]["app.tasks.idle"]
    assert (idle["running"], idle["started"], idle["failed"]) == (0, 0, 0)
    assert idle["runtime_seconds"] == {"p50": None, "p95": None, "p99": None, "at_least": []}
    # Run by a worker that does not count.
    assert body["by_task_name"]["app.tasks.y"]["started"] is None


def test_stats__totals_of_one_task_and_of_one_worker(staff: Client, celery: Celery) -> None:
    celery.snapshot = replace(BUSY, store=StoreState(configured=True, reachable=True))
    celery.totals = TOTALS

    body = staff.get(PREFIX + "stats/?task=app.tasks.idle").json()
    assert {name: row["started"] for name, row in body["by_task_name"].items()} == {"app.tasks.idle": 0}

    # They are counted over all workers.
    body = staff.get(PREFIX + "stats/?worker=w1@host").json()
    assert {name: row["started"] for name, row in body["by_task_name"].items()} == {"app.tasks.x": None}

    celery.snapshot = replace(BUSY, store=StoreState(configured=True, reachable=False, url="u", error="e"))
    body = staff.get(PREFIX + "stats/").json()
    assert {row["started"] for row in body["by_task_name"].values()} == {None}


def test_stats__filters_and_limit() -> None:
    body = stats_body(read(BUSY, only_tasks=frozenset({"app.tasks.y"})))
    assert list(body["by_task_name"]) == ["app.tasks.y"]
    assert (body["total_running"], body["total_reserved"]) == (1, 0)

    body = stats_body(read(BUSY, only_workers=frozenset({"w1@host"})))
    assert body["by_task_name"]["app.tasks.x"]["running"] == body["total_running"] == 2

    body = stats_body(read(BUSY, limit=1))
    assert (list(body["by_task_name"]), body["total_running"]) == (["app.tasks.x"], 3)
    assert body["truncated"] is True


def test_stats__name_in_a_list_that_is_cut() -> None:
    snapshot = make_snapshot(workers=[worker(active=(running(1),), active_count=250)])

    body = stats_body(read(snapshot))

    assert body["total_running"] == 250
    assert body["by_task_name"]["app.tasks.x"]["running"] is None


@pytest.mark.parametrize("path", ["tasks/", "stats/"])
def test_tasks_and_stats__over_http(staff: Client, celery: Celery, path: str) -> None:
    celery.snapshot = replace(BUSY)

    response = staff.get(PREFIX + path + "?worker=w1@host&worker=w2@host&task=app.tasks.y&limit=5")

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    body = response.json()
    assert body.get("running_count", body.get("total_running")) == 1


BAD_QUERIES = [
    ("limit=x", "Query parameter 'limit' is 'x'. Give a whole number from 1 to 10000."),
    ("limit=0", "Query parameter 'limit' is '0'. Give a whole number from 1 to 10000."),
    ("limit=-1", "Query parameter 'limit' is '-1'. Give a whole number from 1 to 10000."),
    ("limit=1.5", "Query parameter 'limit' is '1.5'. Give a whole number from 1 to 10000."),
    ("limit=10001", "Query parameter 'limit' is '10001'. Give a whole number from 1 to 10000."),
    ("limit=1_0", "Query parameter 'limit' is '1_0'. Give a whole number from 1 to 10000."),
    ("limit=", "Query parameter 'limit' is ''. Give a whole number from 1 to 10000."),
    ("limit=1&limit=2", "Query parameter 'limit' is '1, 2'. Give it once."),
    ("worker=", "Query parameter 'worker' is ''. Give a name, or leave the parameter out."),
    ("task=a&task=", "Query parameter 'task' is ''. Give a name, or leave the parameter out."),
    ("wroker=a", "Query parameter 'wroker' is 'a'. There is none of that name: write 'worker'."),
    (
        "colour=blue",
        "Query parameter 'colour' is 'blue'. There is none of that name. Known: worker, task, limit, format.",
    ),
    (
        "limit=" + "9" * 5000,
        f"Query parameter 'limit' is '{'9' * 100}…'. Give a whole number from 1 to 10000.",
    ),
    ("limit=%1b[31m", "Query parameter 'limit' is '\\x1b[31m'. Give a whole number from 1 to 10000."),
]


@pytest.mark.parametrize("path", ["tasks/", "stats/"])
@pytest.mark.parametrize(("query", "error"), BAD_QUERIES)
def test_tasks_and_stats__bad_query(staff: Client, celery: Celery, path: str, query: str, error: str) -> None:
    response = staff.get(PREFIX + path + "?" + query)

    assert response.status_code == 400
    assert response.json()["error"] == error
    assert celery.asked == 0
