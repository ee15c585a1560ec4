"""A store that answers and takes nothing says so itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.health.stores import StoreReachable
from celery_health.reading.recorded import RecordedWorkers
from celery_health.store import open_store
from celery_health.store.refusals import refusal
from celery_health.testing import make_snapshot
from tests.support import Proxy, RedisServer, eventually

FULL = b"used_memory:2000\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"role:master\r\n", b"used_memory:10\r\nmaxmemory:0\r\n"], None),
        (
            [b"role:slave\r\nmaster_host:db\r\nmaster_port:6379\r\nslave_read_only:1\r\n"],
            "replica of db:6379",
        ),
        # One that takes writes, which are lost at the next synchronisation, takes them all the same.
        ([b"role:slave\r\nslave_read_only:0\r\n"], None),
        ([b"", FULL], "it is full (2,000 of 1,000 bytes"),
        # It makes room for itself.
        ([b"", FULL.replace(b"noeviction", b"allkeys-lru")], None),
        # The user may not ask.
        ([redis.ResponseError("NOPERM"), redis.ResponseError("NOPERM")], None),
        ([b"used_memory:many\r\nmaxmemory:\r\nno line", 5, None], None),
    ],
)
def test_refusal__as_the_server_says(answers: list[object], said: str | None) -> None:
    found = refusal(answers)
    assert found is None if said is None else found is not None and said in found


def test_store__that_refuses_writes_is_a_warning(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery]
) -> None:
    server, master = own_redis(), own_redis()
    app, settings = make_app(server.url), Settings(app_id="shop")

    def verdict() -> list[tuple[str, str]]:
        recorded = RecordedWorkers(app, settings)
        try:
            store = recorded.read(Deadline.after(5)).store
        finally:
            recorded.close()
        checks: Any = StoreReachable().judge(make_snapshot(store=store), settings)
        return [(check.status.value, check.message) for check in checks]

    assert [status for status, _ in verdict()] == ["pass"]
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")
        ((status, message),) = verdict()
        assert status == "warn"
        assert "takes no reports: it is full" in message
        assert "Raise maxmemory" in message
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", master.port)
        ((status, message),) = eventually(lambda: (now := verdict())[0][0] == "warn" and now)
        assert f"read-only replica of 127.0.0.1:{master.port}" in message
        assert "Set STORE_URL to the master" in message


def test_store__whose_name_leads_to_another_master_is_asked_there(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_app: Callable[..., Celery],
) -> None:
    before, after = own_redis(), own_redis()
    between = proxy(before.port)
    store = open_store(make_app(between.url(before.url)), Settings(app_id="shop"))
    assert store is not None
    with closing(store):
        assert store.refuses_writes(Deadline.after(5)) is None
        between.target = ("127.0.0.1", after.port)
        with redis.Redis(port=before.port) as client:
            client.replicaof("127.0.0.1", after.port)

        # Connections to the master of before stay open.
        assert store.refuses_writes(Deadline.after(5)) is None
