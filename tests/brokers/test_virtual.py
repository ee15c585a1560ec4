"""The other transports: a right number, or none; and nothing created by asking."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu.transport import memory, virtual

from celery_health.brokers.base import Broker, Capabilities
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, ConfigurationError, UnsupportedError
from tests.brokers.conftest import queue, read
from tests.support import ROOT, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]


def capabilities(**able: bool) -> Capabilities:
    return Capabilities(**able)


@pytest.fixture
def filesystem_app(tmp_path: Path, make_app: MakeApp) -> Celery:
    data = tmp_path / "data"
    data.mkdir()
    return make_app(
        "filesystem://",
        broker_transport_options={
            "data_folder_in": str(data),
            "data_folder_out": str(data),
            "control_folder": str(tmp_path / "control"),
        },
    )


@pytest.fixture
def memory_app(make_app: MakeApp) -> Celery:
    memory.Channel.queues.clear()
    return make_app("memory://")


@pytest.mark.parametrize("kind", ["filesystem_app", "memory_app"])
def test_read__counts_as_kombu_does(kind: str, request: pytest.FixtureRequest, reader: Reader) -> None:
    app: Celery = request.getfixturevalue(kind)
    for name, count in {"one": 1, "dotted.name": 2}.items():
        for _ in range(count):
            app.send_task("some.task", queue=name)
    broker = reader(app)
    found = read(broker, "one", "dotted.name", "never-seen").queues
    assert {name: one.ready for name, one in found.items()} == {"one": 1, "dotted.name": 2, "never-seen": 0}
    with app.connection_for_read() as connection, connection.channel() as channel:
        for name in ("one", "dotted.name"):
            assert found[name].ready == channel._size(name)
    assert broker.capabilities == capabilities(
        supports_length=True, supports_age=kind == "filesystem_app", supports_remote_control=True
    )
    assert broker.roster(Deadline.after(1)) is None
    broker.ping(Deadline.after(1))


def test_read__filesystem_changes_nothing(filesystem_app: Celery, tmp_path: Path, reader: Reader) -> None:
    filesystem_app.send_task("some.task", queue="q")
    (tmp_path / "data" / "README").touch()
    before = sorted(os.listdir(tmp_path / "data"))
    broker = reader(filesystem_app)
    assert queue(broker, "q").ready == 1
    assert queue(broker, "other").ready == 0
    assert sorted(os.listdir(tmp_path / "data")) == before


def test_read__filesystem_age_is_that_of_the_file_next_in_turn(
    filesystem_app: Celery, tmp_path: Path, reader: Reader
) -> None:
    filesystem_app.send_task("some.task", queue="q")
    (first,) = (tmp_path / "data").iterdir()
    os.utime(first, (1_700_000_000, 1_700_000_000))
    # Within a millisecond either of two may be the next: kombu names files by it.
    eventually(lambda: time.monotonic() * 1000 > int(first.name.partition("_")[0]) + 1)
    filesystem_app.send_task("some.task", queue="q")
    broker = reader(filesystem_app)
    found = queue(broker, "q")
    assert (found.ready, found.oldest_published_at) == (2, 1_700_000_000)
    assert queue(broker, "other").oldest_published_at is None


def test_read__filesystem_without_its_folder(filesystem_app: Celery, tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "data").rmdir()
    broker = reader(filesystem_app)
    reading = broker.read(["q"], Deadline.after(1))
    assert reading.reachable is False
    assert str(tmp_path / "data") in str(reading.error)
    with pytest.raises(BrokerError, match="FileNotFoundError"):
        broker.ping(Deadline.after(1))
    assert not (tmp_path / "data").exists()


def test_read__filesystem_with_two_folders_says_what_is_wrong(
    tmp_path: Path, make_app: MakeApp, reader: Reader
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    folders = {"data_folder_in": str(tmp_path / "in"), "data_folder_out": str(tmp_path / "out")}
    broker = reader(make_app("filesystem://", broker_transport_options=folders))
    reading = broker.read(["q"], Deadline.after(1))
    assert reading.reachable is False
    assert "data_folder_in and data_folder_out differ" in str(reading.error)


def test_read__memory_creates_no_queue(memory_app: Celery, reader: Reader) -> None:
    assert queue(reader(memory_app), "never-seen").ready == 0
    assert "never-seen" not in memory.Channel.queues


# A stand-in for SQS and the like, which cannot be had here: whatever is asked of it is an error.


class OddChannel(virtual.Channel):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("A channel was opened.")


class OddTransport(virtual.Transport):
    Channel = OddChannel
    driver_type = "odd"


class LoudTransport(OddTransport):
    driver_type = "loud"
    implements = virtual.Transport.implements.extend(exchange_type=frozenset(["direct", "fanout"]))


@pytest.mark.parametrize(("transport", "remote_control"), [(OddTransport, False), (LoudTransport, True)])
def test_read__unknown_transport_is_unknown(
    transport: type[virtual.Transport], remote_control: bool, make_app: MakeApp, reader: Reader
) -> None:
    path = f"{__name__}:{transport.__name__}"
    broker = reader(make_app("odd-host", broker_transport=path))
    assert broker.transport == transport.driver_type
    assert broker.capabilities == capabilities(supports_remote_control=remote_control)
    reading = broker.read(["q"], Deadline.after(1))
    assert reading.reachable is None
    assert f"The {transport.driver_type} transport cannot be asked" in str(reading.error)
    assert reading.queues["q"].ready is None
    assert "cannot be asked for a queue's length" in str(reading.queues["q"].error)
    with pytest.raises(UnsupportedError, match="Redis and RabbitMQ can"):
        broker.ping(Deadline.after(1))
    assert broker.roster(Deadline.after(1)) is None
    broker.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense://:hunter2@host", "No such transport: nonsense"),
        ("redis://:hunter2@host:not-a-port/0", "Port could not be cast"),
        ("redis://:hunter2@host/0?no_such_option=1", "no_such_option"),
    ],
)
def test_open__bad_url_is_a_configuration_error(
    url: str, said: str, make_app: MakeApp, reader: Reader
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        reader(make_app(url))
    assert said in str(raised.value)
    assert "app.conf.broker_url" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_open__imports_no_client_that_is_not_needed() -> None:
    script = (
        "import sys; from celery import Celery; from celery_health.brokers import open_broker\n"
        "open_broker(Celery(broker='memory://', set_as_current=False), 2)\n"
        "print([name for name in ('redis', 'amqp', 'rest_framework') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert "redis" not in done.stdout
    assert "rest_framework" not in done.stdout
