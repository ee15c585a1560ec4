"""The overview of 200 workers and 1,000 queues beside ``health/``: processor time of the same web server.

Time on the clock would count the store's and the network's; a page costs what the server computes for it.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from celery_health.counters import FAILED, RECEIVED, RETRIED, RUNTIME, STARTED, SUCCEEDED, SUM, encode
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.records import HOUR_MINUTES
from tests.benchmarks.base import Figure
from tests.benchmarks.bench_reader import WORKERS, publications
from tests.benchmarks.stores import store_and_client
from tests.support import WebServer

QUEUES = 1_000
TASKS = 100
#: One in so many of the queues holds messages.
FULL = 20
HEALTH = "/api/celery/health/"
OVERVIEW = "/api/celery/"
LIVE = "/api/celery/?part=content"
#: Bytes of HTML, not compressed.
MOST_BYTES = 60_000
TARGET = 3.0
#: Each process of the server reads anew when its last reading is older than this.
READING_SECONDS = 1.0
#: Of the store's keys: see docs/reference/store.md.
PREFIX = "celery_health:benchmarks:"
OUTCOMES = ("succeeded", "failed", "retried")


class Site:
    """A web server that is asked on one connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status} {body[:300]!r}"
        return body

    def seconds_of(self, call: Callable[[], object]) -> float:
        """Return the processor time that the server spends on a call, in all its threads."""
        before = float(self.get("/processor/"))
        call()
        return float(self.get("/processor/")) - before


def _message() -> str:
    """Return a message that a stamped task would be: its age is known."""
    return json.dumps(
        {
            "body": "W10=",
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "shop.tasks.number_1", "id": "1", PUBLISHED_AT_HEADER: time.time()},
            "properties": {"delivery_info": {"exchange": "", "routing_key": "celery"}, "delivery_tag": "1"},
        }
    )


def _fields() -> dict[str, int]:
    """Return what has been counted of each task."""
    found = {}
    for number in range(TASKS):
        labels = (f"shop.tasks.number_{number}", f"queue-{number}")
        for family in (RECEIVED, STARTED, SUCCEEDED, RETRIED):
            found[encode(family, labels)] = 100
        found[encode(FAILED, (*labels, "ValueError"))] = 10
        for part in (SUM, 3, 5, 7):
            found[encode(RUNTIME, labels, part)] = 25
    return found


@contextmanager
def served() -> Iterator[WebServer]:
    """Run a Redis with 200 workers that report every five seconds, 1,000 queues, and a web server."""
    everybody = {"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}}
    with store_and_client() as (store, client):
        names = [f"queue-{number}" for number in range(QUEUES)]
        published = publications(WORKERS, names)
        # It has counted for more than an hour.
        began = int((time.time() - 2 * 3600) * 1e6)
        client.hset(f"{PREFIX}totals", mapping={"epoch": began, "version": 1})
        counted = {f"shop.tasks.number_{n}\x1f{how}": 1 + n for n in range(TASKS) for how in OUTCOMES}
        for number in range(WORKERS):
            first = {"ring": counted, "fields": _fields()} if number < FULL else {"ring": {}}
            store.publish(replace(next(published), **first))
        for key in client.keys(f"{PREFIX}ring:*"):
            minute = int(key.rpartition(b":")[2])
            for before in range(1, HOUR_MINUTES):
                client.copy(key, f"{PREFIX}ring:{minute - before}")
        for name in names[::FULL]:
            client.rpush(name, *[_message()] * 50)
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(5 / WORKERS):
                store.publish(next(published))

        reporting = threading.Thread(target=report, daemon=True)
        reporting.start()
        port = client.connection_pool.connection_kwargs["port"]
        env = {"CELERY_TEST_URLCONF": "tests.benchmarks.urls"}
        try:
            with WebServer(
                f"redis://127.0.0.1:{port}/0", env=env, health={"APP_ID": "benchmarks", **everybody}
            ) as web:
                yield web
        finally:
            ended.set()
            reporting.join(10)


def _beside_health(name: str, path: str, *, anew: bool, rounds: int, calls: int) -> Figure:
    with served() as web:
        site = Site(web.port)

        def cost(of: str) -> float:
            if anew:
                time.sleep(READING_SECONDS + 0.05)
            # Whoever asks again within the second shares a reading: here both have one of their own, or none.
            else:
                site.get(of)
            return site.seconds_of(lambda: [site.get(of) for _ in range(calls)]) / calls

        for each in (HEALTH, path, HEALTH, path):
            site.get(each)
        size = len(site.get(path))
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(cost(path))
            theirs.append(cost(HEALTH))
        print(f"  {path}: {size:,} bytes; health/: {len(site.get(HEALTH)):,}")
        assert size <= MOST_BYTES, f"{size:,} bytes"
        return Figure(
            name=name,
            ours_seconds=statistics.median(mine),
            floor_seconds=statistics.median(theirs),
            ratio=statistics.median(one / other for one, other in zip(mine, theirs, strict=True)),
            target=TARGET,
        )


def bench_overview_with_a_reading() -> Figure:
    """As one browser asks: seconds apart."""
    return _beside_health("overview / health/, each with a reading", OVERVIEW, anew=True, rounds=8, calls=1)


def bench_overview_again() -> Figure:
    """As many browsers ask: within the same second."""
    return _beside_health("overview / health/, of one reading", OVERVIEW, anew=False, rounds=20, calls=10)


def bench_live_part_with_a_reading() -> Figure:
    """As the page's script asks."""
    return _beside_health(
        "overview's live part / health/, each with a reading", LIVE, anew=True, rounds=8, calls=1
    )


def bench_live_part_again() -> Figure:
    """As the scripts of many ask."""
    return _beside_health(
        "overview's live part / health/, of one reading", LIVE, anew=False, rounds=20, calls=10
    )
