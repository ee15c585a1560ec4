"""Which Redis is the store, and under which prefix: STORE_URL, else the broker, else the result backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kombu import Connection

from celery_health.celery_app import app_id
from celery_health.conf import SETTING, Settings, get_settings
from celery_health.connections.redis import RedisLink, is_redis
from celery_health.connections.urls import masked_url
from celery_health.exceptions import ConfigurationError
from celery_health.store.base import Store
from celery_health.text.masking import describe_error, mask

if TYPE_CHECKING:
    from celery import Celery

#: In front of every key, unless STORE_PREFIX says otherwise.
NAMESPACE: Final = "celery_health"
#: What kombu and Celery call a Redis.
_SCHEMES: Final = ("redis", "rediss", "sentinel", "redis+socket", "socket")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A Redis that could be the store."""

    connection: Connection
    """Not open."""
    url: str
    """Masked."""
    key_prefix: str
    """What this Redis demands in front of every key."""


def open_store(app: Celery, settings: Settings | None = None) -> Store | None:
    """Return the store of `app`, not connected yet; None when the project has no Redis.

    Raises:
        ConfigurationError: STORE_URL is none of a Redis, or lacks what its sentinels need.
    """
    settings = settings or get_settings()
    place = _configured(app, settings) or _broker(app) or results_place(app)
    if place is None:
        return None
    from celery_health.store.redis import RedisStore

    prefix = settings.store_prefix or f"{place.key_prefix}{NAMESPACE}:{app_id(app, settings)}:"
    link = RedisLink(place.connection)
    return RedisStore(link, prefix, url=place.url, secrets=link.secrets)


def _configured(app: Celery, settings: Settings) -> Place | None:
    url = settings.store_url
    if url is None:
        return None
    where = f"{SETTING}['STORE_URL']"
    if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        raise ConfigurationError(
            f"{where} is {mask(url)!r}: set the URL of a Redis, such as redis://host:6379/0 "
            "(or rediss://, redis+socket://, sentinel://host:26379/0?master_name=...)."
        )
    options: dict[str, Any] = {}
    if url.startswith("sentinel://"):
        url, options = _sentinel_options(app, url)
        if not options.get("master_name"):
            raise ConfigurationError(
                f"{where} names sentinels without a master: add ?master_name=... to {mask(url)}."
            )
    connection = _connection(url, options, _ssl_of(app, url), where)
    broker: dict[str, Any] = app.conf.broker_transport_options or {}
    return Place(
        connection=connection,
        url=mask(settings.store_url),
        key_prefix=str(broker.get("global_keyprefix") or ""),
    )


def _sentinel_options(app: Celery, url: str) -> tuple[str, dict[str, Any]]:
    """Return the URL without the master's name, and the options: from the URL, else the broker's."""
    broker: dict[str, Any] = app.conf.broker_transport_options or {}
    options: dict[str, Any] = {
        name: broker[name] for name in ("master_name", "sentinel_kwargs") if name in broker
    }
    urls = []
    for one in url.split(";"):
        parts = urlsplit(one)
        query = dict(parse_qsl(parts.query))
        if "master_name" in query:
            options["master_name"] = query.pop("master_name")
        urls.append(urlunsplit(parts._replace(query=urlencode(query))))
    return ";".join(urls), options


def _ssl_of(app: Celery, url: str) -> Any:
    """Return the broker's TLS options for a TLS store whose URL has none of its own."""
    if url.startswith("rediss://") and "ssl_" not in url:
        return app.conf.broker_use_ssl or None
    return None


def _broker(app: Celery) -> Place | None:
    # The URL for writing: the one for reading may be a replica, and the store is written to.
    try:
        connection: Any = app.connection_for_write()
    except Exception:  # a bad URL, or a transport whose library is missing: the broker's reader says so
        return None
    if not is_redis(connection):
        return None
    options = connection.transport_options or {}
    return Place(
        connection=connection,
        url=masked_url(connection),
        key_prefix=str(options.get("global_keyprefix") or ""),
    )


def results_place(app: Celery) -> Place | None:
    """Return the Redis that keeps results; None where none does."""
    url = app.conf.result_backend
    if not isinstance(url, str) or not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        return None
    options: dict[str, Any] = dict(app.conf.result_backend_transport_options or {})
    try:
        connection = _connection(url, options, app.conf.redis_backend_use_ssl or None, "result_backend")
    except ConfigurationError:
        return None  # what Celery cannot use either is no store, and not ours to judge
    return Place(connection=connection, url=mask(url), key_prefix=str(options.get("global_keyprefix") or ""))


def _connection(url: str, options: dict[str, Any], ssl: Any, where: str) -> Connection:
    try:
        connection = Connection(url, transport_options=options, **({"ssl": ssl} if ssl else {}))
        if is_redis(connection):
            return connection
        problem = "its transport is not available"
    except Exception as error:  # kombu's parser raises what it likes
        problem = describe_error(error)
    raise ConfigurationError(f"{where} is {mask(url)!r}, which kombu cannot use ({problem}).")
