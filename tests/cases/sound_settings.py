"""Settings that look as if they undid each other, and do not."""

from __future__ import annotations

from django.core.cache.backends.redis import RedisCache

from tests.cases.broken_settings import cached
from tests.cases.support import Project, sound

# Caches ------------------------------------------------------------------------------------------------


class Careful(RedisCache):
    """A cache that deletes its own keys alone."""

    def clear(self) -> None: ...


@sound("cache-clears-broker")
def caches_in_databases_of_their_own(p: Project) -> None:
    cached(p, "redis://broker.invalid/1")
    cached(p, "redis://broker.invalid:6380/0", "other-port")
    cached(p, "redis://cache.invalid/0", "other-host")
    cached(p, "redis://broker.invalid/0?db=2", "query")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_replica_of_the_broker_is_read_from(p: Project) -> None:
    # Only the first is written to, and so flushed.
    cached(p, ["redis://cache.invalid/0", "redis://broker.invalid/0"])
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_cache_that_clears_its_own_keys(p: Project) -> None:
    cached(p, "redis://broker.invalid/0", BACKEND=f"{Careful.__module__}.{Careful.__qualname__}")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def caches_that_are_no_redis(p: Project) -> None:
    cached(p, "broker.invalid:11211", BACKEND="django.core.cache.backends.memcached.PyMemcacheCache")
    cached(p, "", "here", BACKEND="django.core.cache.backends.locmem.LocMemCache")
    cached(p, "redis://broker.invalid/0", "gone", BACKEND="no.such.module.Cache")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def a_cache_in_redis_beside_rabbitmq(p: Project) -> None:
    p.broker("amqp://broker.invalid//")
    cached(p, "redis://broker.invalid/0")
    p.tasks("shop.clean")


@sound("cache-clears-broker")
def cacheops_is_configured_and_not_installed(p: Project) -> None:
    p.settings.INSTALLED_APPS = ["shop"]
    p.settings.CACHEOPS_REDIS = "redis://broker.invalid/0"
    p.tasks("shop.clean")
