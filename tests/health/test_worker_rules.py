"""workers.*: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.consuming import WorkersConsuming
from celery_health.health.pools import WorkersPool
from celery_health.health.workers import WorkersAlive
from celery_health.records import (
    InspectionState,
    Losses,
    LostRuns,
    QueueState,
    Snapshot,
    Source,
    StoreState,
    Worker,
    WorkerState,
)
from celery_health.testing import make_snapshot, make_worker


def recorded(hostname: str = "worker1@host", **changes: Any) -> Worker:
    changes.setdefault("read_age_seconds", 0.2)
    return make_worker(hostname, source=Source.HEARTBEATS, **changes)


def gone(seen: float, hostname: str = "gone@host", **changes: Any) -> Worker:
    return recorded(hostname, state=WorkerState.GONE, last_seen_seconds=seen, **changes)


NOT_ASKED = InspectionState()
EMPTY = InspectionState(asked=True, complete=True, roster=())


def results(check: Any, snapshot: Snapshot, settings: Settings | None = None) -> list[tuple[str | None, str]]:
    return [(r.subject, r.status.value) for r in check.judge(snapshot, settings or Settings())]


ALIVE = [
    # Records alone are enough: nobody is asked.
    ([recorded()], NOT_ASKED, None, [(None, "pass")]),
    # SIGKILL, record older than 30 s.
    ([gone(31)], NOT_ASKED, 31, [(None, "fail"), ("gone@host", "warn")]),
    # All said goodbye 10 s ago: a deploy with one worker.
    ([gone(10, said_goodbye=True)], NOT_ASKED, 10, [(None, "warn")]),
    # And nobody came back.
    ([gone(31, said_goodbye=True)], NOT_ASKED, 31, [(None, "fail")]),
    # One left in peace just now, another died: the grace is for the first alone, the death is named.
    (
        [gone(10, "a@h", said_goodbye=True), gone(40, "b@h")],
        NOT_ASKED,
        10,
        [(None, "warn"), ("b@h", "warn")],
    ),
    # SIGKILL after SIGTERM, a spot node: it was told to go.
    ([recorded(), gone(45, is_draining=True)], NOT_ASKED, 0, [(None, "pass")]),
    # Crashed eleven minutes ago, and somebody else works: yesterday's news.
    ([recorded(), gone(660)], NOT_ASKED, 0, [(None, "pass")]),
    # Crashed five minutes ago.
    ([recorded(), gone(300)], NOT_ASKED, 0, [(None, "pass"), ("gone@host", "warn")]),
    # The store lost its records with a restart; this process saw a worker 5 s ago.
    ([], EMPTY, 5, [(None, "warn")]),
    # And it did not come back.
    ([], EMPTY, 31, [(None, "fail")]),
    # Never any worker.
    ([], EMPTY, None, [(None, "fail")]),
    # A unit file was copied: two count, and are told apart nowhere else.
    (
        [recorded("w@h", is_doubled=True), recorded("w@h", is_doubled=True), recorded()],
        NOT_ASKED,
        0,
        [(None, "pass"), ("w@h", "warn")],
    ),
    # Draining workers live.
    ([recorded(state=WorkerState.DRAINING)], NOT_ASKED, 0, [(None, "pass")]),
]


@pytest.mark.parametrize(("workers", "inspection", "seen", "expected"), ALIVE)
def test_workers_alive__records(
    workers: list[Worker],
    inspection: InspectionState,
    seen: float | None,
    expected: list[tuple[str | None, str]],
) -> None:
    snapshot = make_snapshot(workers=workers, inspection=inspection, live_worker_seen_seconds=seen)

    assert results(WorkersAlive(), snapshot) == expected


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        # One that is busy in its main process answers nobody: the broker counts it all the same.
        ({"consumers": 2, "expected_by": ("task:a",)}, "unknown"),
        ({"consumers": 2, "foreign_consumers": ("crm@host",), "expected_by": ("task:a",)}, "unknown"),
        # Who it is, is known: no worker of ours.
        ({"consumers": 1, "foreign_consumers": ("crm@host",), "expected_by": ("task:a",)}, "fail"),
        # A queue of others.
        ({"consumers": 1}, "fail"),
        ({"consumers": 0, "expected_by": ("task:a",)}, "fail"),
        ({"consumers": None, "expected_by": ("task:a",)}, "fail"),
    ],
)
def test_workers_alive__whom_the_broker_counts(queue: dict[str, Any], expected: str) -> None:
    snapshot = make_snapshot(workers=[], queues=[QueueState(name="a", **queue)], inspection=EMPTY)

    (result,) = WorkersAlive().judge(snapshot, Settings())

    assert result.status.value == expected
    assert ("queue 'a'" in result.message) is (expected == "unknown")


def test_workers_alive__says_what_proves_an_end_before_the_limit() -> None:
    workers = [recorded(), gone(9.04, is_disconnected=True)]

    (_, lost) = WorkersAlive().judge(make_snapshot(workers=workers, inspection=NOT_ASKED), Settings())

    assert lost.message == (
        "Worker 'gone@host' vanished without a goodbye: its connection to the broker is gone."
    )
    # It is not over a limit.
    assert (lost.status.value, lost.observed, lost.limit) == ("warn", 9.0, None)


@pytest.mark.parametrize(("seen", "expected"), [(2.0, "unknown"), (31.0, "fail")])
def test_workers_alive__nobody_answers_while_the_store_cannot_be_read(seen: float, expected: str) -> None:
    """As at a failover: its records said that it lives, and it has not subscribed again yet."""
    away = StoreState(configured=True, reachable=False, url="redis://s/", error="Timeout")
    snapshot = make_snapshot(workers=[], inspection=EMPTY, live_worker_seen_seconds=seen, store=away)

    (result,) = WorkersAlive().judge(snapshot, Settings())

    assert (result.status.value, "left" in result.message) == (expected, False)
    if expected == "unknown":
        assert result.because == "store.reachable"
        assert result.message == (
            "No worker has answered in time, one that lived 2 s ago among them, and the store with its "
            "record cannot be read."
        )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "vanished without a goodbye and took up to 3 tasks with it."),
        # It had said so before: that is another row's.
        ({"are_given_up": True}, "vanished without a goodbye."),
        ({"hostname": "other@host"}, "vanished without a goodbye."),
    ],
)
def test_workers_alive__says_what_one_that_vanished_took_with_it(fields: dict[str, Any], words: str) -> None:
    lost = LostRuns(**{"hostname": "gone@host", "count": 3, "silent_seconds": 40.0, **fields})
    snapshot = make_snapshot(workers=[recorded(), gone(40)], inspection=NOT_ASKED)

    (_, told) = WorkersAlive().judge(replace(snapshot, losses=Losses(runs=(lost,))), Settings())

    assert told.message == f"Worker 'gone@host' {words}"


DEAF = {"state": WorkerState.NOT_CONSUMING, "read_age_seconds": 75.0}

CANCELLED = {
    "state": WorkerState.NO_QUEUES,
    "is_paused": True,
    "queues": (),
    "cancelled_queues": ("celery", "e mails"),
}

CONSUMING = [
    ([recorded()], [(None, "pass")]),
    # The only one has stopped reading: nothing is taken, while ping answers.
    ([recorded(**DEAF)], [("worker1@host", "fail")]),
    # One of two.
    ([recorded("a@h", **DEAF), recorded("b@h")], [("a@h", "warn")]),
    # Both.
    ([recorded("a@h", **DEAF), recorded("b@h", **DEAF)], [("a@h", "fail"), ("b@h", "fail")]),
    # The other one is saturated: it takes tasks again when one ends.
    ([recorded("a@h", **DEAF), recorded("b@h", state=WorkerState.SATURATED)], [("a@h", "warn")]),
    # The other one drains: nobody takes anything.
    ([recorded("a@h", **DEAF), recorded("b@h", state=WorkerState.DRAINING)], [("a@h", "fail")]),
    # The other one takes nothing either: its consumer was cancelled.
    ([recorded("a@h", **DEAF), recorded("b@h", **CANCELLED)], [("a@h", "fail"), ("b@h", "warn")]),
    # That alone is nobody's fault, and somebody should know.
    ([recorded(**CANCELLED)], [("worker1@host", "warn")]),
    # A limit holds the other one back: it takes tasks again when the limit allows it.
    ([recorded("a@h", **DEAF), recorded("b@h", state=WorkerState.HELD_BACK)], [("a@h", "warn")]),
    # Two under one name: one does not hide the other.
    ([recorded("a@h"), recorded("a@h", **DEAF)], [("a@h", "warn")]),
    # A loop that hangs reads nothing either.
    ([recorded(state=WorkerState.STUCK, loop_age_seconds=90.0)], [("worker1@host", "fail")]),
    # Live inspection does not tell.
    ([make_worker()], [(None, "unknown")]),
    ([], [(None, "unknown")]),
]


@pytest.mark.parametrize(("workers", "expected"), CONSUMING)
def test_workers_consuming__table(workers: list[Worker], expected: list[tuple[str | None, str]]) -> None:
    store = StoreState(configured=True, reachable=True)
    assert results(WorkersConsuming(), make_snapshot(workers=workers, store=store)) == expected


def test_workers_consuming__a_cancelled_consumer_is_named_with_what_brings_it_back() -> None:
    [result] = WorkersConsuming().judge(make_snapshot(workers=[recorded(**CANCELLED)]), Settings())

    assert result.message == (
        "Worker 'worker1@host' consumes no queue: its consumer was cancelled (cancel_consumer)."
    )
    assert result.recommendation == (
        f"{result.message} Restart it, or have it consume again: "
        "celery -A proj control -d worker1@host add_consumer celery && "
        "celery -A proj control -d worker1@host add_consumer 'e mails'"
    )


def test_workers_consuming__without_queues_for_a_reason_that_nobody_knows() -> None:
    worker = recorded(state=WorkerState.NO_QUEUES, queues=(), cancelled_queues=())

    [result] = WorkersConsuming().judge(make_snapshot(workers=[worker]), Settings())

    assert result.recommendation == ("Worker 'worker1@host' consumes no queue; why is not known. Restart it.")


def test_workers_consuming__says_how_long_a_worker_should_have_read() -> None:
    worker = recorded(state=WorkerState.NOT_CONSUMING, read_age_seconds=7200.0, unread_seconds=75.04)

    [result] = WorkersConsuming().judge(make_snapshot(workers=[worker]), Settings())

    assert result.observed == 75.0


POOL = [
    ([recorded(children=4)], [(None, "pass")]),
    # No process left to run a task.
    ([recorded(children=0)], [("worker1@host", "fail")]),
    # Told to have none.
    ([recorded(children=0, concurrency=0, childless_seconds=31.0)], [("worker1@host", "fail")]),
    # Scaled down to none, to grow with the next message: it counts as having one.
    ([recorded(children=0, concurrency=0, childless_seconds=0.0)], [(None, "pass")]),
    # Another worker has some.
    ([recorded("a@h", children=0, childless_seconds=31.0), recorded("b@h", children=4)], [("a@h", "warn")]),
    # Threads and gevent have no processes.
    ([recorded(children=None, pool="threads")], [(None, "pass")]),
    # A prefork worker without children beside a thread pool that works.
    (
        [recorded("a@h", children=0, childless_seconds=31.0), recorded("b@h", children=None)],
        [("a@h", "warn")],
    ),
    # Eleven died in a minute, max_tasks_per_child left out.
    ([recorded(children=4, children_lost_per_minute=11.0)], [("worker1@host", "warn")]),
    ([recorded(children=4, children_lost_per_minute=10.0)], [(None, "pass")]),
    # max_tasks_per_child=1: restarts without number, and none of them lost.
    ([recorded(children=4, children_restarted=69231, children_lost_per_minute=0.0)], [(None, "pass")]),
    ([recorded(state=WorkerState.STUCK, loop_age_seconds=61.0)], [("worker1@host", "warn")]),
    ([], [(None, "unknown")]),
    # The dead have no pool to judge.
    ([gone(45, children=0)], [(None, "unknown")]),
]


@pytest.mark.parametrize(("workers", "expected"), POOL)
def test_workers_pool__table(workers: list[Worker], expected: list[tuple[str | None, str]]) -> None:
    assert results(WorkersPool(), make_snapshot(workers=workers)) == expected
