"""The broker answers, and takes messages or does not: rows for the table of situations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from redis import Redis

from tests.situations.system import System
from tests.situations.table import patience, situation, stay
from tests.support import eventually

SECRET = "word"


def admin(system: System) -> Redis:
    client = Redis.from_url(system.redis.url)
    system.stack.callback(client.close)
    return client


def start(system: System) -> Redis:
    """Start a worker, and return a client of the broker's server."""
    system.worker()
    system.healthy()
    return admin(system)


@situation("unhealthy", "broker.writable", "fail")
def broker_full(system: System) -> Iterator[None]:
    """Seen at once, while every worker still has a fresh record."""
    client = start(system)
    client.set("big", "x" * 6_000_000)
    client.config_set("maxmemory", 3_000_000)
    yield
    # As it is told to people, without the address that the server has here alone.
    [told] = [check for check in system.report().checks if check.id == "broker.writable"]
    *_, name, value = str(told.recommendation).split()
    assert name == "maxmemory"
    client.config_set(name, value)
    yield


@situation("unhealthy", "broker.writable", "fail")
def broker_has_become_a_replica(system: System) -> Iterator[None]:
    client = start(system)
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")
    yield


@situation("unhealthy", "broker.writable", "fail")
def broker_keeps_writes_waiting(system: System) -> Iterator[None]:
    client = start(system)
    client.execute_command("CLIENT", "PAUSE", 600_000, "WRITE")
    yield
    client.execute_command("CLIENT", "UNPAUSE")
    yield


@situation("unhealthy", "broker.writable", "fail", marks=("slow",))
def brokers_user_may_send_no_more(system: System) -> Iterator[None]:
    start(system).acl_setuser(
        "admin", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], channels=["*"], commands=["+@all"]
    )
    system.healthy()
    with Redis.from_url(system.redis.url_for(user="admin", password=SECRET)) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-@write")
        yield
        admin.execute_command("ACL", "SETUSER", "default", "+@all")
    # It was ended by it.
    system.worker(name="w1")
    yield


@situation("unhealthy", "broker.writable", "fail", marks=("slow",))
def broker_cannot_write_its_snapshot(system: System) -> Iterator[None]:
    client = start(system)
    folder = Path(client.config_get("dir")["dir"]) / "dump.rdb"
    client.config_set("save", "3600 1")
    (folder / "in the way").mkdir(parents=True)
    client.bgsave()
    eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    (folder / "in the way").rmdir()
    folder.rmdir()
    client.bgsave()
    yield


@situation("unhealthy", "broker.writable", "fail", marks=("slow",))
def broker_has_too_few_replicas(system: System) -> Iterator[None]:
    client = start(system)
    client.config_set("min-replicas-to-write", 1)
    yield
    client.config_set("min-replicas-to-write", 0)
    yield


@situation("degraded", "broker.writable", "warn", subject="maxmemory", marks=("slow",))
def broker_almost_full(system: System) -> Iterator[None]:
    client = start(system)
    # Not at once: what a connection has buffered counts, too.
    for number in range(200):
        client.set(f"big:{number}", "x" * 100_000)
    client.config_set("maxmemory", int(1.06 * client.info("memory")["used_memory"]))
    yield
    client.delete(*(f"big:{number}" for number in range(200)))
    yield


# What looks like it, and is none ------------------------------------------------------------------------


@situation("healthy", marks=("slow",))
def broker_half_full(system: System) -> Iterator[None]:
    client = start(system)
    client.config_set("maxmemory", 2 * client.info("memory")["used_memory"])
    system.send("add", count=5)
    yield from stay(system, patience(system))


@situation("healthy", marks=("soak",))
def broker_full_and_making_room(system: System) -> Iterator[None]:
    client = start(system)
    for number in range(2000):
        client.set(f"cache:{number}", "x" * 10_000)
    # What was used longest ago goes first: the cache that nobody reads.
    client.config_set("maxmemory-samples", 64)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"])
    yield from stay(system, patience(system))


@situation("healthy", marks=("slow",))
def readers_user_may_not_ask(system: System) -> Iterator[None]:
    client = start(system)
    client.acl_setuser(
        "monitor", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], channels=["*"],
        commands=["+@all", "-info", "-lpushx"],
    )  # fmt: skip
    system.reader_url = system.redis.url_for(user="monitor", password=SECRET)
    system._reader = None
    yield from stay(system, patience(system))
