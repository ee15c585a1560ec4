"""A store that took no reports for longer than a worker may be silent, and is well again."""

from __future__ import annotations

import time

import pytest
import redis

from celery_health.reading.outages import Outages
from celery_health.records import Status
from tests.situations.system import System, describe
from tests.support import RedisServer

pytestmark = [pytest.mark.live, pytest.mark.redis, pytest.mark.slow]


def _accused(system: System, server: RedisServer) -> list[str]:
    """Return the verdicts after a full Redis has room again in which its worker is said to be missing."""
    client = redis.Redis.from_url(server.url)
    worker = system.worker(pool="solo")
    system.healthy()
    client.config_set("maxmemory", 1_000_000)
    until = time.monotonic() + 3 * system.limit("worker_lost_seconds")
    while time.monotonic() < until:
        system.report()
        time.sleep(0.2)
    # It tries again after up to five seconds: after one, here, or five later if it was just trying.
    worker.pause()
    client.config_set("maxmemory", 0)
    accused, mended = [], time.monotonic()
    while time.monotonic() < mended + 15:
        if time.monotonic() > mended + 1:
            worker.resume()
        report = system.report()
        if any(one.id == "workers.alive" and one.status in ("fail", "warn") for one in report.checks):
            accused.append(describe(report))
        if report.status is Status.HEALTHY and report.snapshot.workers[0].state.is_live:
            break
        time.sleep(0.05)
    return accused


@pytest.mark.timeout(90)
def test_full_redis__nobody_is_missing_when_it_has_room_again() -> None:
    with RedisServer() as server:
        system = System(redis=server, is_soak=False)
        try:
            assert _accused(system, server) == []
            system.healthy()
        finally:
            system.close()


@pytest.mark.timeout(90)
def test_full_redis__without_a_memory_somebody_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outages, "last", lambda self, now: None)
    with RedisServer() as server:
        system = System(redis=server, is_soak=False)
        try:
            assert _accused(system, server)
        finally:
            system.close()
