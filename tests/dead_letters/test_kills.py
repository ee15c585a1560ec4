"""No letter is lost, whatever is killed: the process that sends them again, and the broker."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from tests.conftest import skip_loudly
from tests.dead_letters.conftest import Post
from tests.support import (
    ManagedProcess,
    RabbitServer,
    RedisServer,
    eventually,
    find_rabbitmq_server,
    project_env,
)

pytestmark = pytest.mark.live

SEED = 20261121


class Restartable:
    """A broker that is killed and comes back with what it had confirmed."""

    def __init__(self, url: str, restart: Callable[[], object]) -> None:
        self.url = url
        self.restart = restart


@pytest.fixture
def redis_broker(own_redis: Callable[..., RedisServer]) -> Restartable:
    # Redis answers after it has written: what it confirmed is there after a kill.
    server = own_redis(args=("--appendonly", "yes", "--appendfsync", "always"))

    def restart() -> None:
        server.kill()
        server.start()

    return Restartable(server.url, restart)


@pytest.fixture
def rabbit_broker() -> Iterator[Restartable]:
    if find_rabbitmq_server() is None:
        skip_loudly("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server).")
    server = RabbitServer()
    try:
        server.start()
        yield Restartable(server.url(), server.restart)
    finally:
        server.close()


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=[pytest.mark.rabbitmq, pytest.mark.slow]),
    ]
)
def broker(request: pytest.FixtureRequest) -> Restartable:
    """A broker of each kind, of this test's own."""
    name = "redis_broker" if request.param == "redis" else "rabbit_broker"
    broker: Restartable = request.getfixturevalue(name)
    return broker


@pytest.fixture
def broker_url(broker: Restartable) -> str:
    return broker.url


def torture(post: Post, broker: Restartable, *, letters: int, kills: int, restarts: int) -> Counter[str]:
    """Requeue `letters` under kills and restarts; return how often each is found afterwards."""
    ids = {post.letter("celery", args=[number]) for number in range(letters)}
    assert len(ids) == letters
    post.box.close()
    process = ManagedProcess(
        [sys.executable, "-m", "tests.dead_letters.requeuing", str(kills), str(SEED)],
        name="requeuing",
        env=project_env(broker.url, health={"DEADLINE": 5}),
    )
    with process:
        for number in range(1, restarts + 1):
            process.wait_for_log(f"killed {number * kills // (restarts + 1)}\n", timeout=120)
            broker.restart()
        process.wait_for_log("done\n", timeout=240)
        assert f"killed {kills}\n" in process.log, process.log[-500:]
    found = Counter(_taken(post.app, "celery"))
    found.update(_taken(post.app, "celery.dead"))
    assert set(found) == ids
    return found


def _taken(app: Celery, queue: str) -> Iterator[str]:
    """Yield the ids of all messages of a queue, and empty it."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        while True:
            message = Queue(queue)(channel).get(no_ack=True)
            if message is None:
                return
            yield str(message.headers["id"])


def forgotten(broker: Restartable, *, restarts: int) -> int:
    """Return how many letters may go twice because the broker died, beside one for each death of the process.

    RabbitMQ writes down that a message was acknowledged some time after it was told; one that is killed hands
    out again what it had not written yet. Redis, with every change on disk before it answers, forgets one.
    """
    return restarts * (100 if broker.url.startswith("amqp") else 1)


def test_requeue__killed_ten_times_and_the_broker_once(post: Post, broker: Restartable) -> None:
    found = torture(post, broker, letters=200, kills=10, restarts=1)

    assert len(found) == 200
    assert found.total() - 200 <= 10 + forgotten(broker, restarts=1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_requeue__killed_fifty_times_and_the_broker_five_times(
    post: Post, broker: Restartable, record_property: Callable[[str, object], None]
) -> None:
    found = torture(post, broker, letters=1000, kills=50, restarts=5)

    duplicates = found.total() - 1000
    print(f"{broker.url.partition(':')[0]}: {duplicates} duplicates among 1,000 letters")
    record_property("duplicates", duplicates)
    assert duplicates <= 50 + forgotten(broker, restarts=5)


def test_requeue__stopped_politely_leaves_the_rest(post: Post, broker: Restartable) -> None:
    """Ctrl-C in the middle: what went is gone from the letters, what did not is still there."""
    for number in range(60):
        post.letter("celery", args=[number])
    process = ManagedProcess(
        [
            sys.executable, "-m", "django", "celery_health", "dead-letters", "requeue", "celery",
            "--force", "--rate", "2",
        ],
        name="requeue",
        env=project_env(broker.url, health={"DEADLINE": 5}),
    )  # fmt: skip
    with process:
        eventually(lambda: post.ready("celery") >= 3, timeout=30)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(15) == 130
        assert "(KeyboardInterrupt)." in process.log
        sent = int(re.search(r"\nSent ([0-9]+) letters? to queue celery\.\n", process.log)[1])  # type: ignore[index]
        assert f"{60 - sent} remain.\n" in process.log
    found = Counter([*_taken(post.app, "celery"), *_taken(post.app, "celery.dead")])
    assert len(found) == 60
    assert found.total() <= 61
