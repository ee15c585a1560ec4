"""The result backend, asked beside a reading: a Redis of its own, the broker's, the store's, or none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading.recorded import Recorded
from celery_health.reading.results import ResultsWatch
from celery_health.records import BrokerState, ResultsState, SharedServer, StoreState
from tests.support import RedisServer, eventually

BROKER = BrokerState(transport="redis", url="redis://broker:6379/0", reachable=True)
NOBODY = Recorded(store=StoreState(configured=False))


def _nothing() -> None:
    """Be a task."""


def look(
    watch: ResultsWatch, seconds: float = 2.0, recorded: Recorded = NOBODY, **changes: Any
) -> ResultsState:
    deadline = Deadline.after(seconds)
    watch.begin(deadline, BROKER.url, recorded.store.url)
    return watch.state(deadline, BROKER, recorded, changes.get("tasks"))


@pytest.mark.redis
def test_redis__is_asked_for_its_word_and_nothing_is_written(
    redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    watch = ResultsWatch(make_app(BROKER.url, result_backend=redis_url), Settings())
    try:
        found = look(watch)
        assert (found.reachable, found.refusal, watch.fault()) == (True, None, None)
        redis_client.config_set("maxmemory", 1)
        try:
            full = look(watch)
        finally:
            redis_client.config_set("maxmemory", 0)
        assert full.refusal is not None
        assert full.refusal.startswith("it is full")
        assert "CONFIG SET maxmemory" in (full.fix or "")
        assert (watch.fault() or "").startswith(f"The result backend at {redis_url} answers and takes no")
        # A user who may store results, and not this, is no fault.
        redis_client.execute_command("ACL", "SETUSER", "default", "-lpushx")
        try:
            assert look(watch).refusal is None
        finally:
            redis_client.execute_command("ACL", "SETUSER", "default", "+lpushx")
        assert redis_client.keys("*takes_results*") == []
    finally:
        watch.close()


@pytest.mark.redis
def test_redis__that_keeps_writes_waiting_takes_no_results(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery]
) -> None:
    server = own_redis()
    watch = ResultsWatch(make_app(BROKER.url, result_backend=server.url), Settings())
    try:
        with redis.Redis(port=server.port) as client:
            client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
            found = eventually(lambda: (now := look(watch)).refusal and now)
            assert str(found.refusal).startswith("it answers what reads, and keeps waiting")
            assert str(found.fix).endswith("CLIENT UNPAUSE")
            client.execute_command("CLIENT", "UNPAUSE")
            assert eventually(lambda: look(watch).refusal is None)
    finally:
        watch.close()


@pytest.mark.redis
def test_redis__that_hangs_is_waited_for_once_and_never_called_well(
    own_redis: Callable[..., RedisServer], make_app: Callable[..., Celery]
) -> None:
    server = own_redis()
    watch = ResultsWatch(make_app(BROKER.url, result_backend=server.url), Settings())
    assert look(watch).reachable is True
    server.pause()
    try:
        began = time.monotonic()
        assert look(watch, 1.0).reachable is None
        assert time.monotonic() - began < 0.9
        found = eventually(lambda: look(watch, 1.0).reachable is False, 10)
        assert found
        began = time.monotonic()
        assert look(watch, 1.0).reachable is False
        assert time.monotonic() - began < 0.2
    finally:
        server.resume()
    eventually(lambda: look(watch).reachable, 10)


def test_redis__that_is_gone_is_said(make_app: Callable[..., Celery]) -> None:
    watch = ResultsWatch(make_app(BROKER.url, result_backend="redis://:secret@127.0.0.1:1/0"), Settings())
    found = eventually(lambda: (one := look(watch)).reachable is False and one, 10)
    assert found
    assert "secret" not in f"{found}{watch.fault()}"


@pytest.mark.parametrize(
    ("conf", "store", "expected"),
    [
        ({}, None, ResultsState(ignored="no result_backend is set")),
        ({"result_backend": "disabled://"}, None, ResultsState(ignored="no result_backend is set")),
        (
            {"result_backend": "rpc://"},
            None,
            ResultsState(backend="rpc", url=BROKER.url, shared=SharedServer.BROKER),
        ),
        # Another database of the broker's server.
        (
            {"result_backend": "redis://broker:6379/3"},
            None,
            ResultsState(
                backend="redis", url="redis://broker:6379/3", is_redis=True, shared=SharedServer.BROKER
            ),
        ),
        (
            {"result_backend": "redis://store:6379/3"},
            "redis://store:6379/0",
            ResultsState(
                backend="redis", url="redis://store:6379/3", is_redis=True, shared=SharedServer.STORE
            ),
        ),
        ({"result_backend": "django-db"}, None, ResultsState(backend="django-db")),
        (
            {"result_backend": "db+postgresql://u:secret@db/x"},
            None,
            ResultsState(backend="db+postgresql", url="db+postgresql://u:**@db/x"),
        ),
    ],
)
def test_backend__by_its_settings(
    make_app: Callable[..., Celery], conf: dict[str, Any], store: str | None, expected: ResultsState
) -> None:
    watch = ResultsWatch(make_app(BROKER.url, **conf), Settings())
    recorded = Recorded(store=StoreState(configured=bool(store), url=store))
    assert look(watch, recorded=recorded) == expected


@pytest.mark.parametrize(
    ("ignoring", "default", "is_ignored"),
    [
        ({"a": True, "b": True}, False, True),
        ({"a": True, "b": False}, True, False),
        # Nothing is registered here: the setting says it.
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_ignored__where_every_task_of_the_project_does(
    make_app: Callable[..., Celery], ignoring: dict[str, bool], default: bool, is_ignored: bool
) -> None:
    app = make_app(BROKER.url, result_backend="django-db", task_ignore_result=default)
    for name, ignores in ignoring.items():
        app.task(_nothing, name=name, ignore_result=ignores, shared=False)
    watch = ResultsWatch(app, Settings())
    assert bool(look(watch, tasks=frozenset(ignoring)).ignored) is is_ignored
    # Before they are imported, nobody knows.
    assert look(watch).ignored is None
