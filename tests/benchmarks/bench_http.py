"""``GET health/`` in a real server with a real worker, beside an empty view and another tool's check."""

from __future__ import annotations

import http.client
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.benchmarks.base import Figure, in_turns
from tests.support import RedisServer, WebServer, Worker

QUEUES = ["celery", *(f"queue-{number}" for number in range(9))]


@contextmanager
def served() -> Iterator[Callable[[str], None]]:
    """Run Redis, a worker of ten queues and a web server; give a function that fetches a path."""
    env = {"CELERY_TEST_URLCONF": "tests.benchmarks.urls"}
    health = {"EXPECTED_QUEUES": QUEUES}
    with (
        RedisServer() as redis,
        Worker(redis.url, queues=QUEUES, health=health),
        WebServer(redis.url, env=env, health=health) as web,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)

        def get(path: str) -> None:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, f"{path}: {answer.status}"

        get("/api/celery/health/")
        yield get
        connection.close()


def bench_health_beside_an_empty_view() -> Figure:
    with served() as get:
        figure = in_turns(
            "GET health/, 1 worker, 10 queues / empty DRF view (p50)",
            lambda: get("/api/celery/health/"),
            lambda: get("/empty/"),
            target=2.0,
            rounds=1500,
        )
        ours = _percentile(lambda: get("/api/celery/health/"))
        theirs = _percentile(lambda: get("/empty/"))
        print(f"  p99 of 1,500: health/ {ours * 1e3:.2f} ms, empty view {theirs * 1e3:.2f} ms")
        return figure


def bench_health_beside_django_health_check() -> Figure:
    name = "GET health/ / django-health-check's Celery check (1 = as fast)"
    if importlib.util.find_spec("health_check") is None:
        print("  django-health-check is not installed: pip install django-health-check")
        return Figure(name=name, ours_seconds=0, floor_seconds=0, ratio=float("nan"), target=1 / 200)
    with served() as get:
        return in_turns(
            name,
            lambda: get("/api/celery/health/"),
            lambda: get("/ping/"),
            target=1 / 200,
            rounds=15,
        )


def _percentile(call: Callable[[], None]) -> float:
    times = []
    for _ in range(1500):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.quantiles(times, n=100)[98]
