"""Set aside: what no worker can read goes into the dead letters, byte for byte, and nothing else does."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health import dead_letters
from celery_health.conf import get_settings
from celery_health.dead_letters import aside
from celery_health.dead_letters.opening import open_box
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, ReadableError, UnsupportedError
from celery_health.text.printable import printable
from tests.dead_letters.conftest import Post
from tests.dead_letters.test_command import Ran


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """On Redis alone: RabbitMQ shows a message only by taking it."""
    return redis_url


def held(client: redis.Redis, queue: str = "celery") -> list[bytes]:
    return list(client.lrange(queue, 0, -1))


@pytest.mark.parametrize("raw", [b"hello", b"{}", b"\x00\xff\xfe", b"", b"[1]", "ü".encode() * 5000])
def test_set_aside__keeps_every_byte_and_leaves_the_rest(
    post: Post, redis_client: redis.Redis, raw: bytes
) -> None:
    first = post.publish()
    redis_client.rpush("celery", raw)
    redis_client.lpush("celery", raw)
    before = held(redis_client)

    done = dead_letters.set_aside("celery")

    assert [(one.position, one.size_bytes) for one in done.messages] == [(1, len(raw)), (3, len(raw))]
    assert held(redis_client) == before[1:-1]
    assert first.encode() in held(redis_client)[0]
    box = open_box(post.app, get_settings())
    bodies: list[bytes] = []
    box.walk("celery", lambda stored: bodies.append(stored.body), lambda: Deadline.after(5.0))
    box.close()
    assert bodies == [raw, raw]
    letter = dead_letters.entry("celery", str(done.messages[0].letter_id))
    assert (letter.cause, letter.size_bytes) == ("unreadable", len(raw))
    assert letter.message == f"No worker can read it: {done.messages[0].why}."
    assert dead_letters.sizes()["celery"] == 2


def test_set_aside__sends_nothing_of_it_again(post: Post, redis_client: redis.Redis) -> None:
    redis_client.rpush("celery", b"hello")
    dead_letters.set_aside("celery")

    done = dead_letters.requeue("celery", force=True)

    assert (done.requeued, done.unsendable, done.remaining) == (0, 1, 1)
    assert held(redis_client) == []
    assert dead_letters.purge("celery") == 1


def test_set_aside__a_dry_run_moves_nothing(post: Post, redis_client: redis.Redis) -> None:
    redis_client.rpush("celery", b"hello")

    done = dead_letters.set_aside("celery", dry_run=True)

    assert [one.letter_id for one in done.messages] == [None]
    assert held(redis_client) == [b"hello"]
    assert dead_letters.sizes()["celery"] == 0


def test_set_aside__refuses_what_workers_can_read(post: Post, redis_client: redis.Redis) -> None:
    post.publish()

    with pytest.raises(ReadableError, match=r"^Workers can read the first 1 message of queue 'celery'"):
        dead_letters.set_aside("celery")
    with pytest.raises(ReadableError, match=r"^Queue 'empty' holds no message: nothing is set aside\.$"):
        dead_letters.set_aside("empty")

    assert len(held(redis_client)) == 1
    assert held(redis_client, "celery.dead") == []


def test_set_aside__what_a_worker_took_meanwhile_is_gone(
    post: Post, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is taken in its place: the bytes are compared where they lie."""
    redis_client.rpush("celery", b"second", b"first")
    judge = aside.unreadable

    def taken_meanwhile(raw: bytes, *args: Any, **kwargs: Any) -> Any:
        redis_client.rpop("celery") if raw == b"first" else None
        return judge(raw, *args, **kwargs)

    monkeypatch.setattr(aside, "unreadable", taken_meanwhile)
    done = dead_letters.set_aside("celery")

    assert done.gone == 1
    assert [one.position for one in done.messages] == [2]  # it has moved up, and is found there
    assert held(redis_client) == []
    assert len(held(redis_client, "celery.dead")) == 1


