"""The one name of a queue that each process names anew: of a broadcast, or a queue of one host or process.

``kombu.common.Broadcast`` makes a random name in each process, others put their host's name or their pid in
it, and RabbitMQ names a queue that has no name. Labels, fingerprints and verdicts need one for all of them.

A name that differs is no proof: queues of tenants hold a UUID, too. Only what cannot be another's to consume
is taken together: what is bound to a fanout exchange, dies with its consumer, or is a copy for one host.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from kombu.common import Broadcast

_UUID: Final = r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"
_RANDOM: Final = re.compile(_UUID)
#: What kombu names by itself (``kombu/common.py``), and what a broker or a virtual transport does.
_MADE_UP: Final = re.compile(rf"bcast\.{_UUID}|amq\.gen-.*")
#: Variables of the environment that tell one process from another.
_TELLING: Final = re.compile(
    r"(?:.*_)?(?:HOST|POD|NODE|WORKER|INSTANCE|REPLICA|CONTAINER|COMPUTER)(?:_?(?:NAME|ID))?|DYNO"
)
_SIGNS: Final = " .-_:@/"
#: Shorter numbers of processes stand in names for other reasons; in containers, it is 1.
_LEAST_PID: Final = 100


def is_made_up(name: str) -> bool:
    """Say whether a queue's name is one that kombu or the broker makes up: it tells nobody anything."""
    return not name or _MADE_UP.fullmatch(name) is not None


def shared_name(queue: Any) -> str:
    """Return the one name of a ``kombu.Queue`` of this process."""
    exchange = queue.exchange
    return _named(
        name=str(queue.name or ""),
        alias=str(queue.alias or ""),
        exchange=str(getattr(exchange, "name", None) or ""),
        exchange_type=str(getattr(exchange, "type", None) or "direct"),
        is_broadcast=isinstance(queue, Broadcast),
        is_exclusive=bool(queue.exclusive),
        is_short_lived=bool(queue.auto_delete),
        parts=_own_parts(os.getpid()),
        environment=_told_by_environment(),
    )


def shared_names(queues: Iterable[Any]) -> dict[str, tuple[str, ...]]:
    """Return the one name → the names that kombu queues of this process have, of those where they differ."""
    found: dict[str, list[str]] = {}
    for queue in queues:
        name = shared_name(queue)
        if name != queue.name:
            found.setdefault(name, []).append(str(queue.name))
    return {name: tuple(dict.fromkeys(names)) for name, names in found.items()}


def shared_name_told(row: Mapping[str, Any], hostname: str) -> str:
    """Return the one name of a queue as a worker's ``active_queues`` describes it (``Queue.as_dict``)."""
    exchange = row.get("exchange")
    exchange = exchange if isinstance(exchange, Mapping) else {}
    host = hostname.partition("@")[2]
    return _named(
        name=str(row.get("name") or ""),
        alias=str(row.get("alias") or ""),
        exchange=str(exchange.get("name") or ""),
        exchange_type=str(exchange.get("type") or "direct"),
        is_broadcast="queue" in row,  # an attribute of kombu.common.Broadcast alone
        is_exclusive=bool(row.get("exclusive")),
        is_short_lived=bool(row.get("auto_delete")),
        parts=tuple(part for part in (hostname, host, host.partition(".")[0]) if part),
        environment=(),
    )


def _named(
    *,
    name: str,
    alias: str,
    exchange: str,
    exchange_type: str,
    is_broadcast: bool,
    is_exclusive: bool,
    is_short_lived: bool,
    parts: Collection[str],
    environment: Collection[str],
) -> str:
    made_up = is_made_up(name)
    if is_broadcast or (made_up and alias):
        return alias or exchange or name
    if made_up:
        return exchange or name
    is_private = is_exclusive or is_short_lived
    if exchange_type == "fanout" and exchange:
        rest = name.removeprefix(exchange)
        is_of_exchange = name != rest and rest[:1] in tuple(_SIGNS)
        is_told = is_of_exchange and rest.strip(_SIGNS) in {*parts, *environment}
        if is_exclusive or is_told or (is_private and is_of_exchange):
            return exchange
        return name if _without(name, parts if is_private else _sure(parts)) == name else exchange
    if is_private:
        return _without(name, parts) or exchange or name
    if exchange_type != "direct" and not _RANDOM.search(name):
        return _without(name, _sure(parts)) or exchange or name
    return name


def _sure(parts: Iterable[str]) -> tuple[str, ...]:
    """Return those of `parts` that are hardly a word which a queue is called by: a host may be called so."""
    return tuple(part for part in parts if any(sign.isdigit() for sign in part))


def _without(name: str, parts: Iterable[str]) -> str:
    """Return a name without what is random in it, and without `parts`."""
    left = _RANDOM.sub("\0", name)
    for part in parts:
        left = re.sub(rf"(?<![^\W_]){re.escape(part)}(?![^\W_])", "\0", left)
    if "\0" not in left:
        return name
    pieces = [piece.strip(_SIGNS) for piece in left.split("\0")]
    return ".".join(piece for piece in pieces if piece)


@lru_cache(maxsize=2)
def _own_parts(pid: int) -> tuple[str, ...]:
    """Return what tells this process from others in names, the longest first."""
    host = socket.gethostname()
    parts = {host, host.partition(".")[0], str(pid) if pid >= _LEAST_PID else ""}
    return tuple(sorted(filter(None, parts), key=len, reverse=True))


@lru_cache(maxsize=1)
def _told_by_environment() -> frozenset[str]:
    """Return by which names the environment may call this process."""
    return frozenset(value for key, value in os.environ.items() if value and _TELLING.fullmatch(key.upper()))
