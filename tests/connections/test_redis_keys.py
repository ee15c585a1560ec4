"""The names of keys, beside those that kombu's own open channel uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from celery_health.connections.redis_keys import BoundQueue, RedisKeys

#: Transport options, each with one thing named otherwise.
LAYOUTS: dict[str, dict[str, Any]] = {
    "default": {},
    "prefix": {"global_keyprefix": "{shop}.%s"},
    "separator": {"sep": ":"},
    "no separator": {"sep": ""},
    "three steps": {"priority_steps": [0, 4, 8]},
    "ten steps": {"priority_steps": tuple(range(10))},
    # kombu rounds down, so that two steps share a key; below the first it takes the last.
    "a step twice": {"priority_steps": [0, 3, 3]},
    "no step for 0": {"priority_steps": [3, 6]},
    "unacked": {"unacked_key": "held", "unacked_index_key": "held since"},
}
#: What a producer may say; the odd ones are read from JSON by whoever sends a dead letter again.
PRIORITIES = [None, 0, 1, 2, 3, 5, 8, 9, 10, 99, -1, "6", "high", 4.7, True, [], float("nan")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys__as_kombu_names_them(layout: str, redis_url: str) -> None:
    options = LAYOUTS[layout]
    keys = RedisKeys(Connection(redis_url, transport_options=options))

    with Connection(redis_url, transport_options=options) as connection:
        channel: Any = connection.default_channel
        steps = [channel._q_for_pri("q", step) for step in channel.priority_steps]
        assert keys.prefix == channel.global_keyprefix
        # Without one kombu cannot read its own bindings; ours have its usual one.
        assert keys.separator == (channel.sep or type(channel).sep)
        assert keys.lists("q") == [keys.prefix + key for key in dict.fromkeys(steps)]
        assert keys.unacked == keys.prefix + channel.unacked_key
        assert keys.unacked_index == keys.prefix + channel.unacked_index_key
        assert keys.bindings("x") == keys.prefix + channel.keyprefix_queue % "x"
        for priority in PRIORITIES:
            put = channel._get_message_priority({"properties": {"priority": priority}})
            assert keys.list_for("q", priority) == keys.prefix + channel._q_for_pri("q", put)


@pytest.mark.parametrize("priority", [float("inf"), float("-inf")])
def test_list_for__infinity_is_no_priority(priority: float, redis_url: str) -> None:
    assert RedisKeys(Connection(redis_url)).list_for("q", priority) == "q"


@pytest.mark.parametrize("layout", ["default", "prefix", "separator", "three steps"])
def test_list_for__where_a_message_lies(
    layout: str, redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    app = make_app(redis_url, broker_transport_options=LAYOUTS[layout])
    keys = RedisKeys(app.connection_for_read())

    for priority in (0, 4, 9):
        app.send_task("some.task", queue=f"q{priority}", priority=priority)
        assert redis_client.llen(keys.list_for(f"q{priority}", priority)) == 1


def test_keys__empty_options_are_none(redis_url: str) -> None:
    options = {"global_keyprefix": None, "priority_steps": []}

    assert RedisKeys(Connection(redis_url, transport_options=options)).lists("q") == [
        "q",
        "q\x06\x163",
        "q\x06\x166",
        "q\x06\x169",
    ]


def test_keys__nothing_is_opened(redis_url: str, redis_client: redis.Redis) -> None:
    before = redis_client.info("stats")["total_connections_received"]

    RedisKeys(Connection(redis_url))

    assert redis_client.info("stats")["total_connections_received"] == before


def test_keys__of_sentinels() -> None:
    source = Connection("sentinel://h:26379/0", transport_options={"master_name": "main", "sep": "-"})

    assert RedisKeys(source).lists("q") == ["q", "q-3", "q-6", "q-9"]


@pytest.mark.parametrize("layout", ["default", "prefix", "separator"])
def test_bound__what_kombu_has_bound(
    layout: str, redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    app = make_app(redis_url, broker_transport_options=LAYOUTS[layout])
    keys = RedisKeys(app.connection_for_read())
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        channel.exchange_declare("media", "topic")
        for queue, key in (("video", "video.*"), ("all", "#")):
            channel.queue_declare(queue)
            channel.queue_bind(queue, "media", key)

    members: Any = redis_client.smembers(keys.bindings("media"))

    assert keys.bound(members) == [BoundQueue("#", "all", True), BoundQueue("video.*", "video", True)]


def test_bound__without_a_separator_ours_are_read_and_kombus_are_not(redis_url: str) -> None:
    keys = RedisKeys(Connection(redis_url, transport_options={"sep": ""}))

    assert keys.bound([b"keyqueue", keys.binding("key", "queue").encode()]) == [BoundQueue("key", "queue")]


def test_bound__what_is_not_kombus_is_left_out(redis_url: str) -> None:
    keys = RedisKeys(Connection(redis_url))

    assert keys.bound([b"odd", b"\xff", b"", keys.binding("key", "queue").encode(), b"a\x06\x16b"]) == [
        BoundQueue("key", "queue")
    ]
