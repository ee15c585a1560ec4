"""Workers that start, and start again: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.brokers.unreadable import Effect, Unreadable
from celery_health.conf import Limits, Settings
from celery_health.health.consuming import WorkersConsuming
from celery_health.health.workers import WorkersAlive
from celery_health.records import (
    BrokerState,
    CheckResult,
    Exit,
    Outage,
    Snapshot,
    Source,
    Starts,
    StoreState,
    Worker,
    WorkerState,
)
from celery_health.testing import make_snapshot, make_worker
from celery_health.worker.misread import Misread

REFUSED = (
    "PreconditionFailed: Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for "
    "queue 'mails' in vhost '/': received none but current is the value '10' of type 'long'"
)
AT_START = Exit(cause=REFUSED, at_start=True)
LATER = Exit(cause="MemoryError: Process got: too much", at_start=False)


def tries(seconds: float, count: int = 1, last: Exit | None = None, **changes: Any) -> Starts:
    """Return the starts of a name that never became ready."""
    given: dict[str, Any] = {
        "count": min(count, 20), "seconds": seconds, "ready_count": 0, "broken_count": min(count, 20) - 1,
        "vain_count": count, "vain_seconds": seconds, "last_exit": last,
    }  # fmt: skip
    return Starts(**{**given, **changes})


def up(hostname: str = "up@h", **changes: Any) -> Worker:
    return make_worker(
        hostname, **{"source": Source.HEARTBEATS, "read_age_seconds": 0.2, "was_ready": True, **changes}
    )


def starting(seconds: float | None, hostname: str = "new@h", **changes: Any) -> Worker:
    given: dict[str, Any] = {"state": WorkerState.STARTING, "was_ready": False, "read_age_seconds": None}
    known = None if seconds is None else tries(seconds)
    return up(hostname, **{**given, "queues": (), "starts": known, **changes})


def gone(seen: float, hostname: str = "old@h", **changes: Any) -> Worker:
    return up(hostname, state=WorkerState.GONE, last_seen_seconds=seen, **changes)


def failed(seen: float, seconds: float, count: int = 1, hostname: str = "new@h") -> Worker:
    known = tries(seconds, count, AT_START, broken_count=count)
    return gone(seen, hostname, was_ready=False, exit=AT_START, starts=known)


def settings(**limits: float) -> Settings:
    return Settings(limits=Limits(**limits))


ZERO = Settings(min_workers=0)
TWO = Settings(min_workers=2)
CASES = [
    # The first ever, three seconds old.
    ([starting(3)], Settings(), [(None, "warn")]),
    # Django takes its time, and a worker_ready of a minute: slow, and sound.
    ([starting(100)], Settings(), [(None, "warn")]),
    ([starting(119.9)], Settings(), [(None, "warn")]),
    # It hangs.
    ([starting(121)], Settings(), [(None, "fail")]),
    # The store could not say since when.
    ([starting(None)], Settings(), [(None, "warn")]),
    # Deployed in order, while the last one left in peace a moment ago.
    ([starting(3), gone(4, said_goodbye=True)], Settings(), [(None, "warn")]),
    # It has come to nothing for an hour, and the one that worked beside it went just now.
    ([starting(9, starts=tries(3000, 30)), gone(40, said_goodbye=True)], Settings(), [(None, "warn")]),
    # And that one has been gone for longer than a start may take.
    ([starting(9, starts=tries(3000, 30)), gone(130, said_goodbye=True)], Settings(), [(None, "fail")]),
    # Yesterday's workers do not make today's start a long one.
    ([starting(3), gone(40_000, said_goodbye=True)], Settings(), [(None, "warn")]),
    # Others consume: a start is nothing to talk about, also a long one.
    ([starting(100), up()], Settings(), [(None, "pass")]),
    ([starting(500), up()], Settings(), [(None, "pass")]),
    # But it is not the second that MIN_WORKERS asks for, once it takes too long.
    ([starting(100), up()], TWO, [(None, "pass")]),
    ([starting(500), up()], TWO, [(None, "warn")]),
    # A worker that has lost its broker may be back at once.
    ([starting(100), up(state=WorkerState.RECONNECTING)], Settings(), [(None, "pass")]),
    # A rolling deploy: the old drain while the new start.
    ([starting(90), up(state=WorkerState.DRAINING)], Settings(), [(None, "pass")]),
    # The old drain for hours, and the new never come up.
    ([starting(9, starts=tries(400, 12)), up(state=WorkerState.DRAINING)], Settings(), [(None, "fail")]),
    # Scaled up from none: the first takes its time.
    ([starting(30)], ZERO, [(None, "pass")]),
    ([starting(121)], ZERO, [(None, "fail")]),
    # It died at its start a moment ago, and its supervisor waits.
    ([failed(5, 8)], Settings(), [(None, "warn")]),
    # It waits longer than a restart may take: nobody is there.
    ([failed(31, 50)], Settings(), [(None, "fail")]),
    ([failed(31, 50)], ZERO, [(None, "off"), ("new@h", "warn")]),
    # Long ago; who worked since has left in peace.
    ([failed(500, 510), gone(40, said_goodbye=True)], Settings(), [(None, "fail"), ("new@h", "warn")]),
    # For longer than a start may take it has come to nothing.
    ([failed(5, 130, 9)], Settings(), [(None, "fail")]),
    # Of two names neither comes up.
    ([failed(5, 8), starting(2, "other@h")], Settings(), [(None, "warn")]),
    # Somebody who may work is silent: nothing is proven of all.
    ([starting(500), up("?@h", state=WorkerState.UNKNOWN)], Settings(), [(None, "unknown")]),
    # A crash loop beside those that work, seen at its sixth end.
    ([up(), starting(2, starts=tries(70, 6))], Settings(), [(None, "pass")]),
    ([up(), starting(2, starts=tries(85, 7))], Settings(), [(None, "pass"), ("new@h", "warn")]),
    # The same in the moment after its end: said once.
    ([up(), failed(40, 85, 7)], Settings(), [(None, "pass"), ("new@h", "warn")]),
    # The same name works for minutes each time, until the kernel ends it.
    (
        [up(starts=tries(3000, 8, ready_count=8, broken_count=7, vain_count=0, vain_seconds=0.0))],
        Settings(),
        [(None, "pass"), ("up@h", "warn")],
    ),
    # Deployed ten times in an hour, each time in order.
    (
        [up(starts=tries(3000, 10, ready_count=10, broken_count=0, vain_count=0, vain_seconds=0.0))],
        Settings(),
        [(None, "pass")],
    ),
    # A project may allow more.
    ([up(), starting(2, starts=tries(85, 7))], settings(restarts_per_hour=10), [(None, "pass")]),
    # An error ended one; it may be started again at once.
    ([up(), gone(5, exit=LATER)], Settings(), [(None, "pass")]),
    # Nobody did.
    ([up(), gone(31, exit=LATER)], Settings(), [(None, "pass"), ("old@h", "warn")]),
    # It was the only one.
    ([gone(5, exit=LATER)], Settings(), [(None, "warn")]),
    ([gone(31, exit=LATER)], Settings(), [(None, "fail"), ("old@h", "warn")]),
]


def judged(workers: list[Worker], wanted: Settings) -> list[CheckResult]:
    return list(WorkersAlive().judge(_snapshot(workers), wanted))


def _snapshot(workers: list[Worker], **changes: Any) -> Snapshot:
    return make_snapshot(workers=workers, store=StoreState(configured=True, reachable=True), **changes)


@pytest.mark.parametrize(("workers", "wanted", "expected"), CASES)
def test_starts__table(
    workers: list[Worker], wanted: Settings, expected: list[tuple[str | None, str]]
) -> None:
    assert [(one.subject, one.status.value) for one in judged(workers, wanted)] == expected


MESSAGES = [
    ([starting(34)], "No worker is ready: Worker 'new@h' has been starting for 34 s, and is not ready yet."),
    # Restarted as it was told to, as by ``celery multi restart``.
    (
        [starting(2, starts=tries(62, 4, ready_count=3, broken_count=0, vain_count=1, vain_seconds=2.4))],
        "No worker is ready: Worker 'new@h' has been starting for 2.4 s, and is not ready yet.",
    ),
    (
        [starting(4, starts=tries(170, 12, AT_START))],
        "No worker is ready: Worker 'new@h' has started 12 times in 2 min 50 s and never became ready; the "
        f"last time it ended by {REFUSED}.",
    ),
    (
        [starting(4, starts=tries(170, 12))],
        "No worker is ready: Worker 'new@h' has started 12 times in 2 min 50 s and never became ready; the "
        "last could not say why (killed?).",
    ),
    # More than are kept, each by itself.
    (
        [starting(4, starts=tries(7200, 480, LATER))],
        "No worker is ready: Worker 'new@h' has started 480 times in 2 h and never became ready; the last "
        "time it ended by MemoryError: Process got: too much.",
    ),
    ([failed(3, 5)], f"No worker is ready: Worker 'new@h' ended at its start by {REFUSED}."),
    (
        [failed(3, 5), starting(1, "b@h")],
        f"No worker is ready: Worker 'new@h' ended at its start by {REFUSED}. The same of b@h.",
    ),
    ([failed(40, 45)], f"No active Celery workers found: Worker 'new@h' ended at its start by {REFUSED}."),
]


@pytest.mark.parametrize(("workers", "message"), MESSAGES)
def test_starts__words(workers: list[Worker], message: str) -> None:
    assert judged(workers, Settings())[0].message == message


def test_restarts__words() -> None:
    known = tries(2400, 9, LATER, ready_count=8, broken_count=8, vain_count=0, vain_seconds=0.0)
    _, found = judged([up(starts=known)], Settings())
    assert found.message == (
        "Worker 'up@h' has started 9 times in 40 min, became ready 8 times, and ended 8 times without being "
        "told to; the last time it ended by MemoryError: Process got: too much."
    )
    assert (found.observed, found.limit, found.unit) == (8, 5, "restarts")
    assert "--concurrency" in (found.recommendation or "")


def test_refused_declaration__says_what_to_paste() -> None:
    [found] = judged([failed(3, 5)], Settings())
    assert (found.recommendation or "").endswith(
        "Declare it in app.conf.task_queues as it is there; or, where it is empty and nobody else declares "
        "it so, delete it, and the worker declares it anew: celery -A proj amqp queue.delete mails false true"
    )


def test_refused_declaration__of_who_is_gone_ends_with_what_to_paste() -> None:
    """What stands behind a command is pasted with it."""
    result = judged([failed(45.0, 60.0)], Settings())[0]
    assert result.status.value == "fail"
    assert "Start one after this." in str(result.recommendation)
    assert str(result.recommendation).endswith("amqp queue.delete mails false true")


def test_ended__by_a_message_that_nobody_can_read_says_where_to_look() -> None:
    cause = str(
        Misread(queue="mails", size_bytes=5, found=Unreadable(why="it is no JSON", effect=Effect.ENDS))
    )
    end = Exit(cause=f"JSONDecodeError: Expecting value. {cause}", at_start=False)
    found = judged([up(), gone(45.0, exit=end)], Settings())[-1]
    assert found.message == (
        "Worker 'old@h' ended by JSONDecodeError: Expecting value. No worker can read what it took from "
        "queue 'mails' (5 bytes): it is no JSON."
    )
    assert "Find out who else writes to 'mails' on this Redis." in str(found.recommendation)


def test_starts__the_broker_explains_them() -> None:
    away = BrokerState(transport="redis", url="redis://", reachable=False, error="refused")
    [found] = WorkersAlive().judge(_snapshot([starting(200)], broker=away), Settings())
    assert (found.status.value, found.because) == ("fail", "broker.reachable")


def test_consuming__says_nothing_of_its_own() -> None:
    [found] = WorkersConsuming().judge(_snapshot([starting(2)]), Settings())
    assert (found.status.value, found.because) == ("unknown", "workers.alive")


OUTAGE = Outage(began_seconds=50.0, ended_seconds=1.0, is_recent=True)
AFTER = [
    # Nobody could report, until a second ago: each may.
    ([gone(41)], OUTAGE, [(None, "unknown")]),
    # One already has: of the other it is not said that it vanished.
    ([gone(41), up()], OUTAGE, [(None, "pass")]),
    # It was silent before.
    ([gone(80)], OUTAGE, [(None, "fail"), ("old@h", "warn")]),
    # It said goodbye before.
    ([gone(41, said_goodbye=True)], OUTAGE, [(None, "fail")]),
    # All had the time to report since.
    ([gone(70)], replace(OUTAGE, is_recent=False, ended_seconds=30.0), [(None, "fail"), ("old@h", "warn")]),
]


@pytest.mark.parametrize(("workers", "outage", "expected"), AFTER)
def test_lost__after_a_store_that_took_no_reports(
    workers: list[Worker], outage: Outage, expected: list[tuple[str | None, str]]
) -> None:
    store = StoreState(configured=True, reachable=True, outage=outage)
    found = WorkersAlive().judge(make_snapshot(workers=workers, store=store), Settings())
    assert [(one.subject, one.status.value) for one in found] == expected


def test_lost__meanwhile_is_no_word_of_memory() -> None:
    outage = Outage(began_seconds=80.0, ended_seconds=30.0, is_recent=False)
    store = StoreState(configured=True, reachable=True, outage=outage)
    _, found = WorkersAlive().judge(make_snapshot(workers=[gone(70)], store=store), Settings())
    assert "since the store took no reports then: see its log" in (found.recommendation or "")
    assert "memory" not in (found.recommendation or "")


def test_restarts__meanwhile_are_no_word_of_memory() -> None:
    outage = Outage(began_seconds=80.0, ended_seconds=30.0, is_recent=False)
    store = StoreState(configured=True, reachable=True, outage=outage)
    worker = starting(3, starts=tries(90, 3))
    [found] = WorkersAlive().judge(make_snapshot(workers=[worker], store=store), Settings())
    assert "could not say why it ended: see its log" in (found.recommendation or "")
    assert "memory" not in (found.recommendation or "")
