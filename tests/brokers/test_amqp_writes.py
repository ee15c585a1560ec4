"""Whether RabbitMQ takes messages: of alarms it tells only who publishes, and no message enters a queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from celery_health.brokers import amqp_writes
from celery_health.brokers.amqp import AmqpBroker
from celery_health.brokers.base import Broker, Shared
from celery_health.deadline import Deadline
from celery_health.records import Writes
from tests.brokers.conftest import PASSWORD, read
from tests.support import Proxy, RabbitServer, eventually

pytestmark = pytest.mark.rabbitmq

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]


def writes(broker: Broker) -> Writes:
    return read(broker, "q").writes


@pytest.fixture
def node() -> Iterator[RabbitServer]:
    """A node of our own: an alarm stops every publisher of a node."""
    with RabbitServer() as server:
        yield server


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_writes, "ASK_EVERY_SECONDS", 0.2)
    monkeypatch.setattr(amqp_writes, "DENIED_MEMORY_SECONDS", 0.2)
    monkeypatch.setattr(amqp_writes, "SHUT_OUT_SECONDS", 0.2)


@pytest.mark.slow
def test_writes__an_alarm_is_a_refusal_while_it_lasts(
    node: RabbitServer, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.add_user("limited", PASSWORD)
    node.allow("limited", "/", write="^$")
    app = make_app(node.url())
    shared = Shared()
    broker = AmqpBroker(app, 5.0, shared)
    denied = reader(make_app(node.url(user="limited", password=PASSWORD)))
    assert writes(broker).accepted
    unknown = writes(denied)
    assert unknown.accepted is None
    assert "Let the user's write permission match 'amq.default'" in str(unknown.unknown)

    node.set_alarm("memory")
    found = eventually(lambda: (now := writes(broker)).accepted is False and now)
    assert found.refusal == (
        "it has an alarm (low on memory), and stops every connection that publishes until that ends"
    )
    assert "rabbitmqctl set_vm_memory_high_watermark" in str(found.fix)
    # It reads on, on a connection that has published nothing, and asks nothing anew.
    for _ in range(5):
        started = time.monotonic()
        assert writes(broker).accepted is False
        assert time.monotonic() - started < 1.0
        time.sleep(0.1)  # past the memory of the answer: nothing to poll for
    # Whoever may not publish learns of it all the same.
    assert eventually(lambda: writes(denied).accepted is False)
    # Readers of one process share one connection: the server keeps each that is blocked.
    other = AmqpBroker(app, 5.0, shared)
    started = time.monotonic()
    assert other.ping(Deadline.after(5)).accepted is False
    other.close()
    assert time.monotonic() - started < 1.0
    eventually(lambda: node.blocked() == 2)

    node.clear_alarm("memory")
    found = eventually(lambda: (now := writes(broker)).accepted and now)
    assert 0.0 <= found.alarm_over_seconds < 30.0
    node.set_alarm("disk")
    found = eventually(lambda: (now := writes(broker)).accepted is False and now)
    assert "low on disk" in str(found.refusal)
    assert "memory" not in str(found.fix)
    node.clear_alarm("disk")
    assert eventually(lambda: writes(broker).accepted)
    broker.close()
    shared.close()
    assert node.api("GET", "queues") == []


def test_writes__no_message_enters_a_queue(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not even one of a name that RabbitMQ does not allow.
    monkeypatch.setattr(amqp_writes, "ROUTING_KEY", "q")
    monkeypatch.setattr(amqp_writes, "ASK_EVERY_SECONDS", 0.0)
    app = make_app(rabbit_url)
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_declare("q", durable=True, auto_delete=False)
        broker = reader(app)
        for _ in range(20):
            assert writes(broker).accepted
        assert channel.queue_declare("q", passive=True).message_count == 0


def test_writes__nobody_can_declare_a_queue_of_that_name(rabbit_url: str, make_app: MakeApp) -> None:
    connection = make_app(rabbit_url).connection_for_write()
    with connection, pytest.raises(connection.channel_errors, match="reserved prefix"):
        connection.default_channel.queue_declare(amqp_writes.ROUTING_KEY)


def test_writes__is_asked_seldom_on_a_connection_of_its_own(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_writes, "ASK_EVERY_SECONDS", 60.0)
    asked: list[Any] = []
    ask = amqp_writes._Line.ask
    monkeypatch.setattr(amqp_writes._Line, "ask", lambda self: asked.append(ask(self)))
    broker = reader(make_app(rabbit_url))
    for _ in range(5):
        assert writes(broker).accepted
    assert len(asked) == 1


def test_writes__silence_is_unknown_and_never_a_fault(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, proxy: Callable[[int], Proxy]
) -> None:
    # What is asked goes through, and no answer comes back; the queues are read on another way.
    between = proxy(rabbit.port)
    asking = amqp_writes.AmqpWrites(make_app(between.url(rabbit_url)), 5.0)
    assert asking.ask(Deadline.after(5)).accepted
    time.sleep(0.25)  # past the memory of the answer
    between.swallow(replies=True)
    started = time.monotonic()
    found = asking.ask(Deadline.after(2))
    assert (found.accepted, found.refusal) == (None, None)
    assert "not known" in str(found.unknown)
    assert time.monotonic() - started < 1.2
    between.forward()
    assert eventually(lambda: asking.ask(Deadline.after(5)).accepted)
    asking.close()


def test_writes__a_limit_of_connections_is_a_refusal(
    rabbit: RabbitServer, rabbit_vhost: str, rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(rabbit_url))
    assert writes(broker).accepted
    # What is open is read on; whoever has to open one cannot send.
    rabbit.api("PUT", f"vhost-limits/{rabbit_vhost}/max-connections", {"value": 1})
    found = eventually(lambda: (now := writes(broker)).accepted is False and now)
    assert str(found.refusal).startswith("it lets in nobody new (")
    assert "connection limit (1) is reached" in str(found.refusal)
    assert "raise the limit" in str(found.fix)
    rabbit.api("DELETE", f"vhost-limits/{rabbit_vhost}/max-connections")
    assert eventually(lambda: writes(broker).accepted)


def test_writes__a_connection_refused_once_proves_nothing(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(rabbit.port)
    asking = amqp_writes.AmqpWrites(make_app(between.url(rabbit_url)), 5.0)
    between.refuse()
    assert asking.ask(Deadline.after(5)).accepted is None
    assert eventually(lambda: asking.ask(Deadline.after(5)).accepted is False)
    between.forward()
    assert eventually(lambda: asking.ask(Deadline.after(5)).accepted)
    asking.close()


def test_writes__a_user_that_may_send_no_more(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    rabbit.add_user("shop", PASSWORD)
    rabbit.allow("shop", "/")
    broker = reader(make_app(rabbit.url(user="shop", password=PASSWORD)))
    assert writes(broker).accepted
    rabbit.allow("shop", "/", write="^$")
    found = eventually(lambda: (now := writes(broker)).accepted is False and now)
    assert found.denied
    assert str(found.refusal).startswith("its user may not publish to the default exchange any more (403 ")
    rabbit.allow("shop", "/")
    assert eventually(lambda: writes(broker).accepted)


def test_writes__no_channel_more_is_a_refusal(
    rabbit: RabbitServer, make_app: MakeApp, reader: Reader
) -> None:
    rabbit.add_user("narrow", PASSWORD)
    rabbit.allow("narrow", "/")
    app = make_app(rabbit.url(user="narrow", password=PASSWORD))
    with app.connection_for_write() as connection:
        connection.default_channel.queue_declare("narrow-q")
    broker = reader(app)
    # On a channel of its own, which stays open.
    assert read(broker, "narrow-q").writes.accepted
    rabbit.api("PUT", "user-limits/narrow/max-channels", {"value": 1})
    found = eventually(lambda: (now := read(broker, "narrow-q").writes).accepted is False and now)
    assert "number of channels opened for user 'narrow' has reached the maximum allowed" in str(found.refusal)
    assert str(found.fix).startswith("It has as many channels as ")
    rabbit.api("DELETE", "user-limits/narrow/max-channels")
    assert eventually(lambda: read(broker, "narrow-q").writes.accepted)


def test_writes__are_known_where_publications_are_confirmed(
    rabbit: RabbitServer, rabbit_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(rabbit_url)
    app.conf.broker_transport_options = {"confirm_publish": True}
    found = writes(reader(app))
    assert (found.accepted, found.unknown) == (True, None)
