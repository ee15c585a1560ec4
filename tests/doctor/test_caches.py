"""A cache in the broker's database: what clearing it does, where the doctor sees it, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from django.core.cache.backends.redis import RedisCache

from celery_health.doctor.examination import report_of
from celery_health.doctor.findings import DoctorReport
from celery_health.doctor.static import gather_static
from celery_health.doctor.static.places import RedisPlace, celery_places, place_of
from tests.cases.broken_settings import DJANGO_CACHE

SAME = [
    ("redis://localhost", "redis://127.0.0.1:6379/0"),
    ("redis://[::1]:6379/", "rediss://localhost/0"),
    ("redis://user:pa%2Fss@Host.Example.:6379/2", "redis://host.example/2"),
    ("redis://h/1?db=3", "redis://h:6379/3"),  # the query goes first, in redis-py
    ("unix:///run/redis.sock?db=2", "redis+socket:///run/redis.sock?virtual_host=2"),
    ("valkey://h", "redis://h"),
    ("redis://[2001:db8:0::1]/0", "redis://[2001:db8::1]"),
    ("redis://0.0.0.0/0", "redis://localhost"),
]
OTHER = [
    ("redis://h/0", "redis://h/1"),
    ("redis://h:6379", "redis://h:6380"),
    ("redis://one", "redis://other"),
    ("unix:///run/one.sock", "unix:///run/other.sock"),
    ("unix:///run/one.sock", "redis://localhost"),  # maybe one server: nobody can know
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_place__is_one_whatever_way_it_is_written(one: str, other: str) -> None:
    here, there = place_of(one), place_of(other)

    assert here is not None
    assert there is not None
    assert here.is_same(there)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_place__of_others_is_another(one: str, other: str) -> None:
    here, there = place_of(one), place_of(other)

    assert here is not None
    assert there is not None
    assert not here.is_same(there)


@pytest.mark.parametrize("url", ["", "amqp://h//", "redis://h:port/0", "redis://h/queue", "sqs://", "h:6379"])
def test_place__of_what_is_no_redis_is_unknown(url: str) -> None:
    assert place_of(url) is None


def test_place__of_sentinels_is_the_masters() -> None:
    urls = "sentinel://one:26379/2;sentinel://other"
    there = RedisPlace(servers=frozenset({"other:26379/main"}), database=2)

    assert celery_places(urls, {}) == []  # they do not say which master
    (here,) = celery_places(urls, {"master_name": "Main"})
    assert here.is_same(there)


def _report(app: Celery, settings: SimpleNamespace) -> DoctorReport:
    from celery_health.conf import parse

    return report_of(gather_static(app, parse({}), source=settings), parse({}))


@pytest.mark.redis
def test_cache__takes_the_messages_with_it_until_the_fix_is_pasted(
    redis_url: str, redis_client: redis.Redis, make_app: Callable[..., Celery]
) -> None:
    app: Any = make_app(redis_url)
    app.conf.update(task_time_limit=60, broker_transport_options={"socket_timeout": 5})
    settings = SimpleNamespace(CACHES={"default": {"BACKEND": DJANGO_CACHE, "LOCATION": redis_url}})

    def clear(found: list[str]) -> int:
        for _ in range(40):
            app.send_task("shop.clean")
        warnings = [one for one in _report(app, settings).findings if one.code == "W228"]
        assert [one.subject.name for one in warnings] == found
        given = settings.CACHES["default"]
        cache = RedisCache(given["LOCATION"], {"KEY_PREFIX": "cache"})
        cache.set("page", "text")
        cache.clear()
        assert cache.get("page") is None
        if warnings:
            exec(warnings[0].fix.partition(", or")[0], {}, vars(settings))
        return int(redis_client.llen("celery"))

    assert clear(["CACHES['default']"]) == 0
    assert clear([]) == 40