def test_set_aside__of_each_priority(
    post: Post, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    post.publish(priority=9)
    redis_client.rpush("celery\x06\x163", b"odd")

    done = dead_letters.set_aside("celery")

    assert len(done.messages) == 1
    assert redis_client.llen("celery\x06\x169") == 1


def test_set_aside__says_how_many_it_did_not_look_at(post: Post, redis_client: redis.Redis) -> None:
    redis_client.rpush("celery", *[b"hello"] * 1021)

    ran = Ran("set-aside", "celery")

    assert ran.out.endswith(
        "20 of 1,021 messages were looked at.\n"
        "Look at the next: python manage.py celery_health dead-letters set-aside celery\n"
    )
    done = dead_letters.set_aside("celery", dry_run=True)
    assert (done.looked_at, done.not_looked_at, redis_client.llen("celery")) == (20, 981, 1001)


def test_set_aside__says_what_was_not_looked_at_behind_what_can_be_read(
    post: Post, redis_client: redis.Redis
) -> None:
    for _ in range(20):
        post.publish()
    redis_client.lpush("celery", b"hello", b"hello")

    with pytest.raises(ReadableError, match=r"none is set aside\. 2 behind them were not looked at\.$"):
        dead_letters.set_aside("celery")


@pytest.mark.parametrize("key", ["celery", "celery\x06\x169", "celery.dead"])
def test_set_aside__says_which_key_holds_no_list(post: Post, redis_client: redis.Redis, key: str) -> None:
    redis_client.hset(key, "x", "1")

    with pytest.raises(BrokerError) as raised:
        dead_letters.set_aside("celery")

    assert str(raised.value).startswith(
        f"The key '{printable(key)}' of this Redis holds a hash and no list: "
    )
    assert "RENAME" in str(raised.value)


def test_set_aside__takes_fifty_megabytes(post: Post, redis_client: redis.Redis) -> None:
    redis_client.rpush("celery", b"x" * 50_000_000)

    (moved,) = dead_letters.set_aside("celery").messages

    assert moved.size_bytes == 50_000_000
    assert (redis_client.llen("celery"), redis_client.llen("celery.dead")) == (0, 1)


def test_command__sets_aside_and_says_what(
    post: Post, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.rpush("celery", b"hello")

    assert Ran("set-aside", "celery", "--dry-run").out.startswith(
        "Would set aside 1 message of queue celery."
    )
    ran = Ran("set-aside", "celery", "--json")

    body = json.loads(ran.out)
    (letter,) = dead_letters.entries("celery").letters
    assert body == {
        "queue": "celery",
        "set_aside": 1,
        "messages": [
            {
                "position": 1,
                "size_bytes": 5,
                "why": "it is no JSON (Expecting value: line 1 column 1 (char 0))",
                "id": letter.id,
            }
        ],
        "looked_at": 1,
        "not_looked_at": 0,
        "gone": 0,
        "dry_run": False,
    }
    (record,) = [one for one in caplog.records if one.name == "celery_health.audit"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("Dead letters: set-aside of queue 'celery' by ")
    assert record.getMessage().endswith(": 1 (done).")

    again = Ran("set-aside", "celery")
    assert (again.status, again.out) == (1, "Queue 'celery' holds no message: nothing is set aside.\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("set-aside",), "set-aside needs a queue"),
        (("set-aside", "celery", "1"), "set-aside takes a queue and no ids"),
        (("set-aside", "celery", "--yes"), "--yes does not belong to set-aside"),
    ],
)
def test_command__refuses_what_it_does_not_take(post: Post, args: tuple[str, ...], says: str) -> None:
    ran = Ran(*args)

    assert ran.status == 2
    assert says in ran.error


def test_set_aside__is_not_for_rabbitmq(make_app: Callable[..., Celery]) -> None:
    box = open_box(make_app("amqp://localhost:1//"), get_settings())
    with pytest.raises(UnsupportedError, match=r"^Only on Redis can messages be set aside"):
        list(box.heads("celery", lambda: Deadline.after(1.0)))
