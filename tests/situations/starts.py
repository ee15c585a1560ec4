"""Situations of workers that start: again and again, slowly, in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from celery_health.records import WorkerState
from tests.situations.system import System
from tests.situations.table import patience, situation, stay
from tests.support import Worker, eventually

#: Over the limits of the run, where that is not at the defaults.
FAST_STARTS = {"start_seconds": 5, "restarts_per_hour": 2}


class Supervisor:
    """Starts a worker again whenever it ends, a moment later: systemd, a container's runtime."""

    def __init__(self, system: System, **options: Any) -> None:
        self._system = system
        self._options = options
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        system.stack.callback(self.stop)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            worker = Worker(self._system.url, **self._options)
            worker.start()
            try:
                while worker.running and not self._stopping.wait(0.1):
                    pass
            finally:
                worker.close()
            self._stopping.wait(0.5)

    def stop(self) -> None:
        """End the worker, and start none again."""
        self._stopping.set()
        self._thread.join()


def _limits(system: System) -> None:
    if not system.is_soak:
        system.health["LIMITS"] = {**system.health.get("LIMITS", {}), **FAST_STARTS}


def _falling(system: System, where: str, **options: Any) -> dict[str, Any]:
    conf = {**system.conf, "include": ["tests.worker.falls"]}
    env = {"CELERY_TEST_FALL": where}
    return {"conf": conf, "env": env, "health": system.settings, "pool": "solo", **options}


@situation("unhealthy", "workers.alive", "fail", within="start_seconds", marks=("slow",))
def nobody_becomes_ready(system: System) -> Iterator[None]:
    _limits(system)
    supervisor = Supervisor(system, **_falling(system, "consumer_step", name="loop"))
    # First it may still come to something.
    report = system.until(
        lambda report: any(
            check.status == "warn" and "loop@test" in check.message for check in report.checks
        ),
        30,
        "starting",
    )
    assert report.snapshot.workers[0].state in (WorkerState.STARTING, WorkerState.GONE)
    report = system.until(
        lambda report: any(
            "ended by RuntimeError: licence is over" in check.message for check in report.checks
        ),
        60,
        "its cause",
    )
    yield
    supervisor.stop()
    system.worker(name="loop")
    # What it did before is told until it has lived for longer than a start may take.
    yield


@situation("degraded", "workers.alive", "warn", subject="loop@test", within="start_seconds", marks=("slow",))
def crash_loop_beside_a_sound_worker(system: System) -> Iterator[None]:
    _limits(system)
    system.worker(name="sound")
    system.healthy()
    Supervisor(system, **_falling(system, "module", name="loop"))
    system.until(
        lambda report: any(
            w.starts and w.starts.broken_count >= system.limit("restarts_per_hour")
            for w in report.snapshot.workers
        ),
        60,
        "as often as it may",
    )
    yield


@situation("healthy", marks=("slow",))
def slow_start_beside_a_sound_worker(system: System) -> Iterator[None]:
    _limits(system)
    if not system.is_soak:
        system.health["LIMITS"]["start_seconds"] = 2
    system.worker(name="sound")
    system.healthy()
    slow = system.worker(wait=False, **_falling(system, "slow", name="slow"))

    def states() -> set[WorkerState]:
        return {w.state for w in system.report().snapshot.workers if w.hostname == slow.hostname}

    eventually(lambda: WorkerState.STARTING in states(), 30, interval=0.1)
    while not states() & {WorkerState.OK, WorkerState.BUSY}:
        yield
    yield from stay(system, 1)


@situation("healthy", marks=("slow",))
def deployed_in_order_under_one_name(system: System) -> Iterator[None]:
    _limits(system)
    system.worker(name="other", pool="solo")
    worker = system.worker(name="one", pool="solo")
    system.healthy()
    for _ in range(4):
        worker.stop()
        worker = system.worker(name="one", pool="solo")
        yield
    yield from stay(system, patience(system))
