"""Two workers live under one name: commands to it reach both, and one hides the other.

It happens when `-n worker@shop` stands in a unit file that was copied, or in a deployment with two replicas.
Both take tasks. But a command or a revoke for the name reaches both, their replies overwrite each other, and
every tool that tells workers apart by name shows one of them and not the other.

A restart is no double: each of the two has reported at least twice since the later one came, and neither is
about to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.records import Worker


class WorkersDoubled(Rule):
    """Several live workers have one name."""

    number: ClassVar = 220
    name: ClassVar = "workers-doubled"
    summary: ClassVar = "Two workers live under one name: commands to it reach both, and one hides the other."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per name."""
        by_name: dict[str, list[Worker]] = {}
        for worker in evidence.workers:
            if worker.is_doubled:
                by_name.setdefault(worker.hostname, []).append(worker)
        for name, workers in sorted(by_name.items()):
            yield self.finding(
                Kind.WORKER,
                name,
                f"{len(workers)} workers live under the name '{name}': commands and revokes reach all of "
                "them, and one hides the others in every tool that tells workers apart by name.",
                evidence={
                    "pids": [worker.pid for worker in workers],
                    "queues": [list(worker.queues or ()) for worker in workers],
                },
                fix="Give each a name of its own, with the host in it: -n worker1@%h.",
            )
