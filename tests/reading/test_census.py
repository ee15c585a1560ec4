"""Who listens for remote control on a real Redis, where one never answers and another is long dead."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading.inspection import BUILTIN_COMMANDS
from celery_health.reading.reader import Reader
from celery_health.records import Snapshot, WorkerState
from tests.support import Worker, eventually

pytestmark = pytest.mark.redis

CHANNEL = "/0.celery.pidbox"
BINDINGS = "_kombu.binding.celery.pidbox"


def bind(client: redis.Redis, hostname: str) -> None:
    """Leave what a killed worker leaves."""
    client.sadd(BINDINGS, f"\x06\x16\x06\x16{hostname}.celery.pidbox")


@pytest.fixture
def never_answers(redis_client: redis.Redis) -> Iterator[None]:
    """A listener that is too busy to answer, for ever: a double, since no worker is so on demand."""
    with redis_client.pubsub() as listener:
        listener.subscribe(CHANNEL)
        yield


@pytest.fixture
def reader(redis_url: str, make_app: Callable[..., Celery]) -> Iterator[Reader]:
    app = make_app(redis_url)
    app.conf.imports = ("tests.project.tasks",)
    reader = Reader(app, Settings(app_id="tests.project"))
    yield reader
    reader.close()


def states(snapshot: Snapshot) -> dict[str, WorkerState]:
    return {worker.hostname: worker.state for worker in snapshot.workers}


def publishes(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))


def test_census__one_that_never_answers_hides_no_other(
    redis_url: str,
    redis_client: redis.Redis,
    never_answers: None,
    reader: Reader,
    worker_factory: Callable[..., Worker],
) -> None:
    bind(redis_client, "dead@h")
    worker = worker_factory(redis_url, plain=True)
    worker.wait_heeds(reader.app)

    first = reader.read(Deadline.after(5))

    assert states(first) == {worker.hostname: WorkerState.OK, "dead@h": WorkerState.UNKNOWN}
    assert first.inspection.silent == ("dead@h",)
    # Nobody is waited for again: only what answers is asked, each time.
    before = publishes(redis_client)
    for _ in range(5):
        assert states(reader.read(Deadline.after(5)))[worker.hostname] is WorkerState.OK
    asked = publishes(redis_client) - before
    # On a slow machine the turn of the silent one comes meanwhile, and a census; not at each reading.
    assert 5 * len(BUILTIN_COMMANDS) <= asked <= 5 * len(BUILTIN_COMMANDS) + 3
    # It was never asked what it does not know: that is an error in its log.
    assert "pidbox command error" not in worker.log


def test_census__a_dead_name_is_proven_and_its_successor_seen(
    redis_url: str, redis_client: redis.Redis, reader: Reader, worker_factory: Callable[..., Worker]
) -> None:
    bind(redis_client, "back@test")
    other = worker_factory(redis_url, plain=True, name="other")
    other.wait_heeds(reader.app)
    # Nobody listens under the name: it is nobody, from the first reading on.
    assert states(reader.read(Deadline.after(5))) == {other.hostname: WorkerState.OK}

    worker_factory(redis_url, plain=True, name="back").wait_heeds(reader.app)

    eventually(
        lambda: states(reader.read(Deadline.after(5))).get("back@test") is WorkerState.OK, 10, what="seen"
    )
