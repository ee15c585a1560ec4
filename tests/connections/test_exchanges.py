"""Which bindings take a message: a table, beside kombu's own exchanges and a real RabbitMQ."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Producer
from kombu.transport.virtual.exchange import TopicExchange

from celery_health.connections import exchanges
from celery_health.connections.exchanges import is_virtual, matches_topic, takes, transport_of
from tests.support import eventually

#: (pattern, key, on RabbitMQ, in kombu's own exchanges: None where its versions differ)
TOPICS = [
    ("a.b", "a.b", True, True),
    ("a.*", "a.b", True, True),
    ("a.*", "a", False, False),
    ("a.*", "a.b.c", False, None),
    ("*.*", "a.b", True, True),
    ("*", "a.b", False, None),
    ("a.#", "a.b.c", True, True),
    # "#" is zero or more words to AMQP; kombu wants the dot.
    ("a.#", "a", True, False),
    ("a.#.b", "a.b", True, False),
    ("#.#", "a", True, False),
    ("a.#.b", "a.x.y.b", True, True),
    ("#", "a.b", True, True),
    ("#", "", True, True),
    ("", "", True, True),
    ("", "a", False, False),
    ("#.z", "z", True, False),
    ("a.*.c", "a.b.c", True, True),
    # A word may be empty; an empty key has none.
    ("*", "", False, False),
    ("a.*", "a.", True, False),
    ("a.*.b", "a..b", True, False),
    ("a.#", "a.", True, True),
    ("a.#.b", "a..b", True, True),
    # A dot is no wildcard, and what means something to an expression means nothing here.
    ("a.b", "axb", False, False),
    ("a+.(b|c)", "aa.b", False, False),
    ("a+.(b|c)", "a+.(b|c)", True, True),
    # Only a whole word is a wildcard to AMQP; to kombu a star inside one repeats the letter before it.
    ("orders*", "orders", False, True),
    ("orders*", "orders.new", False, False),
    ("orders*", "orders*", True, False),
    ("a#", "a#", True, True),
    # kombu's expression of this is none: nothing can be published there at all.
    ("a.**", "a.b", False, False),
]


@pytest.mark.parametrize(("pattern", "key", "amqp", "virtual"), TOPICS)
def test_topic__table(pattern: str, key: str, amqp: bool, virtual: bool | None) -> None:
    assert matches_topic(pattern, key, is_virtual=False) is amqp
    assert virtual is None or matches_topic(pattern, key, is_virtual=True) is virtual


@pytest.mark.rabbitmq
def test_topic__agrees_with_rabbitmq(rabbit_url: str) -> None:
    patterns = sorted({pattern for pattern, _, _, _ in TOPICS})
    keys = sorted({key for _, key, _, _ in TOPICS})
    found: dict[str, set[str]] = {key: set() for key in keys}
    with Connection(rabbit_url) as connection:
        channel: Any = connection.channel()
        channel.exchange_declare("topics", "topic", auto_delete=True)
        queues = {pattern: channel.queue_declare("", exclusive=True).queue for pattern in patterns}
        for pattern, queue in queues.items():
            channel.queue_bind(queue, "topics", pattern)
        for key in keys:
            Producer(channel).publish(key, exchange="topics", routing_key=key)

        def got_all() -> int:
            for pattern, queue in queues.items():
                while (message := channel.basic_get(queue, no_ack=True)) is not None:
                    found[message.delivery_info["routing_key"]].add(pattern)
            return sum(map(len, found.values()))

        expected = {
            key: {pattern for pattern in patterns if matches_topic(pattern, key, is_virtual=False)}
            for key in keys
        }
        eventually(lambda: got_all() >= sum(map(len, expected.values())), what="all messages are there")
        assert found == expected


def kombus(pattern: str, key: str) -> bool:
    exchange: Any = TopicExchange(None)
    try:
        return bool(exchange._match(exchange.key_to_pattern(pattern), key))
    except re.error:
        return False


@pytest.mark.parametrize(("pattern", "key", "amqp", "virtual"), TOPICS)
def test_topic__agrees_with_kombu(pattern: str, key: str, amqp: bool, virtual: bool | None) -> None:
    assert matches_topic(pattern, key, is_virtual=True) is kombus(pattern, key)


@pytest.mark.parametrize("by_words", [False, True])
def test_topic__agrees_with_kombu_on_anything(by_words: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_words:  # as with patterns that are too long to be compiled
        monkeypatch.setattr(exchanges, "_LONGEST_PATTERN", -1)
    chance = random.Random(4711)
    words = ["a", "b", "", "*", "#", "*", "#"]
    matched = 0
    for _ in range(20_000):
        pattern = ".".join(chance.choices(words, k=chance.randrange(1, 7)))
        key = ".".join(chance.choices(words[:3], k=chance.randrange(1, 7)))
        expected = kombus(pattern, key)
        assert matches_topic(pattern, key, is_virtual=True) is expected, (pattern, key)
        matched += expected
    assert matched > 1000


#: Patterns that a Redis may hold, and keys that a message may have: on some an expression takes years.
#: RabbitMQ is not asked for its bindings, and takes 255 bytes for one.
HOSTILE = {
    "many hashes": (".".join(["#"] * 30) + ".x", "." * 200),
    "many stars": (".".join(["*"] * 60) + ".x", "a." * 200),
    "stars inside a word": ("a*" * 40 + "b", "a" * 400),
    "two hashes and a long key": ("#.#.x", "." * 100_000),
    "three hashes, as far as it is compiled": ("#.#.#.x", "." * 37),
    "one hash and a long key": ("#.x", "." * 9_999),
    "a long pattern": ("#." * 100_000, "a." * 500),
    "a long word": ("a" * 1_000_000, "a" * 999_999),
    "no expression": ("*" * 1000, "a"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_topic__a_hostile_pattern_takes_no_time(name: str) -> None:
    pattern, key = HOSTILE[name]
    started = time.process_time()

    assert not matches_topic(pattern, key, is_virtual=True)
    assert time.process_time() - started < 0.5


def test_topic__patterns_do_not_pile_up() -> None:
    exchanges._kombus.cache_clear()
    for number in range(5000):
        matches_topic(f"{number}.#", "a", is_virtual=True)

    assert exchanges._kombus.cache_info().currsize <= 1024


@pytest.mark.parametrize(
    ("exchange_type", "pattern", "key", "expected"),
    [
        ("direct", "a", "a", True),
        ("direct", "#", "a", False),
        ("direct", "#", "#", True),
        ("topic", "#", "a", True),
        ("fanout", "a", "b", True),
        ("", "a", "a", True),
    ],
)
@pytest.mark.parametrize("virtual", [False, True])
def test_takes__by_the_exchanges_type(
    exchange_type: str, pattern: str, key: str, expected: bool, virtual: bool
) -> None:
    assert takes(exchange_type, pattern, key, is_virtual=virtual) is expected


@pytest.mark.parametrize(
    ("url", "transport", "virtual"),
    [
        ("redis://h/0", "redis", True),
        ("rediss://h/0", "rediss", True),
        ("sentinel://h:26379;sentinel://i:26379/0", "sentinel", True),
        ("amqp://h//", "amqp", False),
        ("pyamqp://h//", "pyamqp", False),
        ("amqps://h//", "amqps", False),
        # Its library need not be installed where the doctor runs.
        ("sqs://", "sqs", True),
        ("redis+socket:///tmp/redis.sock", "redis", True),
        ("memory://", "memory", True),
    ],
)
def test_transport__is_named_without_connecting(
    url: str, transport: str, virtual: bool, make_app: Callable[..., Celery]
) -> None:
    app = make_app(url)

    assert transport_of(app) == transport
    assert is_virtual(app) is virtual
