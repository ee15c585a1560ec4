"""An entry comes more often than its task takes.

Runs overlap, and when all slots are taken they pile up in the queue.

The median of the runs that were observed (twenty at least) is longer than the entry's interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule


class ScheduleTooFast(Rule):
    """An interval is shorter than a run."""

    number: ClassVar = 205
    name: ClassVar = "schedule-too-fast"
    summary: ClassVar = "A beat entry comes more often than its task takes."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        observed = evidence.live.observed if evidence.live else {}
        for entry in evidence.all_entries:
            runtime = observed.get(entry.task)
            if runtime is None or runtime.p50_seconds is None or entry.interval_seconds is None:
                continue
            if runtime.p50_seconds > entry.interval_seconds:
                yield self.finding(
                    Kind.BEAT_ENTRY,
                    entry.name,
                    f"Beat entry '{entry.name}' comes every {entry.interval_seconds:g} s, and half of the "
                    "runs of "
                    f"'{entry.task}' take {runtime.p50_seconds:.3g} s or more: they overlap and pile up.",
                    evidence={
                        "interval_seconds": entry.interval_seconds,
                        "p50_seconds": runtime.p50_seconds,
                        "samples": runtime.samples,
                    },
                    fix=f"Run it every {_rounded(2 * runtime.p50_seconds)} s, or give it 'expires': "
                    f"{_rounded(entry.interval_seconds)} in its options, so that late runs are dropped.",
                )


def _rounded(seconds: float) -> int:
    return max(1, round(seconds))
