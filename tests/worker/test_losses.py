"""What trouble costs under load: a worker that is killed, a store that stops, a store that goes back."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
import redis
from celery import Celery
from prometheus_client import CollectorRegistry

from celery_health.conf import Settings
from celery_health.counters import decode
from celery_health.deadline import Deadline
from celery_health.metrics.collector import CeleryHealthCollector
from celery_health.store import Store, open_store
from tests.metrics.conftest import report
from tests.support import RedisServer, Worker, eventually
from tests.worker.conftest import APP_ID, truth_conf, truth_env
from tests.worker.timed import TOOK

NAME = "tests.worker.timed.timed"


@dataclass
class Load:
    """Tasks that note that they ran, a few of them always waiting."""

    client: Any
    app: Celery
    sent: int = 0
    history: list[tuple[float, int]] = field(default_factory=list)
    """How many had run at which time."""

    def keep_up(self, seconds: float, ahead: int) -> None:
        """Keep `ahead` tasks waiting or running, for so long."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            ran = self.ran()
            self.history.append((now, ran))
            for _ in range(ahead - (self.sent - ran)):
                self.app.send_task(NAME, (time.time(),))
                self.sent += 1

    def run(self, tasks: int) -> None:
        """Run so many and wait until they have."""
        for _ in range(tasks):
            self.app.send_task(NAME, (time.time(),))
        self.sent += tasks
        eventually(lambda: self.ran() == self.sent, 60)

    def ran(self) -> int:
        return int(self.client.llen(TOOK))

    def ran_since(self, stamp: float) -> int:
        return self.ran() - max((ran for at, ran in self.history if at <= stamp), default=0)

    def took(self, since: int = 0) -> list[float]:
        """Return the seconds that each took, but for the first `since` ones."""
        notes = [float(note) for note in self.client.lrange(TOOK, 0, -1)]
        return notes[: len(notes) - since]


def counted(store: Store, family: str = "succeeded") -> int:
    """Return how many of our tasks were counted."""
    cells = [(decode(key), n) for key, n in (store.read(Deadline.after(5), totals=True).totals or {}).items()]
    return sum(n for cell, n in cells if cell and cell.family.name == family and cell.labels[0] == NAME)


@pytest.fixture
def load(redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]) -> Load:
    """Load on the run's Redis, which keeps the truth, too."""
    return Load(redis_client, make_app(redis_url))


@pytest.fixture
def open_at(redis_url: str, make_app: Callable[..., Celery]) -> Iterator[Callable[[str], Store]]:
    """Open the store of the workers at another Redis."""
    stores: list[Store] = []

    def opened(url: str) -> Store:
        store = open_store(make_app(redis_url), Settings(app_id=APP_ID, store_url=url))
        assert store is not None
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def start_worker(redis_url: str, worker_factory: Callable[..., Worker]) -> Callable[..., Worker]:
    def start(store_url: str, *, health: dict[str, Any] | None = None, **options: Any) -> Worker:
        return worker_factory(
            redis_url,
            conf=truth_conf(include=["tests.worker.timed"], task_ignore_result=True),
            env=truth_env(redis_url),
            health={"STORE_URL": store_url, **(health or {})},
            **options,
        )

    return start


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_sigkill__loses_at_most_one_flush_interval(
    pool: str,
    load: Load,
    own_redis: Callable[..., RedisServer],
    open_at: Callable[[str], Store],
    start_worker: Callable[..., Worker],
) -> None:
    server = own_redis()
    store, lost = open_at(server.url), 0
    for kill in range(3):
        worker = start_worker(server.url, pool=pool, concurrency=2, name="victim@host")  # flushes each second
        load.keep_up(2.5 + 0.35 * kill, ahead=20)
        killed_at = time.monotonic()
        worker.kill()
        # A flush each second, the time that one takes, and what was running or finished by orphans.
        bound = load.ran_since(killed_at - 1.0 - 0.5) + 2 + 2
        lost_now = load.ran() - lost - counted(store)
        print(f"\n{pool}: {load.ran()} ran in all, {lost_now} lost; {bound} had run since the last flush")
        assert 0 <= lost_now <= bound
        lost += lost_now
        load.client.delete("celery")
        load.sent = load.ran()


