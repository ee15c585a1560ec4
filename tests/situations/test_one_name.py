"""Two real workers under one name, and one that is killed and comes back under its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_health.conf import parse
from celery_health.deadline import Deadline
from celery_health.health import judge, report_body
from celery_health.reading.reader import Reader
from celery_health.records import CheckStatus, HealthReport
from tests.situations.system import FAST
from tests.support import Worker, eventually

NAME = "worker@shop"
HEALTH = {**FAST, "APP_ID": "tests.project"}

pytestmark = [pytest.mark.live, pytest.mark.redis]


@pytest.fixture
def report(redis_url: str, make_app: Callable[..., Celery]) -> Any:
    """Return what is judged now."""
    settings = parse(HEALTH)
    reader = Reader(make_app(redis_url), settings)

    def read() -> HealthReport:
        return judge(reader.read(Deadline.after(5)), settings)

    yield read
    reader.close()


def doubled(report: HealthReport) -> list[tuple[str | None, float | None]]:
    return [
        (check.subject, check.observed)
        for check in report.checks
        if check.id == "workers.alive" and "under the name" in check.message
    ]


def processes(report: HealthReport) -> list[int | None]:
    return [worker.pid for worker in report.snapshot.workers if worker.state.is_live]


def test_two_workers_under_one_name__both_count_and_it_is_said(
    redis_url: str,
    worker_factory: Callable[..., Worker],
    report: Callable[[], HealthReport],
) -> None:
    first = worker_factory(redis_url, name=NAME, pool="solo", health=HEALTH, wait=False)
    second = worker_factory(redis_url, name=NAME, pool="solo", queues=["emails"], health=HEALTH, wait=False)
    for worker in (first, second):
        worker.wait_ready()
    found = eventually(lambda: (now := report()) and doubled(now) and now, 20)
    assert doubled(found) == [(NAME, 2)]
    assert sorted(processes(found)) == sorted([first.pid, second.pid])
    body = report_body(found)["workers"]
    assert (body["worker_count"], body["active_workers"]) == (2, [NAME, NAME])
    queues = {queue.name: queue for queue in found.snapshot.queues}
    assert queues["celery"].consumers == queues["emails"].consumers == 1
    assert [check for check in found.checks if check.status is CheckStatus.FAIL] == []
    # One leaves in peace: what is left is one worker, and no double.
    second.stop()
    left = eventually(lambda: processes(now := report()) == [first.pid] and now, 20)
    assert doubled(left) == []


def test_killed_and_started_again_under_its_name__is_no_double(
    redis_url: str, worker_factory: Callable[..., Worker], report: Callable[[], HealthReport]
) -> None:
    first = worker_factory(redis_url, name=NAME, pool="solo", health=HEALTH)
    eventually(lambda: processes(report()) == [first.pid], 20)
    first.kill()
    second = worker_factory(redis_url, name=NAME, pool="solo", health=HEALTH)
    seen: list[HealthReport] = []
    killed_at = time.monotonic()

    def lost() -> bool:
        return time.monotonic() - killed_at > HEALTH["LIMITS"]["worker_lost_seconds"]

    def settled() -> bool:
        seen.append(report())
        found = seen[-1].snapshot.workers
        # Until the first has been silent for longer than a worker that lives may be.
        return [worker.pid for worker in found] == [second.pid] and lost()

    eventually(settled, 20)
    assert [doubled(one) for one in seen] == [[] for _ in seen]
