"""What is seen of a real Redis: each part of the look, and that looking changes nothing."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Exchange, Queue

from celery_health.connections.redis import RedisLink
from celery_health.connections.redis_keys import BoundQueue, RedisKeys
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.live import LiveEvidence, ReplyQueues, UnackedMessages
from celery_health.doctor.look.redis import look_at_backend, look_at_broker
from celery_health.doctor.look.redis_parts import Look
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.testing import make_queue, make_snapshot, make_worker
from celery_health.text.commands import split_commands
from tests.doctor.shop import Shop
from tests.support import RedisServer, eventually

PRIORITIES = {"sep": ":", "priority_steps": [0, 4, 8], "global_keyprefix": "shop-"}


@pytest.fixture(params=[{}, PRIORITIES], ids=["plain", "prefixed"])
def app(request: pytest.FixtureRequest, redis_url: str, make_app: Callable[..., Celery]) -> Celery:
    """An app on an empty Redis; also with keys, steps and separators of its own."""
    return make_app(redis_url, broker_transport_options=request.param)


@pytest.fixture
def look(app: Celery) -> Iterator[Look]:
    """A look at its broker."""
    with closing(RedisLink(app.connection_for_read())) as link:
        yield Look(link, RedisKeys(app.connection_for_read()), Deadline.after(10))


def dump(client: redis.Redis) -> dict[Any, Any]:
    return {key: client.dump(key) for key in sorted(client.keys("*"))}


def test_waiting__names_of_all_priorities(app: Celery, look: Look, redis_client: redis.Redis) -> None:
    for priority in (0, 4, 9):
        app.send_task("shop.mail", priority=priority)
    app.send_task("shop.gone", ['"task": "evil"'], queue="other")
    before = dump(redis_client)

    found = look.waiting({"celery": 3, "other": 1, "empty": 0, "unknown": None})

    assert {name: dict(one.names) for name, one in found.items()} == {
        "celery": {"shop.mail": 3},
        "other": {"shop.gone": 1},
    }
    assert found["celery"].looked_at == 3
    assert dump(redis_client) == before


def test_waiting__names_what_no_worker_can_read_and_goes_on(
    app: Celery, look: Look, redis_client: redis.Redis
) -> None:
    app.send_task("shop.mail")
    first, second, *_ = look.keys.lists("celery")
    app.send_task("shop.mail", priority=4)
    redis_client.rpush(first, b"hello")
    redis_client.lpush(second, b'{"properties": {}}')
    redis_client.lpush(second, b"x" * 200_000)  # too large to be looked at whole; nothing behind it is
    before = dump(redis_client)

    found = look.waiting({"celery": 5}, {"shop.mail"}.__contains__)["celery"]

    assert [(one.position, one.size_bytes, one.found.why) for one in found.unreadable] == [
        (1, 5, "it is no JSON (Expecting value: line 1 column 1 (char 0))"),
        (4, 18, "its properties have no delivery_tag"),
        (5, 200_000, "it begins as no JSON object does"),
    ]
    assert dict(found.names) == {"shop.mail": 2}
    assert dump(redis_client) == before


def test_waiting__looks_at_a_bounded_number(app: Celery, look: Look) -> None:
    for _ in range(25):
        app.send_task("shop.mail")

    assert look.waiting({"celery": 25})["celery"].looked_at == 20


@pytest.mark.parametrize("junk", ["", "no json", "{}", '{"headers": {"task": 3}}', "\x00\xff" * 100])
def test_waiting__what_is_no_task_message_has_no_name(
    look: Look, redis_client: redis.Redis, junk: str
) -> None:
    redis_client.lpush(look.keys.lists("celery")[0], junk)

    found = look.waiting({"celery": 1})["celery"]

    assert (found.looked_at, dict(found.names), found.ahead_seconds) == (1, {}, None)


def test_waiting__a_big_message_ends_the_look(app: Celery, look: Look) -> None:
    app.send_task("shop.big", ["x" * 200_000])
    app.send_task("shop.mail")

    found = look.waiting({"celery": 2})["celery"]

    assert (found.looked_at, dict(found.names)) == (1, {"shop.big": 1})


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_waiting__clock_of_the_producer(
    app: Celery, look: Look, redis_client: redis.Redis, ahead: float
) -> None:
    app.send_task("shop.mail")
    (key,) = [key for key in look.keys.lists("celery") if redis_client.exists(key)]
    message = json.loads(redis_client.lindex(key, 0))
    message["headers"][PUBLISHED_AT_HEADER] = time.time() + ahead
    redis_client.lset(key, 0, json.dumps(message))

    found = look.waiting({"celery": 1})["celery"].ahead_seconds

    assert found is not None
    assert ahead - 10 <= found <= ahead


def test_unacked__orphans_are_those_without_a_time(look: Look, redis_client: redis.Redis) -> None:
    assert look.unacked() == UnackedMessages(total=0)
    redis_client.hset(look.keys.unacked, mapping={"a": "1", "b": "2", "c": "3"})
    redis_client.zadd(look.keys.unacked_index, {"a": time.time() - 100})

    found = look.unacked()

    assert (found.total, found.orphaned) == (3, 2)
    assert found.oldest_seconds is not None
    assert 99 <= found.oldest_seconds <= 130


def test_reply_queues__count_those_without_an_end(app: Celery, look: Look, redis_client: redis.Redis) -> None:
    key = look.keys.bindings("reply.celery.pidbox")
    for number in range(4):
        name = f"{number}.reply.celery.pidbox"
        redis_client.sadd(key, look.keys.separator.join([str(number), "", name]))
        redis_client.rpush(look.keys.prefix + name, "reply", "reply")
    redis_client.expire(f"{look.keys.prefix}3.reply.celery.pidbox", 60)

    assert look.reply_queues("reply.celery.pidbox") == ReplyQueues(lists=3, messages=6, bindings=4)


def test_unknown_queues__hold_messages_and_are_bound(
    app: Celery, look: Look, redis_client: redis.Redis
) -> None:
    for queue in ("legacy", "legacy", "celery", "crm"):
        app.send_task("shop.mail", queue=queue, priority=9)
    redis_client.lpush(f"{look.keys.prefix}somebody-elses-list", "x")
    before = dump(redis_client)

    assert look.unknown_queues({"celery"}, ()) == {"legacy": 2, "crm": 1}
    assert dump(redis_client) == before


def test_bindings__are_those_of_the_broker(app: Celery, look: Look) -> None:
    with app.connection_for_write() as connection:
        media = Exchange("media", type="topic")
        Queue("video", media, routing_key="video.*", channel=connection.default_channel).declare()

    assert look.bindings(["media", "nothing"]) == {
        "media": (BoundQueue("video.*", "video", is_pattern=True),),
        "nothing": (),
    }


def test_server__policy_and_memory(look: Look, redis_client: redis.Redis) -> None:
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    redis_client.config_set("maxmemory", "104857600")
    try:
        server = look.server("broker", "redis://b/0")
    finally:
        redis_client.config_set("maxmemory", "0")
        redis_client.config_set("maxmemory-policy", "noeviction")

    assert (server.policy, server.maxmemory_bytes, server.evicted_keys) == ("allkeys-lru", 104857600, 0)


# Together ------------------------------------------------------------------------------------------------


def seen(app: Celery, notes: list[str], workers: bool = True, **queues: int) -> LiveEvidence:
    """Return what a look at the broker adds to a snapshot."""
    snapshot = make_snapshot(
        workers=[make_worker("w1@host")] if workers else [],
        queues=[make_queue(name, ready=ready) for name, ready in queues.items()],
    )
    live = LiveEvidence(snapshot=snapshot)
    evidence = Evidence(app_name="shop", live=live)
    return look_at_broker(app, evidence, live, Deadline.after(10), notes)


def test_look__all_parts_within_one_connection(app: Celery) -> None:
    notes: list[str] = []
    app.send_task("shop.mail")

    live = seen(app, notes, celery=1)

    assert notes == []
    assert dict(live.waiting["celery"].names) == {"shop.mail": 1}
    assert live.unacked == UnackedMessages(total=0)
    assert live.reply_queues == ReplyQueues(lists=0, messages=0, bindings=0)
    assert live.control_names == frozenset()
    assert [server.role for server in live.servers] == ["broker"]


def test_look__a_broker_that_is_gone_is_a_note(make_app: Callable[..., Celery]) -> None:
    notes: list[str] = []

    live = seen(make_app("redis://:secret@127.0.0.1:1/0"), notes)

    assert live.unacked is None
    (note,) = notes
    assert note.startswith("the broker at redis://")
    assert "secret" not in note


def test_look__a_hung_broker_costs_no_more_than_its_share(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery]
) -> None:
    server = own_redis()
    server.pause()
    notes: list[str] = []
    started = time.monotonic()

    try:
        seen(make_app(server.url), notes)
    finally:
        server.resume()

    assert time.monotonic() - started < 4
    assert len(notes) == 1


def test_look__what_an_acl_refuses_is_a_note_of_its_own(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery]
) -> None:
    server = own_redis()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "shop", "on", ">pw", "~*", "&*", "+@all", "-info", "-eval")
    notes: list[str] = []

    live = seen(make_app(server.url.replace("redis://", "redis://shop:pw@")), notes, celery=1)

    assert [note.split(":")[0] for note in notes] == [
        "the memory of the broker",
        "waiting messages of the broker",
    ]
    assert live.unacked == UnackedMessages(total=0)
    assert all("pw" not in note for note in notes)


def test_look__workers_in_another_database(redis_url: str, make_app: Callable[..., Celery]) -> None:
    other = redis_url.rsplit("/", 1)[0] + "/3"
    with make_app(other).connection_for_write() as connection:
        connection.default_channel._queue_bind("celery.pidbox", "", "", "w1@host.celery.pidbox")
    notes: list[str] = []

    assert dict(seen(make_app(redis_url), notes, workers=False).elsewhere) == {3: ("w1@host",)}
    # While one lives here, nobody looks there.
    assert dict(seen(make_app(redis_url), notes).elsewhere) == {}
    assert notes == []


@pytest.mark.parametrize(("database", "is_shared"), [("0", True), ("1", False)])
def test_look__the_redis_of_the_results(
    redis_url: str, make_app: Callable[..., Celery], database: str, is_shared: bool
) -> None:
    app = make_app(redis_url, result_backend=redis_url.rsplit("/", 1)[0] + f"/{database}")
    notes: list[str] = []
    live = seen(app, notes)

    servers = look_at_backend(app, live, Deadline.after(10), notes).servers

    assert notes == []
    assert [(server.role, server.is_shared) for server in servers] == [
        ("broker", is_shared),
        ("result backend", is_shared),
    ]
    assert servers[1].policy == "noeviction"


def test_look__no_redis_keeps_the_results(redis_url: str, make_app: Callable[..., Celery]) -> None:
    live = LiveEvidence(snapshot=make_snapshot())

    for backend in (None, "rpc://", "django-db", "cache+memory://"):
        app = make_app(redis_url, result_backend=backend)
        assert look_at_backend(app, live, Deadline.after(5), []) is live


# Dead letters --------------------------------------------------------------------------------------------


def test_unreadable__is_found_and_gone_by_the_command_that_is_printed(
    make_shop: Callable[[str], Shop], redis_url: str, redis_client: redis.Redis
) -> None:
    """What follows it runs: a worker would have ended by the one, and taken the other for ever."""
    shop = make_shop(redis_url)
    shop.change("CELERY_BEAT_SCHEDULE = {}")
    shop.run("from orders.tasks import refresh_prices as it; it.delay(supplier='northwind')")
    (key,) = redis_client.scan_iter("celery*", _type="list")  # of its priority
    (good,) = redis_client.lrange(key, 0, -1)
    endless = json.loads(good)
    del endless["headers"]["id"]
    redis_client.rpush(key, json.dumps(endless), b"hello")

    answer = shop.doctor()

    finding = answer.finding("E132")
    assert finding["message"] == (
        "Message 1 from the head of queue 'celery' (5 bytes) cannot be read by any worker: it is no JSON "
        "(Expecting value: line 1 column 1 (char 0)). The worker that takes it ends, and the message is "
        "gone. 1 other of those looked at cannot be read either."
    )
    (command,) = [text for is_command, text in split_commands(finding["fix"]) if is_command]
    done = shop.manage(*shlex.split(command)[2:])
    assert done.returncode == 0, done.stderr
    assert "Set aside 2 messages of queue celery." in done.stdout

    assert "E132:queue:celery" not in shop.doctor().found
    assert redis_client.lrange(key, 0, -1) == [good]
    worker = shop.worker(queues=["celery"])
    eventually(lambda: redis_client.llen(key) == 0 and redis_client.hlen("unacked") == 0, 20.0)
    assert worker.running
    assert redis_client.llen("celery.dead") == 2


def test_no_list__is_found_and_gone_when_the_key_has_another_name(
    make_shop: Callable[[str], Shop], redis_url: str, redis_client: redis.Redis
) -> None:
    shop = make_shop(redis_url)
    redis_client.set("celery", "a cache entry")

    assert "E133:queue:celery" in shop.doctor().found
    redis_client.rename("celery", "entry")
    assert "E133:queue:celery" not in shop.doctor().found


@pytest.mark.slow
def test_letters__the_oldest_is_looked_at_where_it_is(
    make_shop: Callable[[str], Shop], redis_url: str
) -> None:
    shop = make_shop(redis_url)
    shop.change(
        """
        CELERY_BEAT_SCHEDULE = {}
        CELERY_HEALTH |= {"DEAD_LETTERS": {"enabled": True, "max_length": 2}}
        """
    )
    shop.worker(queues=["celery", "emails", "reports"])
    shop.doctor_finds([])
    # Every seventh order has an address that does not exist.
    shop.run("from orders.tasks import send_confirmation as it; [it.delay(7 * n) for n in range(3)]")

    answer = shop.doctor_finds(["E125:queue:emails"])

    assert answer.body["notes"] == []
    assert answer.finding("E125")["evidence"] == {"letters": 2, "max_length": 2}
    shop.run(
        """
        from celery_health.conf import get_settings
        from celery_health.deadline import Deadline
        from celery_health.doctor.look.letters import oldest_letters
        from celery_health.reading import get_snapshot
        from shop.celery import app

        notes = []
        found = oldest_letters(app, get_settings(), get_snapshot(), Deadline.after(5), notes)
        assert (list(found), notes) == (["emails"], []), (found, notes)
        assert 0 <= found["emails"] < 120, found
        """
    )
    shop.doctor_finds(["E125:queue:emails"])
