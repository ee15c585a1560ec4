"""Results never expire, in a store that lives in memory.

With ``result_expires`` 0 or None every result stays in Redis or memcached until somebody deletes it: the
server fills up, and then evicts or refuses. In a database, where keeping results may be meant, nothing is
said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned

_IN_MEMORY: Final = frozenset({"redis", "rediss", "sentinel", "cache", "memcache", "memcached"})


class ResultsKeptForever(Rule):
    """Results in memory never expire."""

    number: ClassVar = 211
    name: ClassVar = "results-kept-forever"
    summary: ClassVar = "Results never expire, and are kept in memory."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        conf = evidence.conf
        stores = any(not task.ignores_result for task in evidence.own_tasks)
        if conf.result_backend in _IN_MEMORY and not conf.result_expires_seconds and stores:
            yield self.finding(
                Kind.SETTING,
                "result_expires",
                f"Results are kept in {conf.result_backend} and never expire: its memory fills up.",
                evidence={
                    "result_backend": conf.result_backend,
                    "result_expires": conf.result_expires_seconds,
                },
                fix=f"{assigned(evidence, 'result_expires', 86400)}, or "
                f"{assigned(evidence, 'task_ignore_result', True)} where nobody reads results.",
            )
