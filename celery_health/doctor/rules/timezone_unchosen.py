"""Crontabs run in another time zone than Django's, and nobody chose that.

Celery takes Django's ``TIME_ZONE`` along when it reads Django's settings. An app that is configured from
somewhere else runs its crontabs in UTC: "3:30 at night" comes at another hour, and moves with summer time.

It is reported when both zones have different clocks at some time of the year, no ``timezone`` is set for
Celery, Django's is set by the project, and a crontab depends on it. A zone that was set for Celery is a
hint only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import CrontabFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed


class TimezoneUnchosen(Rule):
    """The schedule's zone differs from Django's without anybody's word."""

    number: ClassVar = 202
    name: ClassVar = "timezone-unchosen"
    summary: ClassVar = "Crontabs run in another time zone than Django's, and nobody set one for Celery."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        entries = zone_bound_entries(evidence)
        if entries and not evidence.conf.timezone_is_explicit:
            zone = evidence.django.time_zone
            yield self.finding(
                Kind.SETTING,
                "timezone",
                f"Crontabs run in {evidence.conf.timezone}, and Django's TIME_ZONE is {zone}: "
                f"{listed(entries)} come at another hour than written.",
                evidence={"celery": evidence.conf.timezone, "django": zone, "entries": entries},
                fix=assigned(evidence, "timezone", zone),
            )


def zone_bound_entries(evidence: Evidence) -> list[str]:
    """Return the entries whose hour depends on the zone, where Celery's differs from Django's."""
    if not evidence.conf.timezone_differs:
        return []
    return [entry.name for entry in evidence.entries if entry.crontab and _names_an_hour(entry.crontab)]


def _names_an_hour(when: CrontabFacts) -> bool:
    whole = (len(when.hour), len(when.day_of_week), len(when.day_of_month), len(when.month_of_year))
    return whole != (24, 7, 31, 12)
