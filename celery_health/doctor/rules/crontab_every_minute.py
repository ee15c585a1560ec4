"""A crontab names an hour or a day, and no minute: it runs every minute of it.

``crontab(hour=3)`` runs sixty times a night, since what is left out means "every". Mostly ``crontab(hour=3,
minute=0)`` is meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import CrontabFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule


class CrontabEveryMinute(Rule):
    """A crontab left its minute out."""

    number: ClassVar = 307
    name: ClassVar = "crontab-every-minute"
    summary: ClassVar = "A crontab names one hour or day and no minute: it runs every minute of it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per entry."""
        for entry in evidence.entries:
            runs = entry.crontab and _surprising_runs(entry.crontab)
            if runs:
                yield self.finding(
                    Kind.BEAT_ENTRY,
                    entry.name,
                    f"Beat entry '{entry.name}' ({entry.schedule}) runs {runs} times on its day: "
                    "no minute is given, which means every minute.",
                    evidence={"schedule": entry.schedule, "runs": runs},
                    fix="Add minute=0" + (" and hour=0." if runs > 60 else "."),
                )


def _surprising_runs(when: CrontabFacts) -> int | None:
    """Return how often it runs on one day, where somebody who left the minute out would not expect it."""
    if len(when.minute) != 60:
        return None
    if len(when.hour) == 1:
        return 60
    single_day = 1 in (len(when.day_of_week), len(when.day_of_month))
    return 1440 if len(when.hour) == 24 and single_day else None
