"""Redis: unacknowledged messages by queue, and the roster of workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.transport.virtual.exchange import TopicExchange

from celery_health.brokers.base import Broker, LongUnacked
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


# Those that were taken long ago -------------------------------------------------------------------------


def take(
    client: redis.Redis, tag: str, ago: float, exchange: str = "", key: str = "q", body: str = "W10="
) -> None:
    hold(client, tag, exchange, key, body)
    client.zadd("unacked_index", {tag: time.time() - ago})


def test_read__who_was_taken_long_ago(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    assert read(broker, "q").long_unacked == LongUnacked(total=0)
    redis_client.sadd("_kombu.binding.two", "k\x06\x16\x06\x16left", "k\x06\x16\x06\x16right")
    take(redis_client, "young", 50)
    take(redis_client, "old", 70)
    take(redis_client, "older", 3600, exchange="two", key="k")
    found = read(broker, "q", "left", "right")
    assert found.long_unacked is not None and found.server_time is not None
    assert found.long_unacked.total == 2
    # The first come first; which of two queues it came from nobody knows.
    assert [(one.tag, one.queue) for one in found.long_unacked.messages] == [("older", None), ("old", "q")]
    ages = [found.server_time - one.taken_at for one in found.long_unacked.messages]
    assert ages == pytest.approx([3600, 70], abs=5)


def test_read__of_very_many_the_first(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    """An amount that was reported: they are counted, and no call gets longer for it."""
    entry = json.dumps([json.loads(envelope()), "", "q"])
    for first in range(0, 50_000, 5_000):
        tags = [f"{number:08d}" for number in range(first, first + 5_000)]
        redis_client.hset("unacked", mapping=dict.fromkeys(tags, entry))
        redis_client.zadd("unacked_index", {tag: 1_000_000 + int(tag) for tag in tags})
    broker = reader(make_app(redis_url))
    read(broker, "q")
    redis_client.config_resetstat()
    found = read(broker, "q").long_unacked
    assert found is not None
    assert (found.total, len(found.messages), found.messages[0].tag) == (50_000, 100, "00000000")
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


def test_read__large_ones_are_counted_and_not_looked_at(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    take(redis_client, "a", 200)
    take(redis_client, "b", 100, body="x" * 200_000)
    take(redis_client, "c", 90)
    found = read(reader(make_app(redis_url)), "q").long_unacked
    assert found is not None
    assert (found.total, [one.tag for one in found.messages]) == (3, ["a"])
