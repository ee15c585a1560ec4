"""Caches of Django's settings that share a database of Redis with the broker, the results or the store.

Compared by what stands in settings: no network, no name is resolved, and no library of a cache is imported
unless its address is one of ours.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.utils.module_loading import import_string

from celery_health.conf import Settings
from celery_health.doctor.caches import CacheFacts
from celery_health.doctor.static.cache_lines import line_of
from celery_health.doctor.static.places import RedisPlace, celery_places, place_of, sentinel_place
from celery_health.text.masking import mask

if TYPE_CHECKING:
    from celery import Celery

_DJANGO: Final = "django.core.cache.backends.redis"
#: Packages whose ``clear()`` is FLUSHDB, of the cache's class and of the client that it calls: see
#: core/cache/backends/redis.py of django, client/default.py of django_redis, base_client.py of django_valkey.
#: A ``clear`` of somebody else's may do anything.
_FLUSHING: Final = (_DJANGO, "django_redis.", "django_valkey.")
#: Where these classes keep the class of that client.
_CLIENT_ATTRIBUTES: Final = ("_class", "_client_cls")
#: Databases that a Redis has, unless its administrator says otherwise.
_DATABASES: Final = 16


def cache_facts(app: Celery, settings: Settings, source: Any) -> tuple[CacheFacts, ...]:
    """Return the caches that are emptied together with messages, results or counts. `source`: Django's."""
    try:
        ours = list(_our_places(app, settings))
        caches = list(_caches(source)) if ours else []
    except Exception:  # whatever stands in the settings: it is for others to complain of
        return ()
    taken = [place for _, place in ours] + [place for cache in caches for place in cache.places]
    return tuple(facts for cache in caches if (facts := _facts(cache, ours, taken, source)) is not None)


class _Cache:
    """One cache as it is configured, and where it leads."""

    def __init__(self, alias: str, given: Mapping[str, Any]) -> None:
        self.setting = f"CACHES[{alias!r}]"
        self.clears = "cache.clear()" if alias == "default" else f"caches[{alias!r}].clear()"
        self.backend, self.location = str(given.get("BACKEND", "")), given.get("LOCATION", "")
        self.given = {key: value for key, value in given.items() if key not in ("BACKEND", "LOCATION")}
        options = self.given.get("OPTIONS")
        self.options: Mapping[str, Any] = options if isinstance(options, Mapping) else {}
        self.urls = _urls(self.location, self.backend)
        self.places = tuple(place for url in self.urls if (place := self._place(url)) is not None)

    def _place(self, url: str) -> RedisPlace | None:
        pool: Any = self.options.get("CONNECTION_POOL_KWARGS") or {}
        database = self.options.get("db", pool.get("db", 0))
        place = place_of(url, database=database)
        sentinels = self.options.get("SENTINELS")
        if place is None or not sentinels:
            return place
        (server,) = place.servers
        return sentinel_place(sentinels, server.rpartition(":")[0], place.database)

    def is_flushed(self) -> bool:
        """Say whether the class that is configured empties its database by ``clear()``."""
        made = import_string(self.backend)(self.location, dict(self.given))
        classes = [type(made), *(getattr(made, name, None) for name in _CLIENT_ATTRIBUTES)]
        cleared_by = [cls.clear for cls in classes if inspect.isclass(cls) and hasattr(cls, "clear")]
        # The cache's own, and that of the client that it calls.
        return len(cleared_by) == 2 and all(one.__module__.startswith(_FLUSHING) for one in cleared_by)


