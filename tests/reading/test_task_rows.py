"""The tasks that workers hold, one by one: fetched when people ask, and for no verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import redis
from celery import Celery, _state

from celery_health import get_report, reading
from celery_health.api.snapshots import take_reading
from celery_health.api.stats import stats_body
from celery_health.api.tasks import tasks_body
from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health import with_tasks
from celery_health.management.sections import running_tasks
from celery_health.page.links import Links
from celery_health.page.tasks import running
from celery_health.reading.task_rows import processes_of
from celery_health.records import CheckStatus, Snapshot, Worker, WorkerState
from celery_health.store import Store, open_store
from celery_health.testing import make_worker
from celery_health.worker.held import split
from tests.store.conftest import Writer

#: As earlier versions wrote it: everything in one.
WHOLE: Mapping[str, Any] = {
    "app_id": "shop", "pid": 1, "pool": "threads", "concurrency": 4, "queues": ["celery"],
    "connected": True, "looping": True, "can_consume": True, "read_age_seconds": 0.1, "loop_age_seconds": 0.1,
    "active": [
        {"task_id": "a1", "task_name": "shop.pay", "queue": "celery", "time_start": 1.0, "args": "['x']",
         "kwargs": "{}", "runtime_seconds": 50.0, "limit_seconds": 20.0, "acknowledged": True},
    ],
    "reserved": [
        {"task_id": "r1", "task_name": "shop.ship", "queue": "celery", "args": "[1]", "kwargs": "{}"},
    ],
    "scheduled": [
        {"task_id": "s1", "task_name": "shop.bill", "queue": "mail", "eta": "2026-01-28T10:30:00+00:00"},
    ],
    "active_count": 1, "reserved_count": 1, "scheduled_count": 1,
}  # fmt: skip
BRIEF, ROWS = split(WHOLE)


class Yard:
    """One worker in a real store, and this process as a reader of it."""

    def __init__(self, store: Any, client: redis.Redis) -> None:
        self.store, self.client = store, client
        self.writer = Writer(store, kind="worker", name="w@host")

    def publish(self, record: Mapping[str, Any] = BRIEF, rows: Mapping[str, Any] | None = ROWS) -> None:
        self.writer.publish(record=record, rows=rows)

    def replace_rows(self, text: bytes) -> None:
        stamp = str(int(time.time() * 1e6)).encode()
        self.client.hset(self.store.keys.rows, f"{self.writer.writer} w@host", stamp + b" " + text)

    def read(self) -> Snapshot:
        return reading.get_reading_with_tasks(Deadline.after(5))[0]

    def bytes_sent(self) -> int:
        return int(self.client.info("stats")["total_net_output_bytes"])


@pytest.fixture
def yard(
    make_app: Callable[..., Celery], redis_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Yard]:
    """A yard whose worker has not reported yet."""
    app = make_app(redis_url)
    settings.CELERY_HEALTH = {"APP_ID": "shop", "DEADLINE": 10, "SHOW_ARGUMENTS": True}
    monkeypatch.setattr(_state._tls, "current_app", app, raising=False)  # type: ignore[attr-defined]
    monkeypatch.setattr(_state, "default_app", app)
    monkeypatch.setattr(reading, "_reader", None)
    store: Store | None = open_store(app, Settings(app_id="shop"))
    assert store is not None
    client = redis.Redis.from_url(redis_url)
    yield Yard(store, client)
    if reading._reader is not None:
        reading._reader.close()
    store.close()
    client.close()


def told(worker: Worker) -> list[Any]:
    """Return what a worker tells of its tasks, but for the age."""
    return [
        [(t.task_id, t.task_name, t.queue, t.args, t.time_start, t.limit_seconds) for t in worker.active],
        [(t.task_id, t.task_name, t.queue, t.args) for t in worker.reserved],
        [(t.task_id, t.task_name, t.queue, t.eta and t.eta.isoformat()) for t in worker.scheduled],
        [worker.active_count, worker.reserved_count, worker.scheduled_count],
    ]


EVERYTHING = [
    [("a1", "shop.pay", "celery", "['x']", 1.0, 20.0)],
    [("r1", "shop.ship", "celery", "[1]")],
    [("s1", "shop.bill", "mail", "2026-01-28T10:30:00+00:00")],
    [1, 1, 1],
]


def test_tasks__are_told_one_by_one_to_those_who_ask(yard: Yard) -> None:
    yard.publish()
    [worker] = yard.read().workers
    assert told(worker) == EVERYTHING
    assert 50 <= (worker.active[0].runtime_seconds or 0) < 60
    assert worker.active[0].worker == worker.reserved[0].worker == "w@host"


def test_tasks__no_verdict_fetches_them_and_it_judges_what_runs_too_long(yard: Yard) -> None:
    long = "x" * 1_000_000
    yard.publish(rows={**ROWS, "reserved": [{"task_id": "r1", "task_name": "shop.ship", "args": long}]})
    before = yard.bytes_sent()
    deadline = Deadline.after(5)
    report = get_report(deadline)
    assert yard.bytes_sent() - before < 200_000
    [stuck] = [check for check in report.checks if check.id == "tasks.stuck"]
    assert (stuck.status, stuck.subject, stuck.limit) == (CheckStatus.WARN, "shop.pay", 20.0)
    assert told(report.snapshot.workers[0])[1:3] == [[], []]
    # Whoever shows them adds them to the same verdict.
    shown = with_tasks(report, deadline)
    assert yard.bytes_sent() - before > 1_000_000
    assert (shown.status, shown.checks) == (report.status, report.checks)
    assert [task.task_id for task in shown.snapshot.workers[0].reserved] == ["r1"]


def test_tasks__are_on_all_surfaces_for_people(yard: Yard) -> None:
    yard.publish()
    found = take_reading(limit=10, with_tasks=True)
    body = tasks_body(found)
    assert [row["queue"] for row in body["running"] + body["reserved"]] == ["celery", "celery"]
    assert [row["args"] for row in body["running"] + body["reserved"]] == ["['x']", "[1]"]
    assert [row["eta"] for row in body["scheduled"]] == ["2026-01-28T10:30:00+00:00"]
    assert (body["truncated"], body["notes"]) == (False, [])
    assert {name: row["reserved"] for name, row in stats_body(found)["by_task_name"].items()} == {
        "shop.pay": 0, "shop.ship": 1, "shop.bill": 0,
    }  # fmt: skip
    assert "celery" in running_tasks(yard.read())[1]
    assert [cell.text for cell in running(yard.read(), Links()).rows[0].cells][2] == "celery"


def test_tasks__of_a_record_of_an_earlier_version_are_all_shown(yard: Yard) -> None:
    yard.publish(record=WHOLE, rows=None)
    snapshot = yard.read()
    assert told(snapshot.workers[0]) == EVERYTHING
    assert snapshot.task_notes == ()


def test_tasks__of_two_under_one_name_are_told_apart(yard: Yard) -> None:
    other = Writer(yard.store, kind="worker", name="w@host")
    for _ in range(2):
        yard.publish()
        other.publish(record={**BRIEF, "pid": 2}, rows={**ROWS, "reserved": [], "reserved_count": 0})
    workers = {worker.pid: told(worker) for worker in yard.read().workers}
    assert workers[1] == EVERYTHING
    assert workers[2][1] == []


def test_tasks__counts_are_those_of_the_lists(yard: Yard) -> None:
    """The worker reported again between the two: what is said of the tasks is of one moment."""
    yard.publish()
    reading.get_reading(Deadline.after(5))
    yard.publish(record={**BRIEF, "reserved_count": 0}, rows={**ROWS, "reserved": [], "reserved_count": 0})
    body = tasks_body(take_reading(limit=10, with_tasks=True))
    assert (body["reserved"], body["reserved_count"], body["truncated"]) == ([], 0, False)


def test_tasks__that_cannot_be_read_are_said_to_be_missing_and_the_rest_is_shown(yard: Yard) -> None:
    yard.publish()
    yard.client.delete(yard.store.keys.rows)
    yard.client.set(yard.store.keys.rows, "mine")
    body = tasks_body(take_reading(limit=10, with_tasks=True))
    assert [(row["task_id"], row["queue"]) for row in body["running"]] == [("a1", None)]
    assert (body["reserved"], body["reserved_count"], body["truncated"]) == ([], 1, True)
    [note] = body["notes"]
    assert note.startswith(f"The key '{yard.store.keys.rows}' of the store is of a type")
    assert note in "".join(running_tasks(yard.read())) and note in running(yard.read(), Links()).note
    assert take_reading(limit=10).snapshot.task_notes == ()


@pytest.mark.parametrize(
    "text",
    [
        b"[1]", b"what is this", b"[" * 3000, b'{"active": {"a": 1}}', b'{"active": [5, null, [[]]]}',
        b'{"reserved": [{"task_id": ["\\ud800"], "args": 5}], "reserved_count": "x"}',
        b'{"scheduled": [{"eta": 1e300}], "active_count": -1e999, "scheduled_count": NaN}',
        b'{"active": [{"runtime_seconds": NaN, "time_start": "now", "queue": {}}]}', b"\xff{}",
    ],
)  # fmt: skip
def test_tasks__odd_rows_end_no_answer(yard: Yard, text: bytes) -> None:
    yard.publish()
    well = Writer(yard.store, kind="worker", name="well@host")
    well.publish(record=BRIEF, rows=ROWS)
    yard.replace_rows(text)
    found = take_reading(limit=10, with_tasks=True)
    stats_body(found)
    assert [row["worker"] for row in tasks_body(found)["reserved"] if row["task_id"] == "r1"] == ["well@host"]
    running_tasks(found.snapshot)


def test_tasks__of_whom_they_are_asked_for() -> None:
    """What a worker vanished with is worth knowing; one that said goodbye left nothing."""
    gone = partial(make_worker, state=WorkerState.GONE)
    workers = [
        make_worker("lives@h", writer="1"),
        gone("vanished@h", writer="2"),
        gone("left@h", writer="3", said_goodbye=True),
        # It keeps no record.
        make_worker("asked@h"),
    ]

    assert processes_of(workers) == [("1", "lives@h"), ("2", "vanished@h")]
