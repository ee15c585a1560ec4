"""Results may be gone before they expire: their Redis evicts them when it is full.

With ``maxmemory`` set and another policy than ``noeviction``, results disappear early: callers wait for
ever, and chords never end, since they count in the same store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import setting_name


class ResultsEvicted(Rule):
    """The results' Redis evicts."""

    number: ClassVar = 316
    name: ClassVar = "results-evicted"
    summary: ClassVar = "The Redis of the results evicts keys: results may be gone before they expire."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        for server in evidence.live.servers if evidence.live else ():
            policy = server.policy or "noeviction"
            if server.role == "result backend" and server.maxmemory_bytes and policy != "noeviction":
                yield self.finding(
                    Kind.SETTING,
                    "result_backend",
                    f"The Redis of the results ({server.url}) has maxmemory-policy {policy}: results and "
                    "chords may "
                    "be gone before they are read.",
                    evidence={"maxmemory_policy": policy, "maxmemory_bytes": server.maxmemory_bytes},
                    fix="redis-cli CONFIG SET maxmemory-policy noeviction, or a shorter "
                    f"{setting_name(evidence, 'result_expires')}.",
                )