def check_outage(
    seconds: float, load: Load, server: RedisServer, worker: Worker, store: Store
) -> tuple[list[float], list[float]]:
    """Have the store hang for half of the time and be gone for the other, and compare what was counted.

    Return how long tasks took before, and meanwhile.
    """
    main = psutil.Process(worker.pid)
    load.keep_up(seconds / 4, ahead=4)
    before, ran_before, memory = load.took(), load.ran(), main.memory_info().rss
    server.pause()
    load.keep_up(seconds / 2, ahead=4)
    server.resume()
    server.kill()
    load.keep_up(seconds / 2, ahead=4)
    during = load.took(since=ran_before)
    server.start()
    eventually(lambda: load.ran() == load.sent, 60)
    eventually(lambda: counted(store) == load.ran(), 30)
    grown = main.memory_info().rss - memory
    assert worker.stop() == 0
    assert [counted(store, fact) for fact in ("succeeded", "started")] == [load.ran()] * 2
    assert counted(store, "failed") == 0
    assert grown < 10 * 2**20
    print(f"\n{worker.name}, {len(before) + len(during)} tasks; memory grew by {grown / 1024:.0f} KiB")
    for when, took in (("before", before), ("without the store", during)):
        late = statistics.quantiles(took, n=100, method="inclusive")[98]
        median, longest = statistics.median(took), max(took)
        print(f"  {when}: p50 {median * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms, longest {longest * 1e3:.0f} ms")
    return before, during


AOF = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_store_down__nothing_lost_and_nothing_twice(
    pool: str,
    load: Load,
    own_redis: Callable[..., RedisServer],
    open_at: Callable[[str], Store],
    start_worker: Callable[..., Worker],
) -> None:
    server = own_redis(args=AOF)
    worker = start_worker(server.url, pool=pool, concurrency=2, health={"FLUSH_INTERVAL": 0.2})
    check_outage(4, load, server, worker, open_at(server.url))


@pytest.mark.soak
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_store_down__for_a_minute_and_no_task_waits_for_it(
    pool: str,
    load: Load,
    own_redis: Callable[..., RedisServer],
    open_at: Callable[[str], Store],
    start_worker: Callable[..., Worker],
) -> None:
    server = own_redis(args=AOF)
    worker = start_worker(server.url, pool=pool, concurrency=1 if pool == "solo" else 2)
    before, during = check_outage(60, load, server, worker, open_at(server.url))
    # Any wait for the store would be one of 250 ms: the median would show it, whatever else the machine does.
    assert statistics.median(during) < statistics.median(before) * 2 + 0.02


def test_store_rolled_back__totals_start_again_together_and_what_follows_is_exact(
    load: Load,
    own_redis: Callable[..., RedisServer],
    open_at: Callable[[str], Store],
    start_worker: Callable[..., Worker],
) -> None:
    server = own_redis()
    store = open_at(server.url)
    collector = CeleryHealthCollector(
        report=report,
        reading=lambda: store.read(Deadline.after(1), totals=True),
        reset_if_behind=lambda epoch, version: store.reset_if_behind(epoch, version, Deadline.after(1)),
        max_age_seconds=0,
    )
    registry = CollectorRegistry()
    registry.register(collector)
    labels = {"name": NAME, "queue_name": "celery"}
    names = [f"celery_task_{fact}_total" for fact in ("received", "started", "succeeded")]
    names.append("celery_task_runtime_count")

    def shown() -> list[float]:
        return [registry.get_sample_value(name, labels) or 0.0 for name in names]

    health = {"FLUSH_INTERVAL": 0.1, "HEARTBEAT_INTERVAL": 0.5}
    workers = [start_worker(server.url, concurrency=1, health=health, name=f"w{n}@host") for n in (1, 2)]
    load.run(40)
    eventually(lambda: counted(store) == 40)
    with redis.Redis.from_url(server.url) as client:
        client.save()
    load.run(60)
    eventually(lambda: shown() == [100.0] * 4)
    server.kill()
    server.start()
    # Never the 40 of the snapshot: either what was, or a fresh start of all of them at once.
    eventually(lambda: [shown() == [0.0] * 4, counted(store) == 0] == [True, True])
    load.run(30)

    def rises() -> bool:
        values = shown()
        assert all(value <= 30 for value in values), values
        return values == [30.0] * 4

    eventually(rises)
    for worker in workers:
        assert worker.stop() == 0
    assert shown() == [30.0] * 4
