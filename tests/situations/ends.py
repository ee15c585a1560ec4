"""How runs end: rows for the table of situations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery_health.records import CheckResult, TaskOutcomes, TaskStreak
from tests.situations.system import System
from tests.situations.table import situation, stay
from tests.support import eventually

TASKS = "tests.situations.ends_tasks"


def start(system: System, **options: Any) -> Path:
    """Start a worker with the tasks of this part; return a file that has them end badly while it is there."""
    system.conf["include"] = [TASKS]
    system.worker(**options)
    system.healthy()
    file = Path(system.stack.enter_context(tempfile.TemporaryDirectory())) / "fault"
    file.touch()
    return file


def send(system: System, name: str, *args: object, **options: Any) -> None:
    system.send(f"{TASKS}.{name}", *(str(one) if isinstance(one, Path) else one for one in args), **options)


def outcomes(system: System, name: str) -> TaskOutcomes:
    return (system.report().snapshot.recent or {}).get(f"{TASKS}.{name}") or TaskOutcomes()


def streak(system: System, name: str) -> TaskStreak:
    return system.report().snapshot.streaks.get(f"{TASKS}.{name}") or TaskStreak()


def told(system: System) -> CheckResult:
    (result,) = [check for check in system.report().checks if check.id == "tasks.failing"]
    return result


@situation("degraded", "tasks.failing", "warn", subject=f"{TASKS}.nightly")
def all_expired_on_arrival(system: System) -> Iterator[None]:
    start(system)
    send(system, "nightly", count=60, expires=-1)
    eventually(lambda: outcomes(system, "nightly").expired == 60, 20, what="all expired")
    yield
    expected = (
        f"Task '{TASKS}.nightly' ended badly in 60 of its last 60 runs: 60 had expired before they began."
    )
    assert told(system).message == expected, told(system)


@situation("degraded", "tasks.failing", "warn", subject=f"{TASKS}.tries_for_ever")
def retried_by_autoretry_for_ever(system: System) -> Iterator[None]:
    file = start(system)
    send(system, "tries_for_ever", file, count=2)
    yield
    assert "retries by autoretry_for" in told(system).message, told(system)
    assert "(Down)" in told(system).message, told(system)
    file.unlink()
    yield


@situation("degraded", "tasks.failing", "warn", subject=f"{TASKS}.tries_for_ever")
def one_run_retried_for_ever_among_others_that_succeed(system: System) -> Iterator[None]:
    file = start(system)
    send(system, "tries_for_ever", file)

    def is_seen() -> bool:
        send(system, "tries_for_ever", file.with_name("none"))
        return streak(system, "tries_for_ever").attempts > 50

    eventually(is_seen, 30, what="over 50 attempts")
    send(system, "tries_for_ever", file.with_name("none"), count=20)
    yield
    # Once the others have ended, it is a row of retries as well.
    assert "autoretry_for" in told(system).message, told(system)
    file.unlink()
    yield


@situation("degraded", "tasks.failing", "warn", subject=f"{TASKS}.is_killed", marks=("soak",))
def killed_each_time_and_delivered_again(system: System) -> Iterator[None]:
    system.health["LIMITS"] = {"children_restarts_per_minute": 1_000}
    file = start(system, concurrency=1)
    send(system, "is_killed", file)
    eventually(lambda: streak(system, "is_killed").failures >= 5, 30, what="killed five times")
    yield
    assert "(its process was killed)" in told(system).message or "were killed" in told(system).message
    file.unlink()
    yield


@situation("degraded", "tasks.failing", "warn", subject=f"{TASKS}.nightly")
def nightly_task_that_fails_each_time(system: System) -> Iterator[None]:
    file = start(system)
    for night in range(5):
        send(system, "nightly", file)
        eventually(lambda night=night: streak(system, "nightly").failures == night + 1, 20, what="failed")
        assert (told(system).status.value == "warn") is (night == 4), told(system)
    yield
    assert f"'{TASKS}.nightly' failed in each of its last 5 runs" in told(system).message, told(system)
    assert told(system).message.endswith(" ago (Down)."), told(system)
    file.unlink()
    send(system, "nightly", file)
    yield


@situation("healthy")
def ends_that_are_no_failures(system: System) -> Iterator[None]:
    """Polling by ``self.retry``, declared exceptions, what a person revoked, and rows that are too short."""
    system.health["LIMITS"] = {"depth": 10_000}
    file = start(system)
    send(system, "polls", 60)
    send(system, "waits_by_autoretry", file)
    send(system, "may_not_find", count=20)
    ids = [system.app.send_task("tests.project.tasks.add", countdown=1.5).id for _ in range(20)]
    system.app.control.revoke(ids)
    send(system, "nightly", file, count=4)
    yield from stay(system, 3)
    eventually(lambda: streak(system, "nightly").failures == 4, 10, what="four failures")
    eventually(lambda: outcomes(system, "polls").succeeded == 1, 30, what="polling ended")
    eventually(lambda: outcomes(system, "may_not_find").expected == 20, 10, what="declared ends")
    send(system, "nightly", file.with_name("none"))
    eventually(lambda: streak(system, "nightly").failures == 0, 10, what="a success")
    send(system, "nightly", file, count=4)
    yield from stay(system, 2)
    eventually(lambda: streak(system, "nightly").failures == 4, 10, what="four more failures")
    assert outcomes(system, "waits_by_autoretry").retried > 50
    assert streak(system, "waits_by_autoretry") == TaskStreak()
    file.unlink()
    yield
