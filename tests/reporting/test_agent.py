"""The agent against a real store on a bad network: nothing lost, nothing twice, nobody kept waiting."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.counters import SUCCEEDED, encode
from celery_health.deadline import Deadline
from celery_health.reporting.agent import FINISH_SECONDS, Agent, Report
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.store import Store, open_store
from tests.support import Proxy, RedisServer, eventually

FIELD = encode(SUCCEEDED, ("task", "queue"))
SETTINGS = Settings(app_id="agents")


class Subject:
    """A worker that has nothing to say but how often it was asked."""

    def __init__(self) -> None:
        self.reports = 0
        self.restless = False
        self.broken = False

    def report(self) -> Report:
        self.reports += 1
        if self.broken:
            raise ValueError("no report today")
        return Report(record={"reports": self.reports}, registered=("print", ("task",)), consumed=("queue",))

    def changed(self) -> bool:
        return self.restless


class Rig:
    """One agent on one store."""

    def __init__(self, open_one: Callable[[], Store | None], **options: Any) -> None:
        self.totals = Totals()
        self.faults = Faults(self.totals)
        self.subject = Subject()
        options = {"subject": self.subject, "flush_interval": 0.02, "heartbeat_interval": 0.2, **options}
        self.agent = Agent(
            kind="worker", name="w@h", totals=self.totals, faults=self.faults, open_store=open_one, **options
        )

    def work(self, times: int, pause: float = 0.0) -> None:
        for _ in range(times):
            self.totals.series("task", "queue").succeeded()
            if pause:
                time.sleep(pause)


@pytest.fixture
def make_store(make_app: Callable[..., Celery]) -> Iterator[Callable[[str], Store]]:
    stores: list[Store] = []

    def make(url: str) -> Store:
        store = open_store(make_app(url), SETTINGS)
        assert store is not None
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def make_rig(make_store: Callable[[str], Store]) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(url: str, **options: Any) -> Rig:
        rigs.append(Rig(lambda: make_store(url), **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.agent.finish()


def total(store: Store) -> int:
    return (store.read(Deadline.after(5), totals=True).totals or {}).get(FIELD, 0)


def test_agent__flushes_reports_and_ends(
    redis_url: str, make_store: Callable[[str], Store], make_rig: Callable[..., Rig]
) -> None:
    store, rig = make_store(redis_url), make_rig(redis_url)
    rig.agent.start()
    rig.work(5)
    eventually(lambda: total(store) == 5)
    eventually(lambda: rig.subject.reports >= 3)
    rig.work(2)
    assert rig.agent.finish()
    assert total(store) == 7
    reading = store.read(Deadline.after(5))
    assert [(row.name, row.record) for row in reading.workers] == [("w@h", {"reports": rig.subject.reports})]
    assert set(reading.consumed) == {"queue"} and reading.registered == {"print": ("task",)}
    # The thread is gone, and what is counted from now on goes with the caller's own attempt.
    rig.work(1)
    rig.agent.flush_rest()
    assert total(store) == 8


def test_agent__lost_replies_change_no_total(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_store: Callable[[str], Store],
    make_rig: Callable[..., Rig],
) -> None:
    server = own_redis()
    network = proxy(server.port)
    network.drop_replies(0.2)
    store, rig = make_store(server.url), make_rig(network.url(server.url))
    rig.agent.start()
    rig.work(1500, pause=0.001)
    eventually(lambda: total(store) == 1500, 30)
    network.forward()
    assert rig.agent.finish()
    assert total(store) == 1500
    assert network.replies_dropped > 5


def test_agent__outage_keeps_everything_and_recovers(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_store: Callable[[str], Store],
    make_rig: Callable[..., Rig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="celery_health")
    server = own_redis()
    network = proxy(server.port)
    store, rig = make_store(server.url), make_rig(network.url(server.url))
    rig.agent.start()
    rig.work(10)
    eventually(lambda: total(store) == 10)
    network.refuse()
    rig.work(300, pause=0.003)
    network.black_hole()
    network.forward()
    eventually(lambda: total(store) == 310, 30)
    assert rig.agent.finish()
    said = [r.getMessage() for r in caplog.records if r.name == "celery_health"]
    assert sum("out of reach" in line for line in said) == sum("answers again" in line for line in said) == 1
    assert not [key for key in store.read(Deadline.after(5), totals=True).totals or {} if "internal" in key]


@pytest.mark.parametrize("trouble", ["refuse", "black_hole"])
def test_agent__finish_is_bounded_whatever_the_store_does(
    trouble: str,
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_store: Callable[[str], Store],
    make_rig: Callable[..., Rig],
) -> None:
    server = own_redis()
    network = proxy(server.port)
    store, rig = make_store(server.url), make_rig(network.url(server.url))
    rig.agent.start()
    rig.work(1)
    eventually(lambda: total(store) == 1)
    getattr(network, trouble)()
    rig.work(1)
    started = time.monotonic()
    rig.agent.finish()
    rig.agent.flush_rest()
    assert time.monotonic() - started < FINISH_SECONDS + 0.6


@pytest.mark.parametrize(
    "seconds", [0.3, pytest.param(0.8, marks=pytest.mark.slow)], ids=["300 ms", "800 ms"]
)
def test_agent__reports_and_takes_leave_over_a_slow_network(
    seconds: float,
    redis_server: RedisServer,
    redis_url: str,
    proxy: Callable[[int], Proxy],
    make_store: Callable[[str], Store],
    make_rig: Callable[..., Rig],
) -> None:
    network = proxy(redis_server.port)
    network.delay(seconds)
    store, rig = make_store(redis_url), make_rig(network.url(redis_url))
    rig.agent.start()
    rig.work(3)
    eventually(lambda: total(store) == 3, 30)
    before = rig.subject.reports
    eventually(lambda: rig.subject.reports > before + 2, 30)
    (record,) = store.read(Deadline.after(5)).workers
    assert record.age_seconds < 30
    # The end waits as long as that network needs, and the last counts arrive.
    rig.work(4)
    assert rig.agent.finish()
    assert total(store) == 7
    assert rig.agent.finish_seconds <= 3.0


def test_agent__store_that_rolled_back_starts_all_totals_again(
    own_redis: Callable[..., RedisServer], make_store: Callable[[str], Store], make_rig: Callable[..., Rig]
) -> None:
    server = own_redis()
    store, rig = make_store(server.url), make_rig(server.url)
    rig.agent.start()
    rig.work(100)
    eventually(lambda: total(store) == 100)
    epoch = store.read(Deadline.after(5)).epoch
    server.stop()
    server.start()
    rig.work(7)
    eventually(lambda: total(store) == 7, 20)
    assert store.read(Deadline.after(5)).epoch > epoch


def test_agent__change_does_not_wait_for_the_heartbeat(redis_url: str, make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(redis_url, heartbeat_interval=60.0)
    rig.agent.start()
    eventually(lambda: rig.subject.reports == 1)
    rig.agent.report_soon()
    eventually(lambda: rig.subject.reports == 2)
    rig.subject.restless = True
    eventually(lambda: rig.subject.reports > 4)


def test_agent__broken_report_is_counted_and_flushes_go_on(
    redis_url: str, make_store: Callable[[str], Store], make_rig: Callable[..., Rig]
) -> None:
    store, rig = make_store(redis_url), make_rig(redis_url)
    rig.subject.broken = True
    rig.agent.start()
    rig.work(3)
    eventually(lambda: total(store) == 3)
    eventually(
        lambda: any("agent.report" in k for k in store.read(Deadline.after(5), totals=True).totals or {})
    )


def test_agent__key_that_holds_something_else_is_counted_and_flushes_go_on(
    redis_url: str,
    redis_client: redis.Redis,
    make_store: Callable[[str], Store],
    make_rig: Callable[..., Rig],
) -> None:
    store, rig = make_store(redis_url), make_rig(redis_url)
    redis_client.set(store.keys.records, "a text")  # type: ignore[attr-defined]
    rig.agent.start()
    rig.work(3)
    eventually(lambda: total(store) == 3)
    eventually(
        lambda: store.read(Deadline.after(5), totals=True).totals["internal_errors\x1fstore.write"] > 1  # type: ignore[index]
    )


def test_agent__without_a_store_drops_what_it_counts(make_rig: Callable[..., Rig]) -> None:
    rig = Rig(lambda: None)
    rig.agent.start()
    rig.work(3)
    eventually(lambda: rig.totals.drain().empty)
    assert rig.agent.finish()


def test_agent__is_not_there_after_a_fork(redis_url: str, make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(redis_url)
    rig.agent.start()
    eventually(lambda: rig.subject.reports)
    child = os.fork()
    if child == 0:
        # Nothing to end, nothing to flush, and no waiting for a thread that is not here.
        started = time.monotonic()
        rig.agent.finish()
        rig.agent.flush_rest()
        os._exit(0 if not rig.agent.running and time.monotonic() - started < 0.5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rig.agent.running


def test_agent__leaves_no_thread(redis_url: str, make_rig: Callable[..., Rig]) -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        rig = make_rig(redis_url)
        rig.agent.start()
        assert set(threading.enumerate()) - before
        assert rig.agent.finish()
    eventually(lambda: not set(threading.enumerate()) - before)
