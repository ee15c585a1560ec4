"""What every reader owes its callers: one suite over Redis and RabbitMQ."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from celery import Celery

from celery_health.brokers import amqp
from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from tests.brokers.conftest import PASSWORD, Target, queue, read
from tests.support import ROOT, Worker, eventually

Reader = Callable[..., Broker]


def kombus_count(app: Celery, name: str) -> int:
    """Return what kombu itself counts."""
    with app.connection_for_read() as connection, connection.channel() as channel:
        if connection.transport.driver_type == "redis":
            return int(channel._size(name))
        return int(channel.queue_declare(name, passive=True).message_count)


def test_read__counts_what_waits(celery_app: Celery, reader: Reader) -> None:
    for name, count in {"one": 1, "three": 3}.items():
        for _ in range(count):
            celery_app.send_task("some.task", queue=name)
    reading = read(reader(celery_app), "one", "three", "never-seen")
    assert {name: found.ready for name, found in reading.queues.items()} == {
        "one": 1,
        "three": 3,
        "never-seen": 0,
    }
    assert reading.queues["three"].ready == kombus_count(celery_app, "three")
    assert all(found.error is None for found in reading.queues.values())
    assert all(name == found.name for name, found in reading.queues.items())
    assert reading.latency_seconds is not None
    assert 0 < reading.latency_seconds < 1


def test_read__says_only_what_its_capabilities_promise(celery_app: Celery, reader: Reader) -> None:
    celery_app.send_task("some.task", queue="q")
    broker = reader(celery_app)
    found = queue(broker, "q")
    able = broker.capabilities
    assert able.supports_length
    assert able.supports_remote_control
    assert (found.consumers is not None) == able.supports_consumer_count
    assert (found.unacked is not None) == able.supports_unacked
    assert (found.oldest_message_id is not None) == able.supports_age
    assert (broker.roster(Deadline.after(5)) is not None) == able.supports_roster


def test_read__changes_nothing(celery_app: Celery, reader: Reader) -> None:
    sent = celery_app.send_task("some.task", queue="q")
    broker = reader(celery_app)
    for _ in range(3):
        assert read(broker, "q", "other").queues["q"].ready == 1
    with celery_app.connection_for_read() as connection:
        with connection.channel() as channel:
            message = channel.basic_get("q", no_ack=True)
            assert message.headers["id"] == sent.id
            assert not message.delivery_info.get("redelivered")
        with connection.channel() as channel, pytest.raises(connection.channel_errors):
            channel.queue_declare("other", passive=True)


def test_read__follows_what_happens(
    celery_app: Celery, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "REFUSED_MEMORY_SECONDS", 0.2)
    broker = reader(celery_app)
    seen = []
    for _ in range(3):
        seen.append(queue(broker, "q").ready)
        celery_app.send_task("some.task", queue="q")
        # A queue that does not exist is remembered so for a while on RabbitMQ.
        eventually(lambda: queue(broker, "q").ready == len(seen))
    assert seen == [0, 1, 2]


def test_read__of_nothing_tells_whether_it_is_reachable(celery_app: Celery, reader: Reader) -> None:
    assert read(reader(celery_app)).queues == {}


@pytest.mark.parametrize("name", ["with space", "ünïcode", "semi;colon", "q" * 200, "a.b@host", "{brace}"])
def test_read__takes_any_name(name: str, celery_app: Celery, reader: Reader) -> None:
    celery_app.send_task("some.task", queue=name)
    assert queue(reader(celery_app), name).ready == 1


def test_read__many_queues_at_once(celery_app: Celery, reader: Reader) -> None:
    names = [f"queue-{number}" for number in range(300)]
    for name in names[::100]:
        celery_app.send_task("some.task", queue=name)
    reading = read(reader(celery_app), *names)
    assert list(reading.queues) == names
    assert [name for name in names if reading.queues[name].ready] == names[::100]


def test_ping__makes_a_round_trip(celery_app: Celery, reader: Reader) -> None:
    broker = reader(celery_app)
    for _ in range(2):
        broker.ping(Deadline.after(5))


def test_close__the_next_call_opens_again(celery_app: Celery, reader: Reader) -> None:
    broker = reader(celery_app)
    celery_app.send_task("some.task", queue="q")
    for _ in range(2):
        assert queue(broker, "q").ready == 1
        broker.close()
        broker.close()


def test_url__is_masked(target: Target, make_app: Callable[..., Celery], reader: Reader) -> None:
    broker = reader(make_app(target.url))
    assert PASSWORD not in broker.url
    assert "**@127.0.0.1" in broker.url
    assert broker.transport in target.url or broker.transport == "redis"


@pytest.mark.smoke
def test_read__works_on_while_a_worker_consumes(
    broker_url: str, celery_app: Celery, reader: Reader, worker_factory: Callable[..., Worker]
) -> None:
    broker = reader(celery_app)
    worker_factory(broker_url, pool="solo", queues=["q"], plain=True)
    for _ in range(5):
        celery_app.send_task("tests.project.tasks.noop", queue="q")
    assert eventually(lambda: queue(broker, "q").ready == 0)
    if broker.capabilities.supports_consumer_count:
        assert queue(broker, "q").consumers == 1


# The child reads first, on a connection of its own; then the parent goes on with the one it had.
_FORK = """
import json, os, sys
from celery import Celery
from celery_health.brokers import open_broker
from celery_health.deadline import Deadline

app = Celery("fork", broker=sys.argv[1], set_as_current=False)
with app.connection_for_write() as connection:
    app.send_task("some.task", queue="q", connection=connection)
broker = open_broker(app, 5)
ready = lambda: broker.read(["q"], Deadline.after(5)).queues["q"].ready
answers = [ready()]
read, write = os.pipe()
if os.fork() == 0:
    child = [ready(), ready()]
    broker.close()
    os.write(write, json.dumps(child).encode())
    os._exit(0)
os.wait()
answers += [json.loads(os.read(read, 1000)), ready(), ready()]
broker.close()
print(json.dumps(answers))
"""


def test_read__survives_a_fork_on_both_sides(broker_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _FORK, broker_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [1, [1, 1], 1, 1]