class _Cacheops(_Cache):
    """What django-cacheops keeps: ``invalidate_all()`` is FLUSHDB (cacheops/invalidation.py)."""

    def __init__(self, source: Any) -> None:
        given: Any = getattr(source, "CACHEOPS_REDIS", None) or {}
        sentinel: Any = getattr(source, "CACHEOPS_SENTINEL", None) or {}
        self.setting, self.clears = "CACHEOPS_REDIS", "cacheops.invalidate_all()"
        self.location, self.options, self.urls = given, {}, []
        place: RedisPlace | None
        if sentinel:
            self.setting, self.location = "CACHEOPS_SENTINEL", sentinel
            place = sentinel_place(
                sentinel["locations"], str(sentinel["service_name"]).lower(), sentinel.get("db")
            )
        elif isinstance(given, str):
            self.urls = [given]
            place = place_of(given)
        else:
            path = given.get("unix_socket_path")
            host, port = given.get("host") or "localhost", given.get("port") or 6379
            address = f"unix://{path}" if path else f"redis://{f'[{host}]' if ':' in host else host}:{port}"
            place = place_of(address, database=given.get("db"))
        self.places = () if place is None else (place,)

    def is_flushed(self) -> bool:
        return True


def _caches(source: Any) -> Iterator[_Cache]:
    for alias, given in (getattr(source, "CACHES", None) or {}).items():
        if isinstance(given, Mapping):
            yield _Cache(str(alias), given)
    if "cacheops" in {str(one).partition(".")[0] for one in getattr(source, "INSTALLED_APPS", None) or ()}:
        yield _Cacheops(source)


def _urls(location: Any, backend: str) -> list[str]:
    """Return the servers of a ``LOCATION``, the one that is written to first."""
    if isinstance(location, str):
        # Django takes both for a separator, the others the comma alone.
        text = location.replace(";", ",") if backend.startswith(_DJANGO) else location
        return [one.strip() for one in text.split(",") if one.strip()]
    return [str(one) for one in location] if isinstance(location, list | tuple | set) else []


def _our_places(app: Celery, settings: Settings) -> Iterator[tuple[str, RedisPlace]]:
    """Yield what this app keeps in Redis, by the settings, and where; the worst loss first."""
    conf: Any = app.conf
    for url in (conf.broker_read_url, conf.broker_write_url):
        for place in celery_places(url, conf.broker_transport_options):
            yield "broker", place
    for place in _result_places(conf):
        yield "result backend", place
    if settings.store_url:
        for place in celery_places(settings.store_url, conf.broker_transport_options):
            yield "store", place
    redbeat = conf.get("redbeat_redis_url")
    if redbeat and "redbeat" in str(conf.beat_scheduler).lower():
        for place in celery_places(redbeat, {}):
            yield "schedule", place


def _result_places(conf: Any) -> list[RedisPlace]:
    url = conf.result_backend
    if not isinstance(url, str):
        return []
    if url.partition("://")[0] in ("redis", "rediss") and url.partition("://")[2] == "":
        # A bare "redis://" is completed from options of its own (celery/backends/redis.py).
        host = conf.get("redis_host") or "localhost"
        url = f"{url}{host}:{conf.get('redis_port') or 6379}/{conf.get('redis_db') or 0}"
    return celery_places(url, conf.result_backend_transport_options)


def _facts(
    cache: _Cache, ours: Sequence[tuple[str, RedisPlace]], taken: Sequence[RedisPlace], source: Any
) -> CacheFacts | None:
    """Return the facts of a cache that shares a database; None of one that does not, or is not emptied so."""
    for index, place in enumerate(cache.places):
        holds = tuple(dict.fromkeys(what for what, other in ours if place.is_same(other)))
        if holds and _is_flushed(cache):
            used = {other.database for other in taken if other.is_same_server(place)}
            free = next((number for number in (*range(1, _DATABASES), 0) if number not in used), None)
            return CacheFacts(
                setting=cache.setting,
                clears=cache.clears,
                url=mask(cache.urls[index]) if index < len(cache.urls) else cache.setting,
                database=place.database,
                holds=holds,
                line=None if free is None else line_of(cache.setting, cache.location, cache.urls, free),
            )
        if "shard" not in str(cache.options.get("CLIENT_CLASS", "")).lower():
            return None  # the first alone is written to, and flushed
    return None


def _is_flushed(cache: _Cache) -> bool:
    try:
        return cache.is_flushed()
    except Exception:  # its library is missing, or its own constructor says no: no cache, no harm
        return False
