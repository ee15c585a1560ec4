"""Crontabs run in a time zone that was chosen for Celery, and is not Django's.

It may be meant (everything in UTC), and it is the usual reason for reports that come an hour off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.timezone_unchosen import zone_bound_entries
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed


class TimezoneDiffers(Rule):
    """Celery's time zone was set, to another than Django's."""

    number: ClassVar = 306
    name: ClassVar = "timezone-differs"
    summary: ClassVar = "Crontabs run in a time zone that was set for Celery and differs from Django's."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        entries = zone_bound_entries(evidence)
        if entries and evidence.conf.timezone_is_explicit:
            zone = evidence.django.time_zone
            yield self.finding(
                Kind.SETTING,
                "timezone",
                f"Celery's timezone is {evidence.conf.timezone}, Django's TIME_ZONE {zone}: "
                f"{listed(entries)} come by Celery's.",
                evidence={"celery": evidence.conf.timezone, "django": zone, "entries": entries},
                fix=f"{assigned(evidence, 'timezone', zone)}, if crontabs are meant in the zone of the site.",
            )
