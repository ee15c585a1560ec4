"""Nothing is left behind: keys, queues, bindings, threads, file descriptors."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.support import RedisServer, WebServer, Worker, eventually

pytestmark = pytest.mark.live

#: What grows by design, and has a stated life span: docs/reference/store.md.
BY_DESIGN = re.compile(rb"celery_health:[^:]+:(seq:|ring:)")


def own_keys(client: redis.Redis) -> set[bytes]:
    """Return the keys there are, less those that come and go by the minute or by the process."""
    keys: list[bytes] = client.keys()  # type: ignore[assignment]
    return {key for key in keys if not BY_DESIGN.search(key)}


def descriptors(pid: int) -> Counter[str]:
    """Return the open files of a process, by kind."""
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kinds[os.readlink(entry).partition(":")[0]] += 1
        except OSError:
            continue
    return kinds


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def serving_pid(web: WebServer) -> int:
    """Return the process behind the server's master."""
    import psutil

    children = psutil.Process(web.pid).children()
    return int(children[0].pid) if children else web.pid


@pytest.mark.timeout(120)
def test_leaks__few(redis_server: RedisServer) -> None:
    check_leaks(requests=400, restarts=2)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_leaks__ten_thousand_requests_and_a_hundred_restarts(redis_server: RedisServer) -> None:
    check_leaks(requests=10_000, restarts=100)


def check_leaks(*, requests: int, restarts: int) -> None:
    """Ask, restart workers, and compare what there is with what there was."""
    with RedisServer() as server, WebServer(server.url) as web, redis.Redis.from_url(server.url) as client:
        pid = serving_pid(web)

        def ask(times: int) -> None:
            for _ in range(times):
                assert web.request("/api/celery/health/").status in (200, 503)

        with Worker(server.url, name="prod"):
            ask(50)
            time.sleep(1.2)
            ask(50)
            eventually(lambda: web.request("/api/celery/health/").status == 200, 10)
            keys, files, count = own_keys(client), descriptors(pid), threads(pid)
            ask(requests // 2)
        for _ in range(restarts):
            with Worker(server.url, name="prod"):
                ask(max(1, requests // 2 // restarts))
        with Worker(server.url, name="prod"):
            ask(10)
            left = own_keys(client) - keys
            # Inspection asked while no worker was there: its reply queue is gone again.
            assert not left, left
            assert not [key for key in own_keys(client) if b"reply" in key]
            # gunicorn keeps as many threads as it ever needed, at most those it may have.
            eventually(lambda: threads(pid) <= count + 4, 10, what=f"threads: {count} before")
            after = descriptors(pid)
            assert after["socket"] <= files["socket"] + 4, (files, after)
            assert after["pipe"] <= files["pipe"] + 2, (files, after)
