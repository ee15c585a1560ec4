"""What ``tasks.lost`` says: in words, since somebody reads them at night."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.lost import TasksLost
from celery_health.records import CheckResult, Losses, LostRun, LostRuns, Orphans, StoreState
from celery_health.testing import make_snapshot, make_worker

SETTINGS = Settings()
AT = datetime(2026, 1, 28, 13, 0, tzinfo=UTC)
STORE = StoreState(configured=True, reachable=True, url="redis://localhost:6379/0")


def said(losses: Losses, **fields: Any) -> list[CheckResult]:
    snapshot = make_snapshot(workers=[make_worker()], store=STORE)
    return [*TasksLost().judge(replace(snapshot, taken_at=AT, losses=losses, **fields), SETTINGS)]


def of_one(*runs: LostRun, count: int | None = None, **fields: Any) -> CheckResult:
    lost = LostRuns(
        hostname="w1@host",
        runs=runs,
        count=len(runs) if count is None else count,
        silent_seconds=40.0,
        **fields,
    )
    [result] = said(Losses(runs=(lost,)))
    return result


PAID = LostRun(task_id="a1", task_name="shop.pay", is_acknowledged=True)
SHIPPED = LostRun(task_id="b2", task_name="shop.ship", is_acknowledged=False, returns_seconds=3900.0)
OLD = LostRun(task_id="c3", task_name="shop.mail")


def test_nothing_is_lost() -> None:
    [result] = said(Losses())
    assert (result.status, result.message) == ("pass", "No task is known to be lost.")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            of_one(PAID),
            "Worker 'w1@host' vanished while it ran up to 1 task. "
            "1 was acknowledged when it started, and does not come back: shop.pay (a1).",
        ),
        (
            of_one(PAID, PAID, SHIPPED),
            "Worker 'w1@host' vanished while it ran up to 3 tasks. "
            "2 were acknowledged when they started, and do not come back: shop.pay (a1, a1). "
            "1 comes back at about 14:05 UTC: shop.ship (b2).",
        ),
        # It ended some time ago, and nobody reads.
        (
            of_one(replace(SHIPPED, returns_seconds=-20.0)),
            "Worker 'w1@host' vanished while it ran up to 1 task. "
            "1 is due to come back (workers look for such messages every 100 s by default): shop.ship (b2).",
        ),
        # The record of an earlier version, and more than it names.
        (
            of_one(OLD, count=3),
            "Worker 'w1@host' vanished while it ran up to 3 tasks. "
            "Whether 3 of them come back is not known: shop.mail (c3).",
        ),
        (
            of_one(*[PAID] * 7, was_draining=True),
            "Worker 'w1@host' vanished while it drained, and ran up to 7 tasks. 7 were acknowledged when "
            "they started, and do not come back: shop.pay (a1, a1, a1, a1, a1) and 2 more.",
        ),
        (
            of_one(PAID, PAID, was_draining=True, are_given_up=True),
            "Worker 'w1@host' was stopped without waiting for its tasks, and gave up 2 that ran. "
            "2 were acknowledged when they started, and do not come back: shop.pay (a1, a1).",
        ),
    ],
)
def test_runs__words(result: CheckResult, message: str) -> None:
    assert (result.status, result.subject, result.message) == ("warn", "w1@host", message)
    assert result.recommendation and result.recommendation.startswith(message.partition(". ")[0])


def test_runs__what_to_do() -> None:
    assert "Send again what matters: shop.pay (a1)." in str(of_one(PAID, SHIPPED).recommendation)
    assert "acks_late" not in str(of_one(SHIPPED).recommendation)
    assert "terminationGracePeriodSeconds" in str(of_one(PAID, was_draining=True).recommendation)
    cold = str(of_one(PAID, was_draining=True, are_given_up=True).recommendation)
    assert "Send again what matters: shop.pay (a1)." in cold
    assert "REMAP_SIGTERM" in cold and "terminationGracePeriodSeconds" not in cold


def test_runs__are_explained_by_the_worker_that_is_missed() -> None:
    """Nobody misses one that was told to go, or has a successor of its name."""
    lost = LostRuns(hostname="w1@host", runs=(PAID,), count=1, silent_seconds=40.0)
    there = [make_worker("w1@host"), make_worker("w2@host")]
    cases = [(lost, there[1:]), (lost, there), (replace(lost, was_draining=True), there[1:])]
    cases.append((replace(lost, are_given_up=True), there[1:]))
    because = [said(Losses(runs=(one,)), workers=tuple(present))[0].because for one, present in cases]
    assert because == ["workers.alive", None, None, None]


def test_runs__a_machine_with_many_workers() -> None:
    lost = tuple(
        LostRuns(hostname=f"w{n}@host", runs=(PAID,), count=2, silent_seconds=40.0) for n in range(30)
    )
    results = said(Losses(runs=lost))
    assert len(results) == 21
    assert results[-1].message == "10 more workers took up to 20 tasks with them."


ORPHANS = Orphans(
    queue="mail", count=8, oldest_seconds=400.0, first_returns_seconds=3200.0, last_returns_seconds=3500.0,
    held_by=("w1@host",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("orphans", "message"),
    [
        (
            ORPHANS,
            "8 messages from queue 'mail' were taken over 60 s ago and not acknowledged, and no worker that "
            "reports holds them: worker 'w1@host' did, and vanished. "
            "They come back from about 13:53 to 13:58 UTC.",
        ),
        (
            replace(ORPHANS, count=1, is_minimum=True, first_returns_seconds=3500.0, held_by=()),
            "At least 1 message from queue 'mail' was taken over 60 s ago and not acknowledged, and no "
            "worker that reports holds it. It comes back at about 13:58 UTC.",
        ),
        (
            replace(ORPHANS, first_returns_seconds=-900.0, last_returns_seconds=-600.0, held_by=()),
            "8 messages from queue 'mail' were taken over 60 s ago and not acknowledged, and no worker that "
            "reports holds them. They were to come back 10 min ago: that takes a worker that reads from this "
            "broker.",
        ),
        (
            replace(ORPHANS, first_returns_seconds=-900.0, last_returns_seconds=-60.0, held_by=()),
            "8 messages from queue 'mail' were taken over 60 s ago and not acknowledged, and no worker that "
            "reports holds them. They are due to come back: workers look for such messages every 100 s by "
            "default.",
        ),
        (
            Orphans(queue=None, count=195_000, is_minimum=True),
            "At least 195,000 messages were taken over 60 s ago and not acknowledged, and no worker that "
            "reports holds them.",
        ),
    ],
)
def test_orphans__words(orphans: Orphans, message: str) -> None:
    [result] = said(Losses(orphans=(orphans,)))
    assert (result.status, result.subject, result.observed) == ("warn", orphans.queue, orphans.count)
    assert result.message == message


def test_orphans__not_known_is_no_fault() -> None:
    [result] = said(
        Losses(
            orphans=(Orphans(queue="mail", count=None, unknown="worker 'old' does not say what it holds"),)
        )
    )
    assert result.status == "unknown"
    assert result.message == (
        "Whether somebody holds the messages of queue 'mail' that were taken over 60 s ago is not known: "
        "worker 'old' does not say what it holds."
    )


def test_a_store_that_takes_no_reports_proves_nothing() -> None:
    lost = LostRuns(hostname="w1@host", runs=(PAID,), count=1, silent_seconds=40.0)
    [result] = said(Losses(runs=(lost,)), workers=(), store=replace(STORE, refuses_writes="it is full"))
    assert (result.status, result.because) == ("unknown", "store.reachable")
