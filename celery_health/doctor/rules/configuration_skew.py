"""Workers of one queue are configured differently, as far as routing goes.

Each of them may send on to other queues, or accept other content. It happens in deploys that leave a worker
out.

Workers report a fingerprint of what decides over routing: queues, routes, serializers, key prefixes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.wording import listed
from celery_health.records import Worker


class ConfigurationSkew(Rule):
    """Consumers of one queue differ in configuration."""

    number: ClassVar = 208
    name: ClassVar = "configuration-skew"
    summary: ClassVar = "Workers of one queue differ in the configuration of queues and routes."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per worker of the smaller group, once."""
        said: set[str] = set()
        for queue in sorted({name for worker in evidence.workers for name in worker.queues or ()}):
            groups: dict[str, list[Worker]] = {}
            for worker in evidence.consumers([queue]):
                if worker.config is not None:
                    groups.setdefault(worker.config, []).append(worker)
            if len(groups) < 2:
                continue
            most = max(groups.values(), key=len)
            others = [w.hostname for group in groups.values() if group is not most for w in group]
            for hostname in others:
                if hostname not in said:
                    said.add(hostname)
                    yield self._finding(hostname, queue, [w.hostname for w in most])

    def _finding(self, hostname: str, queue: str, most: list[str]) -> Finding:
        return self.finding(
            Kind.WORKER,
            hostname,
            f"Worker '{hostname}' has another configuration of queues, routes or serializers than "
            f"{listed(most)}, "
            f"which consumes '{queue}' too.",
            evidence={"queue": queue, "others": most},
            fix=f"Restart '{hostname}' with the code, settings and environment of {listed(most)}.",
        )
