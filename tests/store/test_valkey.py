"""The same promises on a Valkey, where one is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from celery_health.store import Store
from tests.store.conftest import Writer, read
from tests.support import RedisServer

VALKEY = shutil.which("valkey-server")

pytestmark = pytest.mark.skipif(VALKEY is None, reason="valkey-server is not installed.")


def test_valkey__publishes_reads_and_notices_a_rollback(
    open_store_at: Callable[..., Store], own_redis: Callable[..., RedisServer]
) -> None:
    server = own_redis(executable=VALKEY)
    store = open_store_at(server.url)
    writer = Writer(store, kind="worker", name="w@h", record={"v": 1}, registered=("f", ("task",)))
    writer.publish({"sent\x1fpay\x1fcelery": 2}, ring={"pay\x1fsent": 2}, consumed=("celery",))
    duplicate = writer.prepare({"sent\x1fpay\x1fcelery": 3})
    writer.send()
    store.publish(duplicate)
    found = read(store, ring_minutes=2)
    assert found.totals == {"sent\x1fpay\x1fcelery": 5}
    assert [row.record for row in found.workers] == [{"v": 1}]
    assert set(found.consumed) == {"celery"} and found.registered == {"f": ("task",)}
    assert sum(sum(minute.values()) for minute in found.ring.values()) == 2
    server.kill()
    server.start()
    assert writer.publish({"sent\x1fpay\x1fcelery": 1}).reset
    assert read(store).totals == {"sent\x1fpay\x1fcelery": 1}
