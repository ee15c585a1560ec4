"""What a real Prometheus finds at its targets: every metric of the contract, its type and its labels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import embedded
from celery_health.metrics.dialects import rows_of
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.prometheus import Prometheus
from tests.metrics_surfaces.promtool import promtool
from tests.metrics_surfaces.scraping import get
from tests.situations.system import System
from tests.support import ROOT, RedisServer, eventually, free_port

pytestmark = [pytest.mark.live, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(240)]

Wanted = dict[str, tuple[str, str]]
TASK = "name, queue_name"
QUEUE = "queue_name"
#: Metric → type and labels: what others build on. There may be more.
EXPORTER = {
    **{
        f"celery_task_{event}_total": ("counter", TASK)
        for event in ("received", "started", "succeeded", "retried", "rejected", "revoked", "sent")
    },
    "celery_task_failed_total": ("counter", f"{TASK}, exception"),
    "celery_task_unknown_total": ("counter", "name"),
    "celery_task_runtime": ("histogram", TASK),
    "celery_task_queue_wait_time": ("histogram", TASK),
    "celery_worker_up": ("gauge", "hostname"),
    "celery_worker_restarts_last_hour": ("gauge", "hostname"),
    "celery_worker_tasks_active": ("gauge", "hostname"),
    "celery_worker_tasks_lost": ("gauge", "hostname"),
    "celery_worker_last_heartbeat_timestamp_seconds": ("gauge", "hostname"),
    "celery_workers": ("gauge", ""),
    "celery_health_up": ("gauge", ""),
    "celery_health_store_up": ("gauge", ""),
    "celery_queue_length": ("gauge", QUEUE),
    "celery_queue_tasks_active": ("gauge", QUEUE),
    "celery_queue_tasks_orphaned": ("gauge", QUEUE),
    "celery_queue_tasks_reserved": ("gauge", QUEUE),
    "celery_queue_tasks_held": ("gauge", QUEUE),
    "celery_queue_oldest_message_age_seconds": ("gauge", QUEUE),
    "celery_active_consumer_count": ("gauge", QUEUE),
    "celery_active_worker_count": ("gauge", QUEUE),
    "celery_active_process_count": ("gauge", QUEUE),
    "celery_held_back_process_count": ("gauge", QUEUE),
    "celery_dead_letter_queue_size": ("gauge", QUEUE),
    "celery_beat_last_tick_timestamp_seconds": ("gauge", ""),
    "celery_beat_overdue_seconds": ("gauge", "schedule"),
    "celery_health_status": ("gauge", "status"),
    "celery_health_label_overflow_total": ("counter", "label"),
    "celery_health_internal_errors_total": ("counter", "where"),
}
BACKGROUND_JOB = {
    "shop_background_job_started_total": ("counter", "task_name"),
    "shop_background_job_completed_total": ("counter", "task_name"),
    "shop_background_job_failed_total": ("counter", "task_name, error_type"),
    "shop_background_job_duration_seconds": ("histogram", "task_name"),
}
TASK_STATUS = {
    "celery_task_total": ("counter", "task_name, status"),
    "celery_task_duration_seconds": ("histogram", "task_name"),
    "celery_task_retries_total": ("counter", "task_name"),
    "celery_dead_letter_queue_size": ("gauge", QUEUE),
    "celery_active_tasks": ("gauge", QUEUE),
}
EVERYTHING = EXPORTER | BACKGROUND_JOB | TASK_STATUS
DIALECTS = [
    pytest.param(["exporter"], EXPORTER, id="exporter"),
    pytest.param(["background_job"], BACKGROUND_JOB, id="background_job"),
    pytest.param(["task_status"], TASK_STATUS, id="task_status"),
    pytest.param(["task_status", "background_job", "exporter"], EVERYTHING, id="all"),
]
#: What nothing happens for in a system that is well: their types are told all the same.
WITHOUT_SAMPLES = {"celery_health_internal_errors_total", "celery_dead_letter_queue_size"}
#: Labels that Prometheus adds, or that belong to a histogram.
OF_PROMETHEUS = {"__name__", "instance", "job", "le"}
PARTS = ("", "_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def lively() -> Iterator[System]:
    """A system in which every sort of thing has happened to tasks."""
    with RedisServer() as server:
        system = System(redis=server, is_soak=False)
        # Due once at once, and then not for a while.
        system.conf["beat_schedule"] = {"sync": {"task": "tests.project.tasks.noop", "schedule": 2.0}}
        try:
            system.worker(concurrency=2)
            system.beat()
            for name in ("add", "fail", "retry", "reject"):
                system.send(name)
            system.send("shop.nobody_knows")
            system.send_from_a_process("noop")
            yield system
        finally:
            system.close()


@pytest.fixture
def exporter(lively: System, dialects: list[str]) -> Iterator[Exporter]:
    """The exporter of some dialects over it."""
    health = {**lively.settings, "METRICS_DIALECTS": dialects, "METRICS_NAMESPACE": "shop"}
    with Exporter(lively.url, health=health, conf=lively.conf) as exporter:
        yield exporter.wait_ready()


def labels_of(prometheus: Prometheus, name: str) -> set[frozenset[str]]:
    """Return the sets of labels under which a metric has series, without Prometheus' own."""
    return {
        frozenset(series.keys() - OF_PROMETHEUS)
        for part in PARTS
        for series in prometheus.series(f"{name}{part}")
    }


