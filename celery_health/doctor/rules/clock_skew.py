"""A producer's clock is ahead of the broker's.

How long a message waits is told from the time at which it was published, by its producer's clock. One that
is ahead makes queues look younger than they are; ETAs and expiry are off by as much.

The newest stamp of a waiting message lies in the future of the broker's clock by more than five seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule

_SKEW_SECONDS: Final = 5.0


class ClockSkew(Rule):
    """Messages come from the future."""

    number: ClassVar = 216
    name: ClassVar = "clock-skew"
    summary: ClassVar = "A producer's clock is ahead of the broker's: ages, ETAs and expiry are off."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        for queue, waiting in sorted((evidence.live.waiting if evidence.live else {}).items()):
            ahead = waiting.ahead_seconds
            if ahead is not None and ahead > _SKEW_SECONDS:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"A message in queue '{queue}' was published {ahead:.0f} s in the future of the broker's "
                    "clock: a producer's clock is ahead.",
                    evidence={"ahead_seconds": round(ahead, 1)},
                    fix="Have all hosts keep time (chronyc tracking, timedatectl status).",
                )
