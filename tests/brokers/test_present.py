"""Whose mark a broker shows: a connection's name on Redis, a queue of its own on RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from celery import Celery
from kombu import Connection, Queue

from celery_health.brokers import redis_clients
from celery_health.brokers.base import Broker, Mark
from celery_health.deadline import Deadline
from tests.brokers.conftest import PASSWORD, Target, read
from tests.support import RedisServer, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]


def present(broker: Broker, *marks: str, seconds: float = 5.0) -> dict[str, float | None] | None:
    found = broker.present(marks, Deadline.after(seconds))
    return None if found is None else dict(found)


@pytest.mark.redis
def test_present__named_connections_of_every_kind(redis_url: str, make_app: MakeApp, reader: Reader) -> None:
    broker = reader(make_app(redis_url))
    assert broker.capabilities.mark is Mark.CONNECTION_NAME
    with (
        redis.Redis.from_url(redis_url, client_name="celery_health:a@h:1:x") as plain,
        redis.Redis.from_url(redis_url, client_name="celery_health:b@h:2:x") as listening,
    ):
        plain.ping()
        channels = listening.pubsub()
        channels.psubscribe("some*")
        found = present(broker, "celery_health:a@h:1:x", "celery_health:b@h:2:x", "celery_health:c@h:3:x")
        assert found is not None
        assert set(found) == {"celery_health:a@h:1:x", "celery_health:b@h:2:x"}
        assert all(seconds is not None and 0 <= seconds < 60 for seconds in found.values())
        channels.close()
    eventually(lambda: present(broker, "celery_health:a@h:1:x", "celery_health:b@h:2:x") == {})


@pytest.mark.redis
def test_present__the_oldest_of_two_connections_counts(
    redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    with redis.Redis.from_url(redis_url, client_name="one") as first:
        first.ping()
        eventually(lambda: ((present(broker, "one") or {})["one"] or 0) >= 1)
        with redis.Redis.from_url(redis_url, client_name="one") as second:
            second.ping()
            assert ((present(broker, "one") or {})["one"] or 0) >= 1


@pytest.mark.redis
@pytest.mark.parametrize("command", ["client|list", "info"])
def test_present__acl_does_not_tell_and_is_not_asked_again(
    command: str, own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis(acl=[f"shop on >{PASSWORD} ~* &* +@all -{command}"])
    broker = reader(make_app(server.url_for(user="shop", password=PASSWORD)))
    assert [present(broker, "x") for _ in range(3)] == [None, None, None]
    with redis.Redis.from_url(server.url) as admin:
        assert [(entry["object"], entry["count"]) for entry in admin.acl_log()] == [(command, 1)]
    assert read(broker, "celery").queues["celery"].ready == 0


@pytest.mark.redis
def test_present__too_many_connections_are_not_listed(
    redis_url: str, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_clients, "MAX_CLIENTS", 0)
    assert present(reader(make_app(redis_url)), "x") is None


@pytest.mark.rabbitmq
def test_present__queues_of_others_and_none(rabbit_url: str, make_app: MakeApp, reader: Reader) -> None:
    broker = reader(make_app(rabbit_url))
    assert broker.capabilities.mark is Mark.MAILBOX
    with Connection(rabbit_url) as owner:
        for name, exclusive in (("locked.pidbox", True), ("shared.pidbox", False)):
            Queue(name, exclusive=exclusive, auto_delete=True, durable=False)(owner.channel()).declare()
        names = ("locked.pidbox", "shared.pidbox", "none.pidbox")
        # Again and again: an answer that closes a channel must not spoil the next.
        for _ in range(3):
            assert present(broker, *names) == {"locked.pidbox": None, "shared.pidbox": None}
            assert read(broker, "shared.pidbox").queues["shared.pidbox"].ready == 0
    eventually(lambda: present(broker, "locked.pidbox") == {})


def test_present__nothing_is_told_by_a_broker_that_hangs(
    target: Target, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(target.url))
    assert present(broker, "x") == {}
    target.pause()
    # A server of many threads is not stopped in an instant.
    assert eventually(lambda: present(broker, "x", seconds=0.5) is None)
    target.resume()
    assert eventually(lambda: present(broker, "x") is not None)


def test_present__other_transports_cannot_tell(make_app: MakeApp, reader: Reader) -> None:
    broker = reader(make_app("memory://"))
    assert broker.capabilities.mark is None
    assert present(broker, "x") is None
