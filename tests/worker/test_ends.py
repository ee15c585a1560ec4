"""What the end of a run says of its task, on every pool, by workers whose tasks are told how to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from celery_health.deadline import Deadline
from celery_health.records import TaskStreak
from tests.support import Worker
from tests.worker.conftest import Ledger, patiently
from tests.worker.truth import WAITING

TASKS = "tests.situations.ends_tasks"


def ring(ledger: Ledger, name: str) -> Mapping[str, int]:
    """Return what the minutes of the last hour hold of a task, but what was sent."""
    found: dict[str, int] = {}
    for minute in ledger.store.read(Deadline.after(5), ring_minutes=61).ring.values():
        for (task, outcome), count in minute.items():
            if task == name and outcome != "sent":
                found[outcome] = found.get(outcome, 0) + count
    return found


def streak(ledger: Ledger, name: str) -> TaskStreak:
    return ledger.store.read(Deadline.after(5)).streaks.get(name) or TaskStreak()


@pytest.fixture
def send(ledger: Ledger) -> Callable[..., str]:
    def sent(name: str, *args: Any, **options: Any) -> str:
        return str(ledger.app.send_task(f"{TASKS}.{name}", args, **options).id)

    return sent


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_ends__autoretry_is_told_from_a_retry_of_the_task(
    pool: str, ledger: Ledger, send: Callable[..., str], truth_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    fault = tmp_path / "fault"
    fault.touch()
    truth_worker(pool=pool, concurrency=2, conf={"include": [TASKS]})
    send("tries_for_ever", str(fault))
    send("polls", 30)
    send("may_not_find")
    send("nightly", expires=-1)

    def is_seen() -> bool:
        found = streak(ledger, f"{TASKS}.tries_for_ever")
        assert found.retries > 10, found
        assert (found.attempts > 10, found.retried_by) == (True, "Down"), found
        return ring(ledger, f"{TASKS}.polls").get("succeeded") == 1

    patiently(is_seen)
    assert ring(ledger, f"{TASKS}.polls")["retried"] == 30
    assert ring(ledger, f"{TASKS}.may_not_find") == {"failed": 1, "expected": 1}
    assert ring(ledger, f"{TASKS}.nightly") == {"expired": 1}
    assert streak(ledger, f"{TASKS}.nightly").failed_by == "expired"
    assert set(ledger.store.read(Deadline.after(5)).streaks) == {
        f"{TASKS}.tries_for_ever",
        f"{TASKS}.nightly",
    }
    fault.unlink()
    # A run that ends well ends its attempts with it.
    patiently(lambda: ring(ledger, f"{TASKS}.tries_for_ever").get("succeeded") == 1)
    patiently(lambda: not streak(ledger, f"{TASKS}.tries_for_ever").attempts)
    # In another thread, a retry without a delay may end before the run that asked for it has.
    assert streak(ledger, f"{TASKS}.tries_for_ever").retries <= 1


def test_ends__of_killed_rejected_and_ignored_runs(
    ledger: Ledger, send: Callable[..., str], truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker(concurrency=2)
    early, requeued = "tests.worker.truth.early", "tests.worker.truth.requeued"
    for what in ("kill", "reject", "ignore", "fail"):
        ledger.send("early", what)
    ledger.send("requeued", "kill_once")
    ledger.settled(6)
    worker.stop()
    assert ring(ledger, early) == {"failed": 2, "killed": 1, "rejected": 1, "ignored": 1}
    assert ring(ledger, requeued) == {"killed": 1, "redelivered": 1, "succeeded": 1}
    assert requeued not in ledger.store.read(Deadline.after(5)).streaks


def test_ends__that_a_person_or_the_worker_brought_about_are_no_failures(
    ledger: Ledger, send: Callable[..., str], truth_worker: Callable[..., Worker]
) -> None:
    worker = truth_worker(concurrency=2)
    running = [ledger.send("early", "await_revoke") for _ in range(2)]
    waiting = [ledger.send("early", "succeed", countdown=600) for _ in range(6)]
    patiently(lambda: ledger.client.llen(WAITING) == 2)
    ledger.app.control.revoke(waiting)
    ledger.app.control.revoke(running, terminate=True)
    patiently(lambda: ledger.totals().get(("revoked", "early")) == 2)
    # Two more run, and a cold shutdown gives them up: what it kills no memory did.
    for _ in range(2):
        ledger.send("early", "await_revoke")
        ledger.send("requeued", "await_revoke")
    patiently(lambda: ledger.client.llen(WAITING) == 4)
    worker.signal(signal.SIGQUIT)
    worker.wait(30)
    assert ledger.store.read(Deadline.after(5)).streaks == {}
    for task in ("early", "requeued"):
        assert set(ring(ledger, f"tests.worker.truth.{task}")) <= {"failed"}, ring(ledger, task)
