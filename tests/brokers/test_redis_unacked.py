"""Redis: unacknowledged messages by queue, and the roster of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.transport.virtual.exchange import TopicExchange

from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from tests.brokers.conftest import queue, read
from tests.brokers.messages import envelope
from tests.support import RedisServer, Worker, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
Restricted = Callable[[str], tuple[Celery, RedisServer]]
Tls = tuple[RedisServer, int]


def kombus_count(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel._size(name))


def hold(client: redis.Redis, tag: str, exchange: str, routing_key: str, body: str = "W10=") -> None:
    """Put an entry as kombu does (`kombu/transport/redis.py`, QoS.append)."""
    client.hset("unacked", tag, json.dumps([json.loads(envelope(body)), exchange, routing_key]))


def test_read__unacked_by_queue(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    for exchange, key, queue_name in [
        ("direct", "rk", "bound"),
        ("topic", "order.*", "orders"),
        ("topic", "mail.#", "mails"),
        ("twice", "both", "left"),
        ("twice", "both", "right"),
    ]:
        # Of a topic exchange alone kombu keeps a pattern beside the key.
        pattern = TopicExchange(None).key_to_pattern(key) if exchange == "topic" else ""
        redis_client.sadd(f"_kombu.binding.{exchange}", "\x06\x16".join((key, pattern, queue_name)))
    hold(redis_client, "1", "", "plain")
    hold(redis_client, "2", "", "plain", body='"], "", "fake"]')
    hold(redis_client, "3", "direct", "rk")
    hold(redis_client, "4", "topic", "order.created")
    hold(redis_client, "5", "topic", "mail.out.now")
    hold(redis_client, "6", "twice", "both")
    hold(redis_client, "7", "direct", 'odd "key" \\')
    redis_client.hset("unacked", "8", "not json")
    broker = reader(make_app(redis_url))
    found = read(broker, "plain", "bound", "orders", "mails", "left", "right", "none").queues
    assert {name: one.unacked for name, one in found.items()} == {
        "plain": 2,
        "bound": 1,
        "orders": 1,
        "mails": 1,
        # It came from one of these two: no number is right for either.
        "left": None,
        "right": None,
        "none": 0,
    }


def test_read__too_many_unacked_are_unknown(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    entry = json.dumps([json.loads(envelope()), "", "q"])
    redis_client.hset("unacked", mapping={str(number): entry for number in range(1000)})
    assert queue(broker, "q").unacked == 1000
    redis_client.hset("unacked", "one more", entry)
    assert queue(broker, "q").unacked is None


def test_read__large_unacked_messages_are_not_read(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    for number in range(1, 5):
        hold(redis_client, f"{number}", "", "q", body="x" * 900_000)
        assert queue(broker, "q").unacked == number
    redis_client.config_resetstat()
    assert queue(broker, "q").unacked == 4
    # Redis is held for one of them at a time.
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1 + 4
    hold(redis_client, "5", "", "q", body="x" * 900_000)
    assert queue(broker, "q").unacked is None


def test_read__one_huge_unacked_message_is_not_read(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    hold(redis_client, "1", "", "q", body="x" * 1_200_000)
    assert queue(reader(make_app(redis_url)), "q").unacked is None


def test_read__unacked_of_a_real_worker(
    redis_url: str, make_app: MakeApp, reader: Reader, worker_factory: Callable[..., Worker], tmp_path: Path
) -> None:
    app = make_app(redis_url)
    broker = reader(app)
    worker_factory(
        redis_url, queues=["q"], conf={"task_acks_late": True, "worker_prefetch_multiplier": 1}, plain=True
    )
    for _ in range(3):
        app.send_task("tests.project.tasks.wait_for_file", args=[str(tmp_path / "go")], queue="q")

    def counts() -> tuple[int | None, int | None]:
        found = queue(broker, "q")
        return found.ready, found.unacked

    assert eventually(lambda: counts() == (2, 1), what="one runs, two wait")
    (tmp_path / "go").touch()
    assert eventually(lambda: counts() == (0, 0), what="all are done")


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"broker_transport_options": {"global_keyprefix": "shop:", "sep": ":"}, "control_exchange": "shop"},
    ],
)
def test_roster__names_workers_until_they_say_goodbye(
    conf: dict[str, Any],
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
    worker_factory: Callable[..., Worker],
) -> None:
    broker = reader(make_app(redis_url, **conf))
    assert broker.roster(Deadline.after(5)) == ()
    one, two = (
        worker_factory(redis_url, name=name, pool="solo", conf=conf, plain=True, wait=False)
        for name in ("one@a.example", "two@b")
    )
    assert eventually(lambda: broker.roster(Deadline.after(5)) == ("one@a.example", "two@b"), timeout=30)
    one.wait_ready()
    two.wait_ready()
    two.kill()
    assert broker.roster(Deadline.after(5)) == ("one@a.example", "two@b")
    assert one.stop() == 0
    assert broker.roster(Deadline.after(5)) == ("two@b",)


def test_roster__is_not_spoilt_by_what_else_is_bound(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    for member in (
        "\x06\x16\x06\x16w@h.celery.pidbox",
        "\x06\x16\x06\x16w@h.other.pidbox",
        "odd",
        b"\xff",
        "",
    ):
        redis_client.sadd("_kombu.binding.celery.pidbox", member)
    assert reader(make_app(redis_url)).roster(Deadline.after(5)) == ("w@h",)
