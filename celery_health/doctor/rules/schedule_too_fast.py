"""An entry comes more often than its task takes, or than the task's rate limit lets it run.

Runs overlap, and when all slots are taken they pile up in the queue. What a rate limit holds back piles up in
the workers.

The median of the runs that were observed (twenty at least) is longer than the entry's interval; or the rate
limit, which each worker keeps for itself, lets all workers that consume the task's queue together run fewer.
What has an expiry (``expires``) does not pile up: late runs are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule


class ScheduleTooFast(Rule):
    """An interval is shorter than a run."""

    number: ClassVar = 205
    name: ClassVar = "schedule-too-fast"
    summary: ClassVar = (
        "A beat entry comes more often than its task takes, or than its rate limit lets it run."
    )
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        observed = evidence.live.observed if evidence.live else {}
        for entry in evidence.all_entries:
            yield from self._held_back(evidence, entry)
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

    def _held_back(self, evidence: Evidence, entry: EntryFacts) -> Iterable[Finding]:
        task = evidence.tasks.get(entry.task)
        rate = task.rate_limit_per_second if task else None
        workers = evidence.consumers(entry.destination.queues) if entry.destination else ()
        if task is None or not rate or not workers or not entry.interval_seconds:
            return
        if entry.expires_seconds is not None or task.expires_seconds is not None:
            return
        least = 1 / (rate * len(workers))
        # Nothing can be told of a limit that only just holds back: beat's clock is not that exact.
        if least > 1.05 * entry.interval_seconds and "expires" not in entry.option_names:
            yield self.finding(
                Kind.BEAT_ENTRY,
                entry.name,
                f"Beat entry '{entry.name}' comes every {entry.interval_seconds:g} s, and the rate limit of "
                f"'{entry.task}' lets {len(workers)} worker{'s' * (len(workers) > 1)} run one every "
                f"{least:.4g} s: they pile up.",
                evidence={
                    "interval_seconds": entry.interval_seconds,
                    "rate_limit_per_second": rate,
                    "workers": [worker.hostname for worker in workers],
                },
                fix=f"Run it every {math.ceil(least)} s, raise the task's rate_limit, or give it 'expires': "
                f"{_rounded(entry.interval_seconds)} in its options, so that late runs are dropped.",
            )


def _rounded(seconds: float) -> int:
    return max(1, round(seconds))
