"""The autoscaling recipe: its query, as it stands in the manifest, on a real Prometheus over real workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery import Celery

from celery_health.metrics.dialects import rows_of
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.prometheus import Prometheus
from tests.support import ROOT, RedisServer, WebServer, Worker, eventually

pytestmark = [pytest.mark.live, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(180)]

SCALED: dict[str, Any] = yaml.safe_load((ROOT / "docs/manifests/keda.yaml").read_text())["spec"]
TRIGGER: dict[str, str] = SCALED["triggers"][0]["metadata"]
JOB, QUEUE = "celery-exporter", "emails"
HEALTH = {
    "EXPECTED_QUEUES": [QUEUE],
    "MIN_WORKERS": 0,
    "QUEUES": {QUEUE: {"scale_to_zero": True}},
    "HEARTBEAT_INTERVAL": 0.5,
    "FLUSH_INTERVAL": 0.2,
}
CONF = {"task_ignore_result": True, "worker_prefetch_multiplier": 2}


def replicas(value: float) -> int:
    """Return how many workers the autoscaler wants (an AverageValue target), within the manifest's bounds."""
    if value <= float(TRIGGER["activationThreshold"]):
        return int(SCALED["minReplicaCount"])
    return int(min(SCALED["maxReplicaCount"], math.ceil(value / float(TRIGGER["threshold"]))))


@pytest.fixture
def prometheus_over() -> Iterator[Callable[..., Prometheus]]:
    running: list[Prometheus] = []

    def start(*exporters: Exporter) -> Prometheus:
        one = Prometheus(jobs={JOB: [f"127.0.0.1:{exporter.port}" for exporter in exporters]})
        running.append(one)
        one.start()
        return one.wait_ready().wait_scraped()

    yield start
    for one in running:
        one.close()


def test_keda__counts_what_waits_what_is_reserved_and_what_runs(
    own_redis: Callable[..., RedisServer],
    worker_factory: Callable[..., Worker],
    exporter_factory: Callable[..., Exporter],
    web_server: Callable[..., WebServer],
    prometheus_over: Callable[..., Prometheus],
    make_app: Callable[..., Celery],
    tmp_path: Path,
) -> None:
    server = own_redis()
    app = make_app(server.url)
    exporters = [exporter_factory(server.url, health=HEALTH, conf=CONF) for _ in range(2)]
    prometheus = prometheus_over(*exporters)
    single = prometheus_over(exporters[0])

    def work(amount: float | None) -> None:
        """Wait until the recipe says so, whether one replica is scraped or two."""
        for one in (prometheus, single):
            eventually(lambda one=one: _is(one.one(TRIGGER["query"]), amount), timeout=40, interval=0.2)

    def part(metric: str) -> float | None:
        return prometheus.one(f'max({metric}{{queue_name="{QUEUE}"}})')

    # No worker has ever been there, and nothing waits: a value, and it is 0.
    work(0)
    assert replicas(0) == 0

    # Nobody is there, and something waits.
    until = tmp_path / "until"
    for _ in range(6):
        app.send_task("tests.project.tasks.wait_for_file", (str(until),), queue=QUEUE)
    work(6)
    assert replicas(6) == 2

    # One worker runs some and holds the rest. The queue is empty, and as much is to be done as before.
    worker = worker_factory(server.url, health=HEALTH, conf=CONF, queues=[QUEUE], concurrency=2)
    eventually(lambda: part("celery_queue_tasks_active") == 2, timeout=30, interval=0.2)
    work(6)
    assert part("celery_queue_tasks_reserved") == 4
    assert part("celery_queue_length") == 0
    until.touch()
    work(0)

    # Scaled to zero: still a value, and a healthy system.
    worker.stop()
    eventually(lambda: prometheus.one("max(celery_workers)") == 0, timeout=30, interval=0.2)
    work(0)
    web = web_server(server.url, health=HEALTH, conf=CONF)

    def healthy() -> bool:
        verdict = web.request("/api/celery/health/").json()
        assert (verdict["status"], verdict["workers"]["worker_count"]) == ("healthy", 0), verdict
        return True

    eventually(healthy, timeout=20, interval=0.5)
    app.send_task("tests.project.tasks.noop", queue=QUEUE)
    work(1)
    assert replicas(1) == 1

    # Nobody can know: no value, which KEDA takes for an error, and not for 0.
    server.kill()
    work(None)
    assert TRIGGER["ignoreNullValues"] == "false"
    assert SCALED["fallback"]["replicas"] > 0


def _is(found: float | None, wanted: float | None) -> bool:
    assert found == wanted, (found, wanted)
    return True


@pytest.mark.soak
@pytest.mark.rabbitmq
def test_keda__on_rabbitmq_with_a_store(
    rabbit_url: str,
    redis_url: str,
    worker_factory: Callable[..., Worker],
    exporter_factory: Callable[..., Exporter],
    prometheus_over: Callable[..., Prometheus],
    make_app: Callable[..., Celery],
    tmp_path: Path,
) -> None:
    app = make_app(rabbit_url)
    health = {**HEALTH, "STORE_URL": redis_url}
    prometheus = prometheus_over(exporter_factory(rabbit_url, health=health, conf=CONF))

    def work(amount: float) -> None:
        eventually(lambda: _is(prometheus.one(TRIGGER["query"]), amount), timeout=40, interval=0.2)

    until = tmp_path / "until"
    for _ in range(7):
        app.send_task("tests.project.tasks.wait_for_file", (str(until),), queue=QUEUE)
    work(7)
    worker = worker_factory(rabbit_url, health=health, conf=CONF, queues=[QUEUE], concurrency=2)
    running = f'max(celery_queue_tasks_active{{queue_name="{QUEUE}"}})'
    eventually(lambda: prometheus.one(running) == 2, timeout=30, interval=0.2)
    work(7)
    until.touch()
    work(0)
    worker.stop()
    eventually(lambda: prometheus.one("max(celery_workers)") == 0, timeout=30, interval=0.2)
    work(0)


def test_keda__asks_for_metrics_that_there_are() -> None:
    names = {row.name for row in rows_of(["exporter"])}
    for metric in ("celery_queue_length", "celery_queue_tasks_reserved", "celery_queue_tasks_active"):
        assert metric in names
        assert f'max({metric}{{job="{JOB}",queue_name="{QUEUE}"}})' in TRIGGER["query"]
    assert TRIGGER["query"].count("celery_") == 3
