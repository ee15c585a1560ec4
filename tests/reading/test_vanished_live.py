"""A worker that was killed is seen at once where the broker proves it, and nothing else is taken for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings, parse
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.reading.reader import Reader
from celery_health.records import CheckStatus, WorkerState
from tests.support import Proxy, RedisServer, Worker, always, eventually

#: Ten times as often as by default; how long silence alone takes stays at 30 s.
FAST: Mapping[str, Any] = {"HEARTBEAT_INTERVAL": 0.5, "FLUSH_INTERVAL": 0.2}
PROOF = "vanished without a goodbye: its connection to the broker is gone."

Start = Callable[..., Worker]


class Watch:
    """One process that reads again and again."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.settings = settings
        self.reader = Reader(app, settings)

    def lost(self) -> list[str]:
        """Return what ``workers.alive`` warns of."""
        report = judge(self.reader.read(Deadline.after(5)), self.settings)
        alive = (check for check in report.checks if check.id == "workers.alive")
        return [check.message for check in alive if check.status is CheckStatus.WARN]

    def disconnected(self) -> list[str]:
        """Return the workers that are called gone by proof."""
        workers = self.reader.read(Deadline.after(1.5)).workers
        return [worker.hostname for worker in workers if worker.is_disconnected]

    def reported(self, *workers: Worker) -> bool:
        """Say whether these workers live, have marks, and reported a moment ago."""
        found = {worker.hostname: worker for worker in self.reader.read(Deadline.after(5)).workers}
        return all(
            (one := found.get(worker.hostname)) is not None
            and one.state is WorkerState.OK
            and bool(one.connection_name or one.mailbox)
            and (one.last_seen_seconds or 0.0) < 1.4 * self.settings.heartbeat_interval
            for worker in workers
        )


@pytest.fixture
def watch(make_app: Callable[..., Celery]) -> Iterator[Callable[..., Watch]]:
    """Read the system on a broker: ``watch(url)``."""
    made: list[Watch] = []

    def start(url: str, health: Mapping[str, Any] = FAST) -> Watch:
        app = make_app(url)
        app.main = "tests.project"
        made.append(Watch(app, parse(health)))
        return made[-1]

    yield start
    for one in made:
        one.reader.close()


@pytest.fixture
def health(broker_url: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a broker: RabbitMQ needs a store beside it."""
    is_redis = broker_url.startswith("redis")
    return {**FAST, **({} if is_redis else {"STORE_URL": request.getfixturevalue("redis_url")})}


def test_vanished__a_killed_worker_is_seen_long_before_the_limit(
    broker_url: str, health: dict[str, Any], worker_factory: Start, watch: Callable[..., Watch]
) -> None:
    killed, other = (worker_factory(broker_url, health=health, wait=False) for _ in range(2))
    seen = watch(broker_url, health)
    eventually(lambda: seen.reported(killed, other), 40)
    assert seen.lost() == []

    killed.kill()

    # 0.9 s of silence, and two answers 2 s apart; the rest is for a busy machine.
    assert eventually(seen.lost, 12, interval=0.1) == [f"Worker '{killed.hostname}' {PROOF}"]
    # Back under its name, it is another process.
    again = worker_factory(broker_url, health=health, name=killed.hostname, wait=False)
    eventually(lambda: seen.lost() == [] and seen.reported(again, other), 40)


@pytest.mark.redis
@pytest.mark.slow
def test_vanished__nothing_else_is_taken_for_it(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    worker_factory: Start,
    watch: Callable[..., Watch],
) -> None:
    server = own_redis()
    between = proxy(server.port)
    far, near = (worker_factory(between.url(server.url), health=FAST, wait=False) for _ in range(2))
    seen = watch(server.url)

    def no_proof_while(seconds: float) -> None:
        always(lambda: seen.disconnected() == [], seconds)
        eventually(lambda: seen.disconnected() == [] and seen.reported(far, near), 40)

    no_proof_while(0)
    with redis.Redis(port=server.port) as admin:
        # Stopped, its silence is as long, and its sockets stay.
        near.pause(group=True)
        always(lambda: seen.disconnected() == [], 5)
        near.resume(group=True)
        no_proof_while(0)
        # Its connections are ended under it, all at once.
        for kind in ("pubsub", "normal"):
            admin.client_kill_filter(_type=kind, skipme=True)
        no_proof_while(4)
    # The server hangs, and is then restarted.
    server.pause()
    always(lambda: seen.disconnected() == [], 3)
    server.resume()
    no_proof_while(4)
    server.restart()
    no_proof_while(5)
    # Every reply comes a second late.
    between.delay(1.0)
    no_proof_while(0)
    always(lambda: seen.disconnected() == [], 5)


@pytest.mark.soak
def test_vanished__default_limits_a_killed_worker_is_seen_within_ten_seconds(
    broker_url: str, health: dict[str, Any], worker_factory: Start, watch: Callable[..., Watch]
) -> None:
    health = {key: value for key, value in health.items() if key not in FAST}
    other = worker_factory(broker_url, health=health)
    seen = watch(broker_url, health)
    took = []
    for number in range(5):
        killed = worker_factory(broker_url, health=health)
        eventually(lambda killed=killed: seen.reported(killed, other), 60, interval=1)
        before = len(seen.lost())
        # At another moment between two heartbeats each time.
        always(lambda before=before: len(seen.lost()) == before, 10 + 1.1 * number, interval=1)
        killed.kill()
        started = time.monotonic()
        message = f"Worker '{killed.hostname}' {PROOF}"
        eventually(lambda message=message: message in seen.lost(), 40, interval=1, what="seen as gone")
        took.append(time.monotonic() - started)
    # 7 s of silence, 1 s until the next reading, 2 s until the answers agree, and some for the machine.
    assert max(took) < 11, took


@pytest.mark.soak
@pytest.mark.redis
def test_vanished__default_limits_nothing_else_is_taken_for_it(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    worker_factory: Start,
    watch: Callable[..., Watch],
) -> None:
    server = own_redis()
    between = proxy(server.port)
    one, other = (worker_factory(between.url(server.url), wait=False) for _ in range(2))
    seen = watch(server.url, {})

    def no_proof_for(seconds: float) -> None:
        always(lambda: seen.disconnected() == [], seconds, interval=1)

    eventually(lambda: seen.reported(one, other), 60)
    no_proof_for(10)
    one.pause(group=True)
    no_proof_for(20)
    one.resume(group=True)
    no_proof_for(10)
    with redis.Redis(port=server.port) as admin:
        for kind in ("pubsub", "normal"):
            admin.client_kill_filter(_type=kind, skipme=True)
    no_proof_for(15)
    server.pause()
    no_proof_for(15)
    server.resume()
    no_proof_for(15)
    server.restart()
    no_proof_for(20)
    between.delay(1.0)
    no_proof_for(30)
    between.forward()
    between.cut()
    no_proof_for(15)
    eventually(lambda: seen.reported(one, other), 60)
