"""Which database of which Redis a URL leads to, by its text alone: no network, no name is resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TCP: Final = frozenset({"redis", "rediss", "valkey", "valkeys"})
_SOCKETS: Final = frozenset({"unix", "socket", "redis+socket", "rediss+socket"})
_LOOPBACK: Final = "localhost"
#: Names of this machine, besides the addresses that `ip_address` knows.
_LOOPBACK_NAMES: Final = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisPlace:
    """One database of one Redis."""

    servers: frozenset[str]
    """Each of its addresses; of one that sentinels name, theirs with the name of the master."""
    database: int

    def is_same_server(self, other: RedisPlace) -> bool:
        """Say whether both lead to one server, as far as their addresses tell."""
        return not self.servers.isdisjoint(other.servers)

    def is_same(self, other: RedisPlace) -> bool:
        """Say whether both lead to one database."""
        return self.database == other.database and self.is_same_server(other)


def place_of(url: str, *, database: Any = 0) -> RedisPlace | None:
    """Return where a URL of a Redis leads; None where that is none, or cannot be read.

    `database` is meant where the URL names none. As redis-py and kombu read it: a ``db`` or ``virtual_host``
    in the query goes before the path.
    """
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
        query = parse_qs(parts.query)
        named = next((query[name][0] for name in ("db", "virtual_host") if name in query), None)
        if scheme in _SOCKETS:
            path = unquote(f"{parts.netloc.rpartition('@')[2]}{parts.path}")
            # Two ways to one file are one: /var/run is a link to /run.
            server = f"unix:{os.path.realpath(path)}"
        elif scheme in _TCP:
            named = named or unquote(parts.path).replace("/", "") or None
            server = f"{_host(parts.hostname or '')}:{port or _PORT}"
        else:
            return None
        return RedisPlace(servers=frozenset({server}), database=int(named or database or 0))
    except (ValueError, TypeError):
        return None


def sentinel_place(sentinels: Iterable[tuple[Any, Any]], master: Any, database: Any) -> RedisPlace | None:
    """Return the database of the Redis that `sentinels`, as host and port, call `master`."""
    try:
        name = str(master).lower()  # in a URL it is a host, whose case does not count
        servers = {f"{_host(str(host))}:{int(port or _SENTINEL_PORT)}/{name}" for host, port in sentinels}
        return RedisPlace(servers=frozenset(servers), database=int(database or 0)) if servers else None
    except (ValueError, TypeError):
        return None


def celery_places(url: Any, options: Mapping[str, Any] | None) -> list[RedisPlace]:
    """Return where a URL of Celery's leads, or each of several to fail over between (a list, or by ``;``).

    `options` name the master, where the URL is of sentinels.
    """
    texts = [str(one) for one in url] if isinstance(url, list | tuple) else str(url or "").split(";")
    if texts and texts[0].startswith("sentinel://"):
        try:
            parts = [urlsplit(text) for text in texts]
            hosts = [(part.hostname or "", part.port) for part in parts]
        except ValueError:
            return []
        # kombu and Celery read the database from the first.
        query = {name: values[0] for name, values in parse_qs(parts[0].query).items()}
        master = query.get("master_name") or (options or {}).get("master_name")
        found = sentinel_place(hosts, master, parts[0].path.strip("/")) if master else None
        return [found] if found else []
    return [place for text in texts if (place := place_of(text)) is not None]


def _host(name: str) -> str:
    """Return a host as one name, whatever way it is written."""
    text = name.strip("[]").rstrip(".").lower()
    if text in _LOOPBACK_NAMES:
        return _LOOPBACK
    try:
        address = ip_address(text)
    except ValueError:
        return text
    # To connect to "any address" is to connect to this machine.
    return _LOOPBACK if address.is_loopback or address.is_unspecified else address.compressed
