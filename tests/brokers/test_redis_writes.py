"""Whether a Redis takes messages, by its own word: nothing is written, and nothing else is a fault."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from celery_health.brokers import redis_writes
from celery_health.brokers.base import Broker
from celery_health.brokers.redis_writes import Question, RedisWrites
from celery_health.connections.refusals import by_silence
from celery_health.connections.urls import redis_cli_of
from celery_health.deadline import Deadline
from celery_health.records import Writes
from celery_health.text.commands import split_commands
from tests.brokers.conftest import PASSWORD, read
from tests.support import Proxy, RedisServer, Sentinel, eventually

Reader = Callable[..., Broker]
MakeApp = Callable[..., Celery]
OwnRedis = Callable[..., RedisServer]


def writes(broker: Broker) -> Writes:
    return read(broker, "q").writes


def fill(client: redis.Redis, **_: Any) -> None:
    client.set("big", "x" * 6_000_000)
    client.config_set("maxmemory", "3000000")


def fail_to_snapshot(client: redis.Redis, server: RedisServer) -> None:
    client.config_set("save", "3600 1")
    client.set("a", 1)
    # Redis cannot put its file in the place of a folder.
    (Path(client.config_get("dir")["dir"]) / "dump.rdb" / "in the way").mkdir(parents=True)
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def follow(client: redis.Redis, **_: Any) -> None:
    client.replicaof("127.0.0.1", 1)


def lack_replicas(client: redis.Redis, **_: Any) -> None:
    client.config_set("min-replicas-to-write", 1)


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (fill, "it is full ("),
        (follow, "it is a read-only replica of 127.0.0.1:1"),
        (lack_replicas, "fewer replicas follow it than min-replicas-to-write asks for (NOREPLICAS)"),
        (fail_to_snapshot, "its last snapshot could not be written to disk"),
    ],
)
def test_writes__refused(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader, breaks: Callable[..., None], says: str
) -> None:
    server = own_redis()
    app = make_app(server.url)
    broker = reader(app)
    assert writes(broker).accepted
    with redis.Redis(port=server.port) as client:
        breaks(client=client, server=server)
        assert writes(broker).accepted is False
        # What it says of itself is asked for with the next.
        found = writes(broker)
        assert (found.accepted, found.unknown) == (False, None)
        assert str(found.refusal).startswith(says)
        assert broker.ping(Deadline.after(5)).accepted is False
        with pytest.raises(redis.RedisError):
            client.lpush("q", "{}")

        # What is told to be pasted gives it back.
        if breaks is fail_to_snapshot:
            folder = Path(client.config_get("dir")["dir"]) / "dump.rdb"
            (folder / "in the way").rmdir()
            folder.rmdir()
        (command,) = [text for is_command, text in split_commands(str(found.fix)) if is_command]
        subprocess.run(shlex.split(command), check=True, timeout=10, stdout=subprocess.DEVNULL)
        if breaks is follow:
            client.replicaof("NO", "ONE")
        assert eventually(lambda: writes(broker).accepted)


def test_writes__near_misses_are_none(own_redis: OwnRedis, make_app: MakeApp, reader: Reader) -> None:
    server = own_redis()
    broker = reader(make_app(server.url))
    with redis.Redis(port=server.port) as client:
        # A snapshot that failed while nothing asks for snapshots stops no write.
        fail_to_snapshot(client, server)
        client.config_set("stop-writes-on-bgsave-error", "no")
        found = writes(broker)
        assert (found.accepted, found.near) == (True, ())
        # Full, and makes room for itself.
        client.config_set("maxmemory", 4_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
        for number in range(100):
            client.set(f"k{number}", "x" * 60_000)
        found = writes(broker)
        assert (found.accepted, found.near) == (True, ())
        # A replica that takes writes.
        client.config_set("maxmemory", 0)
        client.config_set("replica-read-only", "no")
        client.replicaof("127.0.0.1", 1)
        assert writes(broker).accepted


def test_writes__limits_that_are_near(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_writes, "INFO_EVERY_SECONDS", 0.0)
    server = own_redis()
    broker = reader(make_app(server.url))
    with redis.Redis(port=server.port) as client:
        # Not at once: what a connection has buffered counts, too.
        for number in range(200):
            client.set(f"big:{number}", "x" * 100_000)
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", 2 * used)
        assert writes(broker).near == ()
        client.config_set("maxmemory", int(1.05 * used))
        found = writes(broker)
        assert found.accepted
        ((name, unit),) = [(one.name, one.unit) for one in found.near]
        assert (name, unit) == ("maxmemory", "bytes")
        (command,) = [text for is_command, text in split_commands(found.near[0].fix) if is_command]
        subprocess.run(shlex.split(command), check=True, timeout=10, stdout=subprocess.DEVNULL)
        assert writes(broker).near == ()
        client.config_set("maxclients", 10)
        others = [redis.Redis(port=server.port) for _ in range(7)]
        for other in others:
            other.ping()
        ((near),) = writes(broker).near
        assert (near.name, near.limit) == ("maxclients", 10)
        assert near.used >= 9
        for other in others:
            other.close()


@pytest.mark.parametrize(
    ("rights", "accepted", "unknown", "limits_unknown"),
    [
        ("~* &* +@all -info", True, "", "Allow it: ACL SETUSER <user> +info"),
        ("~* &* +@all -lpushx", None, "Allow it: ACL SETUSER <user> +lpushx", ""),
        ("~q* &* +@all", None, "Allow it: ACL SETUSER <user> +lpushx", ""),
        ("~* &* +@all -@scripting", True, "", ""),
    ],
)
def test_writes__what_a_user_may_not_ask_is_no_fault(
    own_redis: OwnRedis,
    make_app: MakeApp,
    reader: Reader,
    rights: str,
    accepted: bool | None,
    unknown: str,
    limits_unknown: str,
) -> None:
    server = own_redis(acl=[f"shop on >{PASSWORD} {rights}"])
    broker = reader(make_app(server.url_for(user="shop", password=PASSWORD)))
    found = writes(broker)
    assert found.accepted is accepted
    assert found.refusal is None
    assert unknown in str(found.unknown or "")
    assert limits_unknown in str(found.limits_unknown or "")


def test_writes__no_key_is_left_and_info_is_asked_seldom(
    redis_client: redis.Redis, redis_url: str, make_app: MakeApp, reader: Reader
) -> None:
    app = make_app(redis_url)
    app.conf.broker_transport_options = {"global_keyprefix": "shop:"}
    broker = reader(app)
    assert writes(broker).accepted
    redis_client.config_resetstat()
    for _ in range(5):
        assert writes(broker).accepted
        assert broker.ping(Deadline.after(5)).accepted
    assert redis_client.keys() == []
    stats = redis_client.info("commandstats")
    assert stats["cmdstat_lpushx"]["calls"] == 10
    # Ours are the first that is counted here.
    assert stats.get("cmdstat_info", {"calls": 0})["calls"] == 0


@pytest.mark.slow
def test_writes__a_failover_is_no_fault(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_writes, "FAILOVER_SECONDS", 2.0)
    master = own_redis()
    with Sentinel(master) as sentinel:
        app = make_app(sentinel.url)
        app.conf.broker_transport_options = {"master_name": sentinel.master_name}
        broker = reader(app)
        assert writes(broker).accepted
        with redis.Redis(port=master.port) as client:
            # Its sentinel has not noticed yet.
            client.replicaof("127.0.0.1", 1)
            found = writes(broker)
            assert (found.accepted, found.may_be_failover) == (None, True)
            seen = time.monotonic()
            eventually(lambda: writes(broker).accepted is False, interval=0.2)
            assert time.monotonic() - seen > 1.5
            client.replicaof("NO", "ONE")
            assert eventually(lambda: writes(broker).accepted)


def test_writes__a_name_that_leads_to_another_master_now_is_no_fault(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader, proxy: Callable[[int], Proxy]
) -> None:
    before, after = own_redis(), own_redis()
    between = proxy(before.port)
    broker = reader(make_app(between.url(before.url)))
    assert writes(broker).accepted
    between.target = ("127.0.0.1", after.port)
    with redis.Redis(port=before.port) as client:
        client.replicaof("127.0.0.1", after.port)

    # Connections to the master of before stay open.
    assert writes(broker).accepted
    assert broker.ping(Deadline.after(5)).accepted


#: What servers answer, and what that says of messages.
ANSWERS: list[tuple[Any, bool | None]] = [
    (0, True),
    # A key that somebody made: the write got so far.
    (redis.ResponseError("WRONGTYPE Operation against a key"), True),
    (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), False),
    (redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'."), False),
    (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), False),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), False),
    (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), False),
    (redis.exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"), False),
    # Hosted servers have words of their own.
    (redis.ResponseError("ERR DB capacity quota exceeded"), False),
    # All of these say something of our command alone.
    (redis.exceptions.NoPermissionError("this user has no permissions to run the 'lpushx' command"), None),
    (redis.ResponseError("unknown command 'LPUSHX', with args beginning with: 'q'"), None),
    (redis.ResponseError("ERR unsupported command 'lpushx'"), None),
    (redis.exceptions.MovedError("3999 127.0.0.1:6381"), None),
    (redis.ResponseError("something new"), None),
]


@pytest.mark.parametrize(("reply", "accepted"), ANSWERS)
def test_told__by_each_answer(reply: Any, accepted: bool | None) -> None:
    found = RedisWrites().told(Question(False), [reply], redis_cli="redis-cli", by_sentinels=False)
    assert found.accepted is accepted
    assert (found.refusal is not None) == (accepted is False)
    assert (found.unknown is not None) == (accepted is None)


MEMORY = b"used_memory:95\r\nmaxmemory:100\r\nmaxmemory_policy:%s\r\n"
CLIENTS = b"connected_clients:%d\r\nmaxclients:100\r\n"


@pytest.mark.parametrize(
    ("told", "near"),
    [
        (MEMORY % b"noeviction", ["maxmemory"]),
        # It makes room for itself.
        (MEMORY % b"allkeys-lru", []),
        (MEMORY.replace(b"95", b"89") % b"noeviction", []),
        (b"used_memory:95\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n", []),
        (CLIENTS % 90, ["maxclients"]),
        (CLIENTS % 89, []),
        # Its replicas count, too, and it tells them apart.
        (CLIENTS % 88 + b"connected_slaves:2\r\n", ["maxclients"]),
        # An older server does not say how many it allows.
        (b"connected_clients:90\r\n", []),
        (b"used_memory:many\r\nmaxmemory\r\n", []),
        (redis.ResponseError("NOPERM"), []),
    ],
)
def test_told__which_limits_are_near(told: Any, near: list[str]) -> None:
    found = RedisWrites().told(Question(True), [b"", told, b"", 0], redis_cli="redis-cli", by_sentinels=False)
    assert [one.name for one in found.near] == near
    assert found.accepted


def test_told__nobody_new_is_let_in() -> None:
    told = [b"connected_slaves:1\r\n", b"", CLIENTS % 99, 0]
    found = RedisWrites().told(Question(True), told, redis_cli="redis-cli -p 7", by_sentinels=False)
    assert (found.accepted, found.near, found.serves_connected) == (False, (), True)
    assert (
        found.refusal
        == "it has as many connections as it allows (100 of 100, maxclients), and lets in nobody new"
    )
    assert "redis-cli -p 7 CONFIG SET maxclients 200" in str(found.fix)


def test_told__what_it_said_before_it_was_mended_is_asked_anew() -> None:
    writes = RedisWrites()

    def told(*replies: Any, asks: bool) -> Writes:
        return writes.told(Question(asks), replies, redis_cli="redis-cli", by_sentinels=False)

    full = redis.exceptions.OutOfMemoryError("command not allowed")
    assert told(b"", MEMORY.replace(b"95", b"285") % b"noeviction", b"", full, asks=True).accepted is False
    found = told(0, asks=False)
    assert (found.accepted, found.near) == (True, ())
    assert writes.question().asks_info


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("redis://db:6380/1", "redis-cli -h db -p 6380"),
        ("redis://:secret@db/1", "redis-cli --askpass -h db"),
        ("rediss://shop:secret@db:6380", "redis-cli --tls --user shop --askpass -h db -p 6380"),
        ("redis+socket:///run/redis.sock?virtual_host=1", "redis-cli -s /run/redis.sock"),
        # Which server is the master is for the sentinels to say.
        ("sentinel://a:26379;sentinel://b:26379", "redis-cli"),
        ("redis://", "redis-cli"),
    ],
)
def test_redis_cli__reaches_the_server_and_shows_no_secret(url: str, command: str) -> None:
    assert redis_cli_of(Connection(url)) == command
    text = f"Raise it: {command} CONFIG SET maxmemory 12. Then go on."
    assert split_commands(text)[1] == (True, f"{command} CONFIG SET maxmemory 12")


def test_redis_cli__works_where_there_is_a_password(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis(password=PASSWORD)
    broker = reader(make_app(server.url))
    with redis.Redis(port=server.port, password=PASSWORD) as client:
        fill(client)
        writes(broker)
        found = writes(broker)
        assert found.accepted is False
        (command,) = [text for is_command, text in split_commands(str(found.fix)) if is_command]
        assert PASSWORD not in command
        done = subprocess.run(
            shlex.split(command),
            input=f"{PASSWORD}\n",
            text=True,
            capture_output=True,
            timeout=10,
            check=True,
        )
        assert "OK" in done.stdout
        assert writes(broker).accepted


def test_writes__held_back_while_reads_are_answered(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis()
    broker = reader(make_app(server.url))
    with redis.Redis(port=server.port) as client:
        client.lpush("q", "{}")
        assert writes(broker).accepted
        client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        for _ in range(3):
            found = broker.read(["q"], Deadline.after(1))
            assert (found.reachable, found.writes.accepted) == (True, False)
            assert str(found.writes.refusal).startswith("it answers what reads, and keeps waiting")
        # Once that is known, what can be read is.
        assert found.queues["q"].ready == 1
        assert broker.ping(Deadline.after(1)).accepted is False
        # A process that looks once says the same.
        once = reader(make_app(server.url))
        assert once.read(["q"], Deadline.after(1)).writes.accepted is False

        (command,) = [text for is_command, text in split_commands(str(found.writes.fix)) if is_command]
        subprocess.run(shlex.split(command), check=True, timeout=10, stdout=subprocess.DEVNULL)
        assert writes(broker).accepted
        assert broker.ping(Deadline.after(1)).accepted
        assert read(broker, "q").queues["q"].oldest_message_id is None
        # Nothing at all is answered: it is away, for all that is known.
        client.execute_command("CLIENT", "PAUSE", "1500", "ALL")
        assert broker.read(["q"], Deadline.after(1)).reachable is False


@pytest.mark.parametrize(
    ("told", "why", "fix"),
    [
        ({}, "(CLIENT PAUSE)", "end it: redis-cli CLIENT UNPAUSE"),
        ({"paused_reason": "client_pause", "paused_timeout_milliseconds": "37000"}, "for another 37 s)", ""),
        ({"paused_reason": "failover_in_progress"}, "(FAILOVER)", "give it up: redis-cli FAILOVER ABORT"),
    ],
)
def test_by_silence__says_who_pauses(told: dict[str, str], why: str, fix: str) -> None:
    found = by_silence(told, "redis-cli")
    assert found.why.endswith(why)
    assert found.fix.endswith(fix)


@pytest.mark.parametrize("rights", [["-@write"], ["resetkeys", "%R~*"]])
def test_writes__a_user_that_may_send_no_more(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader, rights: list[str]
) -> None:
    server = own_redis(acl=[f"shop on >{PASSWORD} ~* &* +@all"])
    app = make_app(server.url_for(user="shop", password=PASSWORD))
    with redis.Redis(port=server.port) as client, app.connection_for_write() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue]
        queue(connection.default_channel).declare()
        before = sorted(client.keys())
        broker, once = reader(app), reader(app)
        assert writes(broker).accepted
        client.execute_command("ACL", "SETUSER", "shop", *rights)
        for found in (writes(broker), broker.ping(Deadline.after(5))):
            assert (found.accepted, found.denied) == (False, True)
            assert str(found.refusal).startswith("its user may not send any more (")
        # A process that begins now may be meant to read alone: it says so, and proves nothing.
        found = writes(once)
        assert (found.accepted, found.denied) == (None, True)
        assert "this process's user may not send" in str(found.unknown)
        # What it is for is told: nothing was written.
        assert sorted(client.keys()) == before
        command = str(found.fix or writes(broker).fix).rpartition(": ")[2].replace("<user>", "shop")
        client.execute_command(*shlex.split(command))
        assert writes(broker).accepted
        assert writes(once).accepted


def test_writes__who_may_send_and_not_ask_is_not_denied(
    own_redis: OwnRedis, make_app: MakeApp, reader: Reader
) -> None:
    server = own_redis(acl=[f"shop on >{PASSWORD} ~* &* +@all"])
    app = make_app(server.url_for(user="shop", password=PASSWORD))
    with redis.Redis(port=server.port) as client, app.connection_for_write() as connection:
        queue = app.amqp.queues[app.conf.task_default_queue]
        queue(connection.default_channel).declare()
        broker = reader(app)
        assert writes(broker).accepted
        client.execute_command("ACL", "SETUSER", "shop", "-lpushx")
        found = writes(broker)
        assert (found.accepted, found.denied) == (None, False)
        assert client.llen(queue.name) == 0
