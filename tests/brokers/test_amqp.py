"""RabbitMQ: kinds of queues, what a user may not see, and what must not pile up on the broker."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import Celery
from kombu import Connection

from celery_health.brokers import amqp
from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError
from tests.brokers.conftest import PASSWORD, queue, read
from tests.support import Proxy, RabbitServer, Worker, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]


@pytest.fixture
def app(rabbit_url: str, make_app: MakeApp) -> Celery:
    return make_app(rabbit_url)


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp, "REFUSED_MEMORY_SECONDS", 0.1)


def declare(url: str, *names: str, **arguments: object) -> None:
    with Connection(url) as connection, connection.channel() as channel:
        for name in names:
            channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments or None)


def log_of(rabbit: RabbitServer) -> str:
    assert rabbit._node is not None
    return rabbit._node.log


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-queue-type": "quorum"},
        {"x-max-priority": 10},
        {"x-queue-mode": "lazy"},
        {"x-queue-type": "stream"},
    ],
)
def test_read__kinds_of_queues(
    arguments: dict[str, object], rabbit_url: str, app: Celery, reader: Reader
) -> None:
    declare(rabbit_url, "q", **arguments)
    broker = reader(app)
    assert queue(broker, "q").ready == 0
    with app.connection_for_write() as connection:
        producer = connection.Producer()
        for priority in (0, 5, 9):
            producer.publish({}, routing_key="q", priority=priority)
    assert eventually(lambda: queue(broker, "q").ready == 3)
    assert queue(broker, "q").consumers == 0


def test_read__unacked_messages_are_not_ready(rabbit_url: str, app: Celery, reader: Reader) -> None:
    for _ in range(3):
        app.send_task("some.task", queue="q")
    broker = reader(app)
    with Connection(rabbit_url) as connection, connection.channel() as channel:
        channel.basic_get("q")
        assert eventually(lambda: queue(broker, "q").ready == 2)
    assert eventually(lambda: queue(broker, "q").ready == 3)


def test_read__missing_queues_are_told_from_empty_ones(rabbit_url: str, app: Celery, reader: Reader) -> None:
    declare(rabbit_url, "empty")
    found = read(reader(app), "missing", "empty", "gone").queues
    assert {name: (one.ready, one.consumers, one.exists) for name, one in found.items()} == {
        "missing": (0, 0, False),
        "empty": (0, 0, True),
        "gone": (0, 0, False),
    }


def test_read__missing_queues_do_not_fill_the_brokers_log(
    rabbit: RabbitServer, rabbit_vhost: str, app: Celery, reader: Reader
) -> None:
    broker = reader(app)
    for _ in range(20):
        assert not queue(broker, "missing").exists
    # One complaint, written once the broker gets to it.
    complaint = f"no queue 'missing' in vhost '{rabbit_vhost}'"
    assert eventually(lambda: log_of(rabbit).count(complaint) == 1)


def test_read__remembered_queues_are_no_proof_of_a_broker(
    rabbit: RabbitServer, rabbit_url: str, app: Celery, reader: Reader
) -> None:
    broker = reader(app)
    assert not queue(broker, "missing").exists
    rabbit.pause()
    try:
        assert broker.read(["missing"], Deadline.after(0.6)).reachable is False
    finally:
        rabbit.resume()


@pytest.mark.usefixtures("short_memory")
def test_read__a_queue_comes_and_goes(rabbit_url: str, app: Celery, reader: Reader) -> None:
    declare(rabbit_url, "before", "after")
    broker = reader(app)
    names = ("before", "q", "after")

    def seen() -> list[bool]:
        return [one.exists for one in read(broker, *names).queues.values()]

    for _ in range(3):
        assert eventually(lambda: seen() == [True, False, True])
        declare(rabbit_url, "q")
        assert eventually(lambda: seen() == [True, True, True])
        with Connection(rabbit_url) as connection, connection.channel() as channel:
            channel.queue_delete("q")


@pytest.mark.usefixtures("short_memory")
def test_read__channels_do_not_pile_up(
    rabbit: RabbitServer, rabbit_url: str, app: Celery, reader: Reader
) -> None:
    declare(rabbit_url, "q")
    broker = reader(app)
    names = ["q", *(f"missing-{number}" for number in range(150))]
    for _ in range(5):
        reading = read(broker, *names)
        assert [name for name, one in reading.queues.items() if one.exists] == ["q"]
        time.sleep(0.1)  # past the memory of what is missing: the point of the test, nothing to poll for
    declare(rabbit_url, *names)
    assert eventually(lambda: all(one.exists for one in read(broker, *names).queues.values()))
    vhost = quote(rabbit_url.rpartition("/")[2], safe="")
    assert eventually(lambda: len(rabbit.api("GET", f"vhosts/{vhost}/channels")) == 1)


def test_read__consumers(
    rabbit_url: str, app: Celery, reader: Reader, worker_factory: Callable[..., Worker]
) -> None:
    broker = reader(app)
    worker = worker_factory(rabbit_url, pool="solo", queues=["q"], plain=True)
    assert queue(broker, "q").consumers == 1
    # Exclusive to the worker's connection from kombu 5.6 on: it is there, and more is not told.
    mailbox = queue(broker, f"{worker.hostname}.celery.pidbox")
    assert mailbox.exists
    assert mailbox.consumers == 1 or "405" in str(mailbox.error)
    worker.stop()
    assert eventually(lambda: queue(broker, "q").consumers == 0)


def test_read__a_queue_we_may_not_see_spoils_itself_only(
    rabbit: RabbitServer, rabbit_vhost: str, rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    declare(rabbit_url, "a", "secret", "z")
    rabbit.add_user("shop", PASSWORD)
    # RabbitMQ asks for any of the three permissions on a passive declare.
    rabbit.allow("shop", rabbit_vhost, configure="^[az]$", write="^[az]$", read="^[az]$")
    found = read(reader(make_app(rabbit.url(rabbit_vhost, "shop", PASSWORD))), "a", "secret", "z").queues
    assert (found["a"].ready, found["z"].ready) == (0, 0)
    if found["secret"].ready is None:  # 3.10 grants a passive declare to everybody
        assert "403" in str(found["secret"].error)


def test_read__a_queue_that_another_connection_owns(rabbit_url: str, app: Celery, reader: Reader) -> None:
    declare(rabbit_url, "mine")
    with Connection(rabbit_url) as connection, connection.channel() as channel:
        channel.queue_declare("theirs", exclusive=True)
        found = read(reader(app), "theirs", "mine").queues
    assert found["mine"].ready == 0
    assert found["theirs"].ready is None
    assert found["theirs"].exists
    assert "405" in str(found["theirs"].error)


def test_read__no_such_vhost(rabbit: RabbitServer, make_app: MakeApp, reader: Reader) -> None:
    broker = reader(make_app(rabbit.url("nowhere")))
    reading = broker.read(["q"], Deadline.after(2))
    assert reading.reachable is False
    assert "nowhere" in str(reading.error)
    with pytest.raises(BrokerError, match="nowhere"):
        broker.ping(Deadline.after(2))


def test_read__vhost_that_the_user_may_not_enter(
    rabbit: RabbitServer, rabbit_vhost: str, make_app: MakeApp, reader: Reader
) -> None:
    rabbit.add_user("stranger", PASSWORD)
    broker = reader(make_app(rabbit.url(rabbit_vhost, "stranger", PASSWORD)))
    reading = broker.read(["q"], Deadline.after(2))
    assert reading.reachable is False
    assert PASSWORD not in str(reading.error)


def test_read__failover_urls(rabbit_url: str, make_app: MakeApp, reader: Reader) -> None:
    declare(rabbit_url, "q")
    broker = reader(make_app(["amqp://u:hidden@127.0.0.1:1//", rabbit_url]))
    assert queue(broker, "q").exists
    assert "hidden" not in broker.url


@pytest.fixture
def tls_proxy(rabbit: RabbitServer, certificate: tuple[Path, Path]) -> Iterator[Proxy]:
    """TLS in front of RabbitMQ, as a load balancer would end it."""
    with Proxy(rabbit.port, certificate=certificate) as between:
        yield between


def test_read__tls(
    tls_proxy: Proxy, certificate: tuple[Path, Path], rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    declare(rabbit_url, "q")
    url = tls_proxy.url(rabbit_url.replace("amqp://", "amqps://"))
    trusted = make_app(url, broker_use_ssl={"ca_certs": str(certificate[1]), "cert_reqs": ssl.CERT_REQUIRED})
    broker = reader(trusted)
    assert queue(broker, "q").exists
    tls_proxy.cut()
    assert queue(broker, "q").exists
    tls_proxy.black_hole()
    for _ in range(2):  # the open connection, then one that never gets through its handshake
        started = time.monotonic()
        assert broker.read(["q"], Deadline.after(0.6)).reachable is False
        assert time.monotonic() - started < 1.1


def test_read__tls_that_is_not_trusted(
    tls_proxy: Proxy, rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    url = tls_proxy.url(rabbit_url.replace("amqp://", "amqps://"))
    strangers = make_app(url, broker_use_ssl={"cert_reqs": ssl.CERT_REQUIRED})
    reading = reader(strangers).read(["q"], Deadline.after(2))
    assert reading.reachable is False
    assert "certificate verify failed" in str(reading.error)


def test_read__a_thousand_queues(rabbit_url: str, app: Celery, reader: Reader) -> None:
    names = [f"queue-{number}" for number in range(1000)]
    declare(rabbit_url, *names[::2])
    found = read(reader(app), *names, seconds=20).queues
    assert [name for name, one in found.items() if one.exists] == names[::2]
    assert list(found) == names


def test_close__takes_leave_politely(
    rabbit: RabbitServer, rabbit_vhost: str, app: Celery, reader: Reader
) -> None:
    broker = reader(app)
    queue(broker, "q")
    before = log_of(rabbit).count("closing AMQP connection")
    broker.close()
    vhost = quote(rabbit_vhost, safe="")
    assert eventually(lambda: rabbit.api("GET", f"vhosts/{vhost}/connections") == [])
    assert log_of(rabbit).count("closing AMQP connection") == before