def check_contract(prometheus: Prometheus, wanted: Wanted, without_samples: set[str]) -> None:
    """Fail unless Prometheus has each metric with its type and labels."""
    # In OpenMetrics a counter's family has no suffix.
    types = {
        name if kind != "counter" else f"{name.removesuffix('_total')}_total": kind
        for name, kind in prometheus.types().items()
    }
    told = {name: types.get(name) for name in wanted}
    assert told == {name: kind for name, (kind, _) in wanted.items()}
    for name, (_, labels) in wanted.items():
        promised = {frozenset(label for label in labels.split(", ") if label)}
        found = labels_of(prometheus, name)
        assert found == promised or (name in without_samples and not found), (name, found)


@pytest.mark.parametrize(("dialects", "wanted"), DIALECTS)
def test_contract__in_a_prometheus(exporter: Exporter, wanted: Wanted) -> None:
    with Prometheus(f"127.0.0.1:{exporter.port}") as prometheus:
        prometheus.wait_scraped()

        def holds() -> bool:
            check_contract(prometheus, wanted, WITHOUT_SAMPLES)
            return True

        eventually(holds, 60, interval=0.5)


#: promtool objects to names as dashboards have known them for years: to those, and to nothing else.
OBJECTION = '{} non-histogram and non-summary metrics should not have "_count" suffix'
KNOWN = [f"celery_active_{what}_count" for what in ("consumer", "process", "worker")] + [
    "celery_held_back_process_count"
]


@pytest.mark.smoke
@pytest.mark.parametrize(("dialects", "wanted"), DIALECTS)
def test_contract__promtool_is_content(exporter: Exporter, wanted: Wanted) -> None:
    def known_only() -> bool:
        text = get(exporter.port).text
        assert "celery_active_consumer_count{" in text or "celery_active_consumer_count" not in wanted
        done = promtool("check", "metrics", given=text)
        assert sorted(done.stderr.splitlines()) == [
            OBJECTION.format(name) for name in KNOWN if name in wanted
        ]
        return True

    eventually(known_only, 30, interval=0.5)


def test_contract__of_the_example_project(tmp_path: Path) -> None:
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name not in ("BROKER_URL", "REDIS_URL")}
    with RedisServer() as server, (tmp_path / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            [sys.executable, str(Path(embedded.__file__).with_name("demo.py")), "--port", str(port)],
            env={**env, "REDIS_URL": server.url, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            with Prometheus(f"127.0.0.1:{port}", path="/api/celery/metrics/") as prometheus:
                prometheus.wait_scraped(90)

                def holds() -> bool:
                    # Nobody of the shop sends a task that it does not know.
                    check_contract(prometheus, EXPORTER, {*WITHOUT_SAMPLES, "celery_task_unknown_total"})
                    return True

                eventually(holds, 90, interval=0.5)
                # Every seventh customer of the shop gives a wrong address.
                failed = 'celery_task_failed_total{queue_name="emails",exception="AddressUnknown"}'
                assert (eventually(lambda: prometheus.one(failed), 60, interval=0.5) or 0) >= 1
        finally:
            demo.terminate()
            demo.wait(60)


def test_docs__metrics_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    told = {
        name.replace("{NAMESPACE}", "shop"): (kind, labels.replace("`", "").strip())
        for name, kind, labels in re.findall(r"^\| `([\w{}]+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    }

    assert told.items() >= EVERYTHING.items()
    rows = rows_of(["exporter", "background_job", "task_status"], "shop")
    assert told == {row.name: (row.kind, ", ".join(row.labels)) for row in rows}
