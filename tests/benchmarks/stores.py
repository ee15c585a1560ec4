"""A real Redis with a store on it, for benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.store import Store, open_store
from tests.support import RedisServer


@contextmanager
def store_and_client() -> Iterator[tuple[Store, Any]]:
    """Give an empty store, and a plain client of the same Redis."""
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        app = Celery("benchmarks", broker=server.url, set_as_current=False)
        store = open_store(app, Settings(app_id="benchmarks"))
        assert store is not None
        try:
            yield store, client
        finally:
            store.close()
            app.close()
