"""Stores on real Redis servers, and writers that behave as the agent must."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.store import Acknowledgement, Publication, Store, StoreReading
from celery_health.store.opening import open_store


class Writer:
    """Publishes like an agent: one batch in flight, sent unchanged until it is acknowledged."""

    def __init__(self, store: Store, **fixed: Any) -> None:
        self.store = store
        self.fixed = fixed
        self.writer = uuid.uuid4().hex
        self.sequence = 0
        self.last: Acknowledgement | None = None
        self.in_flight: Publication | None = None

    def prepare(self, fields: Mapping[str, int] | None = None, **more: Any) -> Publication:
        assert self.in_flight is None
        self.sequence += 1
        last = self.last
        self.in_flight = Publication(
            writer=self.writer,
            sequence=self.sequence,
            acknowledged=last.sequence if last else 0,
            acknowledged_at=last.server_time if last else 0.0,
            epoch=last.epoch if last else 0,
            fields=fields or {},
            **{**self.fixed, **more},
        )
        return self.in_flight

    def send(self) -> Acknowledgement:
        assert self.in_flight is not None
        self.last = self.store.publish(self.in_flight)
        self.in_flight = None
        return self.last

    def publish(self, fields: Mapping[str, int] | None = None, **more: Any) -> Acknowledgement:
        self.prepare(fields, **more)
        return self.send()

    def publish_whatever_it_takes(self, fields: Mapping[str, int], attempts: int = 50) -> Acknowledgement:
        self.prepare(fields)
        for _ in range(attempts):
            try:
                return self.send()
            except StoreError:
                continue
        raise AssertionError(f"Not acknowledged in {attempts} attempts")


def read(store: Store, **options: Any) -> StoreReading:
    return store.read(Deadline.after(5), totals=options.pop("totals", True), **options)


@pytest.fixture
def open_store_at(make_app: Callable[..., Celery]) -> Iterator[Callable[..., Store]]:
    """Open the store of an app on a Redis: ``open_store_at(url, app_id="shop", broker_use_ssl=...)``."""
    stores: list[Store] = []

    def opened(broker_url: str, *, settings: Mapping[str, Any] | None = None, **conf: Any) -> Any:
        store = open_store(make_app(broker_url, **conf), Settings(**{"app_id": "shop", **(settings or {})}))
        assert store is not None
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store_at: Callable[..., Store], redis_url: str) -> Store:
    """The store of the app ``shop`` in an empty database."""
    return open_store_at(redis_url)
