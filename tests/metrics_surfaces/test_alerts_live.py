"""The alerts against a running system that is really broken, and mended: a real Prometheus fires them.

Ranges and ``for`` are a fiftieth of the shipped ones, and limits those of the fast situations; the
expressions are the shipped ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from celery_health.conf import parse
from celery_health.metrics.alerts import Project
from celery_health.metrics.promql import Scope
from celery_health.metrics.rule_files import prometheus_file
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.prometheus import Prometheus
from tests.situations.system import System
from tests.support import Proxy, RedisServer, eventually, project_env

pytestmark = [pytest.mark.live, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(240)]

PACE = 0.02
RECENT_SECONDS = 600
#: Starting a worker, a heartbeat, a scrape, an evaluation, and a machine that is busy.
SECONDS = 60.0

TASKS = "tests.project.tasks"


@dataclass
class Watched:
    """A system, its exporter, and a Prometheus with the rules of this very system."""

    system: System
    exporter: Exporter
    prometheus: Prometheus
    seen: set[str] = field(default_factory=set)
    """Every alert that fired at any time."""

    def wait_firing(self, alert: str, **labels: str) -> dict[str, Any]:
        """Return the alert once it fires for this subject."""

        def fires() -> dict[str, Any] | None:
            firing = self.prometheus.firing()
            self.seen |= set(firing)
            for one in firing.get(alert, []):
                if labels.items() <= one["labels"].items():
                    found: dict[str, Any] = one
                    return found
            raise AssertionError(sorted(firing))

        found = eventually(fires, SECONDS, interval=0.2, what=f"{alert} fires")
        assert found is not None
        return found

    def wait_watched(self) -> None:
        """Wait until a counter that appears is new for sure: see `Scope.increase`."""
        watched = f"celery_health_store_up offset {RECENT_SECONDS * PACE:.0f}s == 1"
        eventually(lambda: self.prometheus.query(watched), SECONDS, interval=0.2)

    def wait_quiet(self, *alerts: str) -> None:
        """Wait until none of these fires; of all, if none is named."""

        def quiet() -> bool:
            firing = set(self.prometheus.firing())
            self.seen |= firing
            left = firing & set(alerts) if alerts else firing
            assert not left, sorted(left)
            return True

        eventually(quiet, SECONDS, interval=0.2, what=f"{', '.join(alerts) or 'all'} resolve")


@contextmanager
def watched(system: System) -> Iterator[Watched]:
    """Start exporter and Prometheus; see that no rule failed to be evaluated meanwhile."""
    exporter = Exporter(system.url, health=system.settings, conf=system.conf)
    project = Project(settings=parse(system.settings), scope=Scope(pace=PACE))
    try:
        exporter.start().wait_ready()
        target = f"127.0.0.1:{exporter.port}"
        with Prometheus(target, rules=prometheus_file(project)) as prometheus:
            prometheus.wait_scraped()
            found = Watched(system, exporter, prometheus)
            yield found
            assert prometheus.broken_rules() == []
    finally:
        exporter.close()


@pytest.fixture
def system() -> Iterator[System]:
    """A system on a Redis of its own."""
    with RedisServer() as server:
        system = System(redis=server, is_soak=False)
        try:
            yield system
        finally:
            system.close()


def test_live__workers_killed(system: System) -> None:
    worker = system.worker(name="prod")
    with watched(system) as run:
        run.wait_quiet()
        worker.kill()
        run.wait_firing("CeleryNoWorkers")
        told = run.wait_firing("CeleryWorkerHeartbeatStale", hostname="prod@test")
        assert told["annotations"]["summary"] == (
            "Worker prod@test sent no heartbeat for over 3 s, and no goodbye."
        )
        run.wait_firing("CeleryUnhealthy")

        worker.close()
        system.worker(name="prod")
        run.wait_quiet("CeleryNoWorkers", "CeleryWorkerHeartbeatStale", "CeleryUnhealthy")


def test_live__a_queue_without_consumer(system: System) -> None:
    system.health["EXPECTED_QUEUES"] = ["emails"]
    system.worker(queues=["celery"])
    with watched(system) as run:
        run.wait_firing("CeleryExpectedQueueWithoutConsumer", queue_name="emails")
        assert "CeleryQueueWithoutConsumer" not in run.seen
        system.send("add", count=5, queue="emails")
        told = run.wait_firing("CeleryQueueWithoutConsumer", queue_name="emails")
        summary = r"Queue emails holds [1-5] tasks, and no worker consumes it\."
        assert re.fullmatch(summary, told["annotations"]["summary"])

        system.worker(queues=["emails"])
        run.wait_quiet()


@pytest.mark.soak
def test_live__a_backlog_behind_a_slow_task(system: System, tmp_path: Path) -> None:
    system.health["LIMITS"] = {"age_seconds": 4}
    end = tmp_path / "end"
    system.worker()
    with watched(system) as run:
        run.wait_quiet()
        system.send("wait_for_file", str(end))
        system.send("add", count=50)
        run.wait_firing("CeleryQueueBacklog", queue_name="celery")
        run.wait_firing("CeleryQueueBacklogLarge", queue_name="celery")
        run.wait_firing("CeleryOldestMessageTooOld", queue_name="celery")

        end.touch()
        run.wait_quiet()
        # Its one slot was taken: that is no stall.
        assert "CeleryQueueStalled" not in run.seen


def test_live__a_worker_that_is_deaf(system: System) -> None:
    proxy = system.stack.enter_context(Proxy(system.redis.port))
    worker = system.worker(url=proxy.url(system.redis.url))
    with watched(system) as run:
        run.wait_quiet()
        proxy.forget_flows()
        system.send("add", count=5)
        run.wait_firing("CeleryQueueStalled", queue_name="celery")

        worker.kill()
        worker.close()
        system.worker(name="w-new")
        run.wait_quiet("CeleryQueueStalled")


def test_live__the_store_goes_and_comes_back(system: System, own_redis: Callable[..., RedisServer]) -> None:
    store = own_redis()
    system.health["STORE_URL"] = store.url
    system.worker(name="prod")
    with watched(system) as run:
        run.wait_quiet()
        store.stop()
        run.wait_firing("CeleryStoreDown")
        # Silence proves nothing: the worker answers, asked over the broker.
        assert not {"CeleryNoWorkers", "CeleryWorkerHeartbeatStale"} & run.seen

        store.start()
        run.wait_quiet("CeleryStoreDown")
        # There was a verdict all the time.
        assert run.prometheus.one("min_over_time(celery_health_up[10m])") == 1


def test_live__beat_killed(system: System) -> None:
    system.health["LIMITS"] = {"beat_lost_seconds": 4}
    system.conf["beat_schedule"] = {"often": {"task": f"{TASKS}.add", "schedule": 1.0}}
    system.worker()
    beat = system.beat()
    with watched(system) as run:
        run.wait_quiet()
        beat.kill()
        run.wait_firing("CeleryBeatDead")

        beat.close()
        system.beat()
        run.wait_quiet("CeleryBeatDead")


@pytest.mark.soak
def test_live__tasks_that_fail_and_tasks_nobody_knows(system: System) -> None:
    system.worker()
    with watched(system) as run:
        run.wait_watched()
        system.send("fail", count=12)
        system.send("shop.nobody_knows", count=2)
        told = run.wait_firing("CeleryTaskFailing", name=f"{TASKS}.fail")
        assert told["annotations"]["summary"] == f"100% of the last runs of {TASKS}.fail failed for good."
        run.wait_firing("CeleryTaskUnknown", name="shop.nobody_knows")

        run.wait_quiet("CeleryTaskFailing", "CeleryTaskUnknown")


def test_live__dead_letters(system: System) -> None:
    system.health |= {"DEAD_LETTERS": {"enabled": True}, "LIMITS": {"dead_letters": 5}}
    system.worker()
    with watched(system) as run:
        run.wait_quiet()
        system.send("fail", count=8)
        told = run.wait_firing("CeleryDeadLettersTooMany", queue_name="celery")
        summary = r"Queue celery has [6-8] dead letters, over its limit\."
        assert re.fullmatch(summary, told["annotations"]["summary"])

        purge = ["celery_health", "dead-letters", "purge", "celery", "--yes"]
        env = {**os.environ, **project_env(system.url, health=system.settings, conf=system.conf)}
        subprocess.run([sys.executable, "-m", "django", *purge], env=env, check=True, timeout=60)
        run.wait_quiet("CeleryDeadLettersTooMany")


@pytest.mark.soak
def test_live__slow_tasks(system: System) -> None:
    system.health["TASKS"] = {f"{TASKS}.sleep": {"expected": 0.2}}
    system.worker(concurrency=4)
    with watched(system) as run:
        run.wait_quiet()
        system.send("sleep", 0.4, count=160)
        run.wait_firing("CeleryTaskSlow", name=f"{TASKS}.sleep")

        run.wait_quiet("CeleryTaskSlow")


def test_live__nobody_answers_the_scrape(system: System) -> None:
    system.worker()
    with watched(system) as run:
        run.wait_quiet()
        run.exporter.pause()
        told = run.wait_firing("CeleryMetricsAbsent")
        assert told["labels"]["severity"] == "critical"

        run.exporter.resume()
        run.wait_quiet("CeleryMetricsAbsent")
