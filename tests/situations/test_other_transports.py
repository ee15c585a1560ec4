"""A broker that is neither Redis nor RabbitMQ, and no Redis anywhere: what is told is true, the rest is said.

The filesystem transport with real workers; what cannot be asked at all, with a transport of no server.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.transport import virtual

from celery_health.records import CheckStatus, Status
from tests.situations.system import System, describe, has
from tests.support import RedisServer

pytestmark = pytest.mark.live

#: What needs the store says that it has none; the rest is found out by asking.
NEEDS_A_STORE = {"store.reachable", "tasks.unknown", "tasks.failing"}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    folder = tmp_path / "queues"
    folder.mkdir()
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(tmp_path / "control"),
    }
    system = System(
        redis=RedisServer(),  # never started: there is none
        is_soak=False,
        url="filesystem://",
        conf={"broker_transport_options": options},
    )
    yield system
    system.close()


def statuses(report: Any) -> dict[str, CheckStatus]:
    return {check.id: check.status for check in report.checks}


@pytest.mark.smoke
def test_filesystem__all_well_without_a_redis(system: System) -> None:
    worker = system.worker()
    report = system.until(lambda report: has(report, "workers.alive", "pass"), 30, "a worker is found")
    assert report.status is Status.HEALTHY
    assert report.snapshot.store.configured is False
    assert [one.hostname for one in report.snapshot.workers] == [worker.hostname]
    found = statuses(report)
    assert found["broker.reachable"] is CheckStatus.PASS
    assert found["queues.depth"] is CheckStatus.PASS
    assert {name: found[name].value for name in NEEDS_A_STORE} == dict.fromkeys(NEEDS_A_STORE, "unsupported")


def test_filesystem__silence_is_unknown(system: System) -> None:
    worker = system.worker()
    system.until(lambda report: has(report, "workers.alive", "pass"), 30, "a worker is found")
    worker.pause()
    report = system.until(lambda report: not has(report, "workers.alive", "pass"), 30, "it is silent")
    assert has(report, "workers.alive", "unknown"), describe(report)
    worker.resume()
    system.until(lambda report: has(report, "workers.alive", "pass"), 30, "it answers again")


def test_filesystem__what_waits_is_deep_and_old(system: System) -> None:
    system.health = {"LIMITS": {"age_seconds": 2}}
    system.worker(queues=["other"])
    system.send("add", 1, 1, count=40)
    report = system.until(lambda report: has(report, "queues.age", "warn", "celery"), 30, "too old")
    assert report.status is Status.DEGRADED
    assert has(report, "queues.depth", "warn", "celery"), describe(report)
    system.worker()
    system.healthy(60)


class ClosedTransport(virtual.Transport):
    """A stand-in for SQS and the like, which cannot be had here: nothing can be asked of it."""

    driver_type = "closed"


def test_a_transport_that_cannot_be_asked(system: System) -> None:
    path = f"{__name__}:ClosedTransport"
    system.url, system.conf = "closed-host", {"broker_transport": path}
    report = system.report()
    assert report.status is Status.HEALTHY
    unsupported = {"broker.reachable", "workers.alive", "queues.depth", "queues.age", "queues.stalled"}
    found = {name: statuses(report)[name].value for name in unsupported}
    assert found == dict.fromkeys(unsupported, "unsupported")
    assert report.snapshot.queues[0].ready is None
