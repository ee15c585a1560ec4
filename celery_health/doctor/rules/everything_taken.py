"""Every worker takes everything: ``worker_prefetch_multiplier`` is 0, which is no limit.

The first worker empties the queue into its memory. Another, started to help, finds nothing; the queue looks
empty, to autoscalers too; and with the process goes, on Redis for as long as the visibility timeout, all
that it took. Nor does a priority reach what was taken before.

What is set for all workers is judged; one that is started with ``--prefetch-multiplier`` has its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned


class EverythingTaken(Rule):
    """Workers take messages without a limit."""

    number: ClassVar = 224
    name: ClassVar = "everything-taken"
    summary: ClassVar = "Every worker takes all messages there are: worker_prefetch_multiplier is 0."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        if evidence.conf.prefetch_multiplier == 0:
            yield self.finding(
                Kind.SETTING,
                "worker_prefetch_multiplier",
                "worker_prefetch_multiplier is 0: each worker takes all messages there are into its memory, "
                "and leaves none to others.",
                evidence={"prefetch_multiplier": 0},
                fix=f"{assigned(evidence, 'worker_prefetch_multiplier', 1)}, or 4 for short tasks.",
            )
