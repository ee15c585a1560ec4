"""Why a Redis that answers refuses writes: by what it says of itself, and by how it refuses one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from celery_health.text.formats import duration

#: What is asked of a server about itself, in one round trip; one that a user may not ask tells nothing.
QUESTIONS: Final = (("INFO", "replication"), ("INFO", "memory"), ("INFO", "clients"))

Told = Mapping[str, str]

#: Celery does not catch what a read says then.
_WORKERS_END: Final = "Workers may have ended by it: see that they run again afterwards."

#: What a server's refusal of one write begins with, or what client libraries make of that.
_FULL: Final = ("OOM", "OutOfMemoryError")
_READ_ONLY: Final = ("READONLY", "ReadOnlyError")
_MISCONF: Final = ("MISCONF",)
_FEW_REPLICAS: Final = ("NOREPLICAS",)
_CLUSTER: Final = ("CLUSTERDOWN", "ClusterDownError")
#: Words of hosted servers, whose refusals have no code of their own.
_OTHERS: Final = re.compile(r"\b(?:quota|capacity|exceed(?:s|ed)?|read[- ]?only|no space|disk full)\b", re.I)


class Refusal(NamedTuple):
    """Why a server takes no writes, and what to do."""

    why: str
    """A clause: ``it is full (...)``."""
    fix: str
    """One sentence or more, a command at the end; empty where nothing is to be said."""
    is_read_only: bool = False
    """As a master is that a failover replaced."""
    serves_connected: bool = False
    """It lets in nobody new; who is connected is served."""


def told_of(answers: Iterable[object]) -> dict[str, str]:
    """Return the fields of the answers to `QUESTIONS`; an error among them tells nothing."""
    told: dict[str, str] = {}
    for answer in answers:
        if isinstance(answer, bytes):
            lines = answer.decode("utf-8", "replace").splitlines()
            told.update((key, value) for key, mark, value in (line.partition(":") for line in lines) if mark)
    return told


def by_itself(told: Told) -> str | None:
    """Return why a server refuses writes as far as it says so of itself, without one being tried."""
    if told.get("role") == "slave" and told.get("slave_read_only", told.get("replica_read_only")) != "0":
        return f"it is a read-only replica of {_master(told)}"
    used, limit = number(told, "used_memory"), number(told, "maxmemory")
    if limit and used is not None and used >= limit and told.get("maxmemory_policy") == "noeviction":
        return f"it is full ({used:,} of {limit:,} bytes, maxmemory-policy noeviction)"
    return None


def by_error(error: Exception, told: Told, redis_cli: str) -> Refusal | None:
    """Return why a server refused a harmless write; None where the error says nothing of other writes.

    Args:
        error: what it answered.
        told: what it says of itself; may be empty.
        redis_cli: the command that reaches it, without a command of Redis.
    """
    text = str(error)
    names = {type(error).__name__, text.partition(" ")[0]}
    if names.intersection(_FULL):
        return Refusal(_fullness(told), f"{_room(told, redis_cli)}")
    if names.intersection(_READ_ONLY):
        of = f" of {_master(told)}" if "master_host" in told else ""
        return Refusal(
            f"it is a read-only replica{of}",
            f"Set broker_url to its master, or to its sentinels. {_WORKERS_END} What it says of that: "
            f"{redis_cli} INFO replication",
            is_read_only=True,
        )
    if names.intersection(_MISCONF):
        return Refusal(
            "its last snapshot could not be written to disk, and stop-writes-on-bgsave-error is on (MISCONF)",
            f"{_WORKERS_END} Free its disk, or give it back the right to write there; its log says which. "
            f"Then have it write one: {redis_cli} BGSAVE",
        )
    if names.intersection(_FEW_REPLICAS):
        return Refusal(
            "fewer replicas follow it than min-replicas-to-write asks for (NOREPLICAS)",
            f"{_WORKERS_END} Bring its replicas back, or ask for none: "
            f"{redis_cli} CONFIG SET min-replicas-to-write 0",
        )
    if names.intersection(_CLUSTER) or _OTHERS.search(text):
        return Refusal(f"it says '{text}'", f"What it says of itself: {redis_cli} INFO")
    return None


def by_silence(told: Told, redis_cli: str) -> Refusal:
    """Return why a server that answers keeps a write waiting."""
    if told.get("paused_reason") == "failover_in_progress":
        return Refusal(
            "it keeps writes waiting until its replica has taken over (FAILOVER)",
            f"Should that not end, give it up: {redis_cli} FAILOVER ABORT",
        )
    left = number(told, "paused_timeout_milliseconds")
    return Refusal(
        "it answers what reads, and keeps waiting whatever may write (CLIENT PAUSE"
        f"{f', for another {duration(left / 1000)}' if left else ''})",
        f"Whoever moves or upgrades it pauses it so. Where nobody does, end it: {redis_cli} CLIENT UNPAUSE",
    )


def _fullness(told: Told) -> str:
    used, limit = number(told, "used_memory"), number(told, "maxmemory")
    if used is None or not limit or used < limit:  # what it said of itself may be seconds old
        return "it is full: its memory is over maxmemory"
    policy = told.get("maxmemory_policy")
    return f"it is full ({used:,} of {limit:,} bytes{f', maxmemory-policy {policy}' if policy else ''})"


def _room(told: Told, redis_cli: str) -> str:
    return (
        f"Remove what fills it, or raise maxmemory, also in its configuration: {more_memory(told, redis_cli)}"
    )


def more_memory(told: Told, redis_cli: str) -> str:
    """Return the command that gives a full server twice what it has, or says what it has."""
    used, limit = number(told, "used_memory"), number(told, "maxmemory")
    if not limit:
        return f"{redis_cli} INFO memory"
    return f"{redis_cli} CONFIG SET maxmemory {2 * max(limit, used or 0)}"


def number(told: Told, key: str) -> int | None:
    """Return a field that is a count; None where it is not there, or none."""
    value = told.get(key, "")
    return int(value) if value.isdecimal() else None


def _master(told: Told) -> str:
    return f"{told.get('master_host', 'unknown')}:{told.get('master_port', '?')}"
