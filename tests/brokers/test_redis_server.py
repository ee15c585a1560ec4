"""Redis: what its users may not, and what state a server can be in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from tests.brokers.conftest import PASSWORD, queue, read
from tests.brokers.messages import envelope
from tests.support import Proxy, RedisServer, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
Restricted = Callable[[str], tuple[Celery, RedisServer]]
Tls = tuple[RedisServer, int]


def kombus_count(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel._size(name))


@pytest.fixture
def restricted(own_redis: Callable[..., RedisServer], make_app: MakeApp) -> Restricted:
    """Make an app whose user has these rights and no others, with one task in each of two queues."""

    def make(rights: str) -> tuple[Celery, RedisServer]:
        server = own_redis(acl=[f"shop on >{PASSWORD} {rights}"])
        admin = make_app(server.url)
        for name in ("mine", "theirs"):
            admin.send_task("some.task", queue=name)
        return make_app(server.url_for(user="shop", password=PASSWORD)), server

    return make


def test_read__acl_user_with_all_rights(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all")
    assert queue(reader(app), "mine").ready == 1


def test_read__acl_denies_scripts(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all -@scripting")
    reading = read(reader(app), "mine", "empty")
    assert {name: found.ready for name, found in reading.queues.items()} == {"mine": 1, "empty": 0}
    assert reading.server_time == pytest.approx(time.time(), abs=60)
    # No number is better than one that cost a whole message.
    assert reading.queues["mine"].oldest_message_id is None
    assert reading.queues["mine"].unacked is None


@pytest.mark.parametrize("rights", ["~mine* ~unacked &* +@all", "~mine* ~unacked &* +@all -@scripting"])
def test_read__acl_denies_one_queue(rights: str, restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted(rights)
    found = read(reader(app), "mine", "theirs").queues
    assert found["mine"].ready == 1
    assert found["theirs"].ready is None
    # Redis 7 says so in other words inside scripts.
    assert re.search("permission|can't access", str(found["theirs"].error))


def test_read__acl_denies_the_clock_and_unacked(restricted: Restricted, reader: Reader) -> None:
    app, _ = restricted("~* &* +@all -time -hlen")
    reading = read(reader(app), "mine")
    assert reading.server_time is None
    assert reading.queues["mine"].ready == 1
    assert reading.queues["mine"].unacked is None


def test_read__acl_denies_to_look_who_was_taken_long_ago(restricted: Restricted, reader: Reader) -> None:
    app, server = restricted("~* &* +@all -zcount")
    with redis.Redis(port=server.port) as client:
        client.hset("unacked", "tag", '[{}, "", "mine"]')
        client.zadd("unacked_index", {"tag": time.time() - 200})
    found = read(reader(app), "mine")
    assert (found.long_unacked, found.queues["mine"].unacked) == (None, 1)


def test_read__scripts_are_renamed_away(
    own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis(args=["--rename-command", "EVALSHA", "", "--rename-command", "EVAL", ""])
    app = make_app(server.url)
    app.send_task("some.task", queue="q")
    assert queue(reader(app), "q").ready == 1


def test_read__wrong_type_spoils_one_queue_only(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    redis_client.set("text", "not a list")
    redis_client.set("later\x06\x166", "its third step is no list")
    app = make_app(redis_url)
    app.send_task("some.task", queue="good")
    found = read(reader(app), "text", "later", "good").queues
    assert found["good"].ready == 1
    for name in ("text", "later"):
        assert found[name].ready is None
        assert "WRONGTYPE" in str(found[name].error)


def test_read__goes_on_when_memory_is_full(
    own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis()
    app = make_app(server.url)
    app.send_task("some.task", queue="q")
    with redis.Redis(port=server.port) as client:
        client.config_set("maxmemory", "100kb")
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            client.set("k", "v")
    assert queue(reader(app), "q").ready == 1


def test_read__goes_on_when_scripts_were_flushed(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(redis_url)
    app.send_task("some.task", queue="q")
    broker = reader(app)
    assert queue(broker, "q").ready == 1
    redis_client.script_flush()
    assert queue(broker, "q").ready == 1


def test_read__of_a_replica(own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader) -> None:
    master = own_redis()
    replica = own_redis(args=["--replicaof", "127.0.0.1", str(master.port)])
    make_app(master.url).send_task("some.task", queue="q")
    broker = reader(make_app(replica.url))
    assert eventually(lambda: broker.read(["q"], Deadline.after(2)).queues["q"].ready == 1)


def test_read__is_one_command_however_many_queues(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(redis_url)
    for number in range(3):
        app.send_task("some.task", queue=f"q{number}")
    broker = reader(app)
    queue(broker, "q0")
    redis_client.config_resetstat()
    read(broker, *(f"q{number}" for number in range(500)))
    # Called by the script.
    outside = {"cmdstat_exists", "cmdstat_llen", "cmdstat_lindex", "cmdstat_hlen", "cmdstat_time"}
    stats = redis_client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert stats["cmdstat_exists"]["calls"] == 500
    assert stats["cmdstat_llen"]["calls"] == 3 * 4
    assert stats["cmdstat_lindex"]["calls"] == 3
    assert stats["cmdstat_lpushx"]["calls"] == 1
    own = {"cmdstat_evalsha", "cmdstat_lpushx"}
    assert set(stats) - outside <= own | {"cmdstat_info", "cmdstat_config|resetstat"}


class Held:
    """What each call of a script did, from what the server counts between two looks."""

    def __init__(self, client: redis.Redis, broker: Any) -> None:
        self._client = client
        self.calls: list[dict[str, int]] = []
        link = broker._link
        run = link.run

        def counting(*args: Any, **kwargs: Any) -> Any:
            client.config_resetstat()
            reply = run(*args, **kwargs)
            stats = client.info("commandstats")
            self.calls.append({name: stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in COUNTED})
            return reply

        link.run = counting


COUNTED = ("evalsha", "exists", "llen", "lindex", "hget", "hstrlen")


@pytest.mark.parametrize("filled", [0, 1_000])
def test_read__no_call_looks_at_more_than_is_read_in_a_few_milliseconds(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader, filled: int
) -> None:
    names = [f"q{number}" for number in range(10_000)]
    with redis_client.pipeline(transaction=False) as pipeline:
        for name in names[:filled]:
            for step in ("", "\x06\x163", "\x06\x166", "\x06\x169"):
                pipeline.lpush(name + step, envelope())
        pipeline.execute()
    broker = reader(make_app(redis_url), 60.0)
    queue(broker, "q0")  # the script is known now
    held = Held(redis_client, broker)
    found = broker.read(names, Deadline.after(60)).queues

    assert [found[name].ready for name in names] == [4] * filled + [0] * (10_000 - filled)
    assert all(found[name].oldest_message_id == "the-id" for name in names[:filled])
    assert len(held.calls) <= 6 + filled / 100
    for call in held.calls:
        # 40,000 lengths in one call hold the server for 30 ms, 4,000 messages for 40.
        assert call["evalsha"] == 1
        assert call["exists"] <= 1_800
        assert call["llen"] + 5 * call["lindex"] <= 3_600


def test_read__what_could_not_be_read_in_time_is_unknown(
    redis_client: redis.Redis,
    redis_url: str,
    make_app: MakeApp,
    reader: Reader,
    proxy: Callable[[int], Proxy],
) -> None:
    between = proxy(int(redis_client.connection_pool.connection_kwargs["port"]))
    broker = reader(make_app(between.url(redis_url)))
    queue(broker, "q0")
    between.delay(0.15)
    found = broker.read([f"q{number}" for number in range(20_000)], Deadline.after(0.8))

    assert (found.reachable, found.error) == (True, None)
    readable = [name for name, one in found.queues.items() if one.error is None]
    assert 1_800 <= len(readable) < 20_000
    assert found.queues["q19999"].error == "Not read within 0.8 s."
    assert found.queues["q19999"].ready is None


def test_read__without_the_right_to_ask_whether_keys_exist(
    own_redis: Callable[..., RedisServer], make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis()
    make_app(server.url).send_task("some.task", queue="q")
    with redis.Redis(port=server.port) as client:
        client.acl_setuser(
            "monitor", enabled=True, passwords=["+word"], keys=["*"], commands=["+@all", "-exists"]
        )
    broker = reader(make_app(server.url_for(user="monitor", password="word")))
    found = read(broker, "q", "empty").queues

    assert (found["q"].ready, found["empty"].ready) == (1, 0)


def test_read__leaves_no_key(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    broker = reader(make_app(redis_url))
    read(broker, "q", "other")
    broker.roster(Deadline.after(5))
    broker.ping(Deadline.after(5))
    broker.close()
    assert redis_client.keys() == []


def test_read__tells_the_servers_clock(redis_url: str, make_app: MakeApp, reader: Reader) -> None:
    assert read(reader(make_app(redis_url))).server_time == pytest.approx(time.time(), abs=5)
