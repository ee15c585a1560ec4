"""Redis: the age of the oldest message, read off its headers whatever its size."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable

import pytest
import redis
from celery import Celery

from celery_health.brokers import redis as redis_reader
from celery_health.brokers.base import Broker
from celery_health.headers import PUBLISHED_AT_HEADER
from tests.brokers.conftest import queue, read
from tests.brokers.messages import HEADERS, envelope
from tests.support import RedisServer, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
Restricted = Callable[[str], tuple[Celery, RedisServer]]
Tls = tuple[RedisServer, int]


def kombus_count(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel._size(name))


def publish(
    app: Celery, name: str, published_at: float | None, *, priority: int = 0, eta: str | None = None
) -> str:
    """Publish as Celery does, under a stamp of our choice; return the task's id."""
    task_id = uuid.uuid4().hex
    headers = {"lang": "py", "task": "some.task", "id": task_id, "eta": eta}
    if published_at is not None:
        headers[PUBLISHED_AT_HEADER] = published_at
    with app.connection_for_write() as connection:
        connection.Producer().publish([[], {}, {}], routing_key=name, headers=headers, priority=priority)
    return task_id


@pytest.fixture
def app_with_q(redis_url: str, make_app: MakeApp) -> Celery:
    """An app on Redis where the queue ``q`` is declared."""
    app = make_app(redis_url)
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_declare("q")
    return app


def test_read__age_of_the_message_that_is_next_out(app_with_q: Celery, reader: Reader) -> None:
    first = publish(app_with_q, "q", 1000.25)
    publish(app_with_q, "q", 2000)
    found = queue(reader(app_with_q), "q")
    assert found.ready == 2
    assert found.oldest_published_at == 1000.25
    assert found.oldest_message_id == first
    assert not found.oldest_has_eta


ETA = "2026-01-28T10:30:00+00:00"


@pytest.mark.parametrize(
    ("sent", "oldest", "has_eta"),
    [
        # (priority, stamp, ETA) in order of sending → index of the oldest
        ([(0, 2000.0, None), (9, 1000.0, None)], 1, False),  # the low priority waits longer
        ([(0, 1000.0, None), (9, 2000.0, None)], 0, False),  # the high one does
        ([(0, 1000.0, ETA), (3, 2000.0, None)], 1, False),  # an ETA says nothing of waiting
        ([(0, 1000.0, ETA)], 0, True),  # nothing but ETA tasks
        ([(0, None, None), (6, 2000.0, None)], 1, False),  # only one of them is stamped
        ([(0, None, None), (6, None, None)], 1, False),  # none is: the one served last waits longest
    ],
)
def test_read__age_over_priority_steps(
    sent: list[tuple[int, float | None, str | None]],
    oldest: int,
    has_eta: bool,
    app_with_q: Celery,
    reader: Reader,
) -> None:
    ids = [publish(app_with_q, "q", at, priority=priority, eta=eta) for priority, at, eta in sent]
    found = queue(reader(app_with_q), "q")
    assert found.ready == len(sent)
    assert found.oldest_message_id == ids[oldest]
    assert found.oldest_published_at == sent[oldest][1]
    assert found.oldest_has_eta is has_eta


@pytest.mark.parametrize(
    ("message", "task_id", "published_at"),
    [
        (envelope(), "the-id", 1000.5),
        # Another producer's JSON.
        (envelope(separators=(",", ":")), "the-id", 1000.5),
        (envelope(indent=2), "the-id", 1000.5),
        # A body that is not base64 and speaks of headers itself.
        (envelope(json.dumps({"headers": {"id": "x", PUBLISHED_AT_HEADER: 1}})), "the-id", 1000.5),
        # Arguments that do.
        (
            envelope(headers=HEADERS | {"argsrepr": f'"headers": {{"id": "x", "{PUBLISHED_AT_HEADER}": 1}}'}),
            "the-id",
            1000.5,
        ),
        # A stamp that went through a text field; one that is none.
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: "12.5"}), "i", 12.5),
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: "soon"}), "i", None),
        (envelope(headers={"id": "i", PUBLISHED_AT_HEADER: 1.5e9}), "i", 1.5e9),
        # Task protocol 1: the id is in the body.
        (envelope(headers={}), None, None),
        # Not kombu's.
        ("not json", None, None),
        ("", None, None),
        ('{"headers"', None, None),
        ('{"headers": null, "id": 7}', None, None),
    ],
)
def test_read__heads_of_any_form(
    message: str,
    task_id: str | None,
    published_at: float | None,
    redis_client: redis.Redis,
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
) -> None:
    redis_client.lpush("q", message)
    found = queue(reader(make_app(redis_url)), "q")
    assert found.ready == 1
    assert found.oldest_message_id == task_id
    assert found.oldest_published_at == published_at


def test_read__bytes_that_are_no_text(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    redis_client.lpush("q", b'{"headers": {"id": "\xff\xfe", "x": 1}}')
    redis_client.hset("unacked", "tag", b"\xff\xfe")
    found = queue(reader(make_app(redis_url)), "q")
    assert (found.ready, found.unacked) == (1, 0)


def test_read__big_messages_are_looked_at_seldom(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    body = base64.b64encode(b"x" * 1_000_000).decode()
    redis_client.lpush("big", envelope(body))
    redis_client.lpush("small", envelope())
    broker = reader(make_app(redis_url))
    redis_client.config_resetstat()
    for _ in range(5):
        found = read(broker, "small", "big").queues
        assert found["big"].ready == found["small"].ready == 1
        assert found["big"].oldest_published_at == found["small"].oldest_published_at == 1000.5
        assert found["big"].oldest_message_id == "the-id"
    # Once for the big one, and each time for the small one.
    assert redis_client.info("commandstats")["cmdstat_lindex"]["calls"] == 1 + 5
    redis_client.delete("big")
    gone = queue(broker, "big")
    assert (gone.ready, gone.oldest_message_id) == (0, None)


def test_read__big_messages_are_looked_at_again(
    redis_client: redis.Redis,
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_reader, "BIG_MESSAGE_PAUSE_SECONDS", 0.1)
    redis_client.lpush("big", envelope("x" * 200_000))
    broker = reader(make_app(redis_url))
    assert queue(broker, "big").oldest_message_id == "the-id"
    redis_client.lset("big", 0, envelope("x" * 200_000, {"id": "next"}))
    assert eventually(lambda: queue(broker, "big").oldest_message_id == "next")
