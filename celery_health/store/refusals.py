"""Whether a server that answers reads would refuse writes, by its own word: nothing is tried."""

from __future__ import annotations

from collections.abc import Mapping

#: What is asked for, in one round trip; a user who may not ask is told nothing, which is no fault.
QUESTIONS = (("INFO", "replication"), ("INFO", "memory"))


def refusal(answers: list[object]) -> str | None:
    """Return why the server of these answers refuses writes, and what to do; None when it does not say so."""
    told: dict[str, str] = {}
    for answer in answers:
        if isinstance(answer, bytes):
            lines = answer.decode("utf-8", "replace").splitlines()
            told.update((key, value) for key, mark, value in (line.partition(":") for line in lines) if mark)
    if told.get("role") == "slave" and told.get("slave_read_only", told.get("replica_read_only")) != "0":
        master = f"{told.get('master_host', 'unknown')}:{told.get('master_port', '?')}"
        return f"it is a read-only replica of {master}. Set STORE_URL to the master, or to its sentinels"
    used, limit = _number(told, "used_memory"), _number(told, "maxmemory")
    if limit and used is not None and used >= limit and told.get("maxmemory_policy") == "noeviction":
        return (
            f"it is full ({used:,} of {limit:,} bytes, maxmemory-policy noeviction). Raise maxmemory, or "
            "remove what fills it"
        )
    return None


def _number(told: Mapping[str, str], key: str) -> int | None:
    value = told.get(key, "")
    return int(value) if value.isdigit() else None
