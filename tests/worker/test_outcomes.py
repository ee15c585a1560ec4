"""Every way an execution can end, on every pool, in real workers, against the truth that the tasks note."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from celery import VERSION as CELERY_VERSION

from tests.support import Worker
from tests.worker.conftest import Ledger
from tests.worker.ends import expected, outcomes

VERSION = (CELERY_VERSION.major, CELERY_VERSION.minor)

#: In the worker's own process: what raises no signal and needs no child.
ANYWHERE = ["succeed", "fail", "unpicklable", "unserialisable", "retry", "ignore", "reject", "requeue_once"]
TASKS = ["early", "late", "requeued", "based", "named"]
EARLY = ("early", "based")


def run_matrix(ledger: Ledger, worker: Worker, calls: list[tuple[str, str]], runs: int) -> None:
    for task, what in calls:
        ledger.send(task, what)
    ledger.settled(runs)
    worker.stop()
    ran = ledger.ran()
    assert outcomes(ledger) == expected(ran)
    assert sum(ran.values()) == runs
    # Failed runs are timed like the others.
    assert ledger.runs_timed() == Counter(task for (task, _), times in ran.items() for _ in range(times))
    assert not [key for key in ledger.totals() if key[0] == "internal_errors"]
    assert "celery_health failed" not in worker.log


def calls_of(whats: list[str]) -> tuple[list[tuple[str, str]], int]:
    calls = [(task, what) for task in TASKS for what in whats]
    # A retry runs again and then has used up its retries; what is requeued runs a second time, unless its
    # message was acknowledged before the first.
    again = sum(what == "retry" or (what == "requeue_once" and task not in EARLY) for task, what in calls)
    return calls, len(calls) + again


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_outcomes__pools_without_processes(
    pool: str, ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    calls, runs = calls_of([*ANYWHERE, "burn"])
    run_matrix(ledger, truth_worker(pool=pool, concurrency=1 if pool == "solo" else 4), calls, runs)


@pytest.mark.smoke
def test_outcomes__prefork(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    calls, runs = calls_of([*ANYWHERE, "sys_exit", "os_exit"])
    # Put back when its child is lost, a task would be lost again for ever: this one is lost once.
    calls = [call for call in calls if call not in (("requeued", "os_exit"), ("requeued", "sys_exit"))]
    calls += [("requeued", "kill_once"), ("early", "kill"), ("late", "kill")]
    calls += [("soft", "hang"), ("hard", "hang"), ("hard_late", "hang")]
    run_matrix(ledger, truth_worker(concurrency=3), calls, runs - 2 + 7)


def test_outcomes__exit_of_a_requeued_task(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker()
    ledger.send("requeued", "sys_exit_once")
    # Celery 5.7 takes it for a lost worker and puts the message back, earlier ones for a failure.
    lost = VERSION >= (5, 7)
    ledger.settled(2 if lost else 1)
    worker.stop()
    ends = {("rejected", "requeued"): 1, ("killed", "requeued"): 1, ("succeeded", "requeued"): 1}
    if not lost:
        ends = {("failed", "requeued", "SystemExit"): 1}
    assert outcomes(ledger) == {("started", "requeued"): 2 if lost else 1, **ends}
