"""The broker's Redis may throw queues away when its memory is full.

With ``maxmemory`` set and an ``allkeys-...`` policy Redis evicts any key: a queue with everything that
waits in it, the index of unacknowledged messages, bindings. A broker needs ``noeviction``: then a publish
fails, and somebody notices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule


class RedisEvicts(Rule):
    """The broker's Redis evicts any key."""

    number: ClassVar = 209
    name: ClassVar = "redis-evicts"
    summary: ClassVar = "The broker's Redis has a memory limit and a policy that evicts queues."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        for server in evidence.live.servers if evidence.live else ():
            if (
                server.role == "broker"
                and server.maxmemory_bytes
                and (server.policy or "").startswith("allkeys")
            ):
                shared = ", and results fill it as well" if server.is_shared else ""
                yield self.finding(
                    Kind.BROKER,
                    server.url,
                    f"The broker's Redis has maxmemory-policy {server.policy} at "
                    f"{server.maxmemory_bytes / 2**20:.0f} MiB{shared}: when it is full, it throws queues "
                    "away.",
                    evidence={
                        "maxmemory_policy": server.policy,
                        "maxmemory_bytes": server.maxmemory_bytes,
                        "evicted_keys": server.evicted_keys,
                        "shared_with_results": server.is_shared,
                    },
                    fix="redis-cli CONFIG SET maxmemory-policy noeviction, and in its configuration "
                    "file; caches "
                    "and results on a Redis of their own.",
                )
