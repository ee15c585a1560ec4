"""A schedule is written down, and another one is in effect.

``app.conf.beat_schedule = {...}`` and ``CELERY_BEAT_SCHEDULE`` do not add up: with one of them the entries
of the other never run. Which one wins depends on the version of Celery (with a namespace, the settings did
before 5.7).

What ``app.conf.beat_schedule`` effectively holds is compared with every place where a schedule stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class ScheduleMasked(Rule):
    """Entries of a schedule are masked by another."""

    number: ClassVar = 115
    name: ClassVar = "schedule-masked"
    summary: ClassVar = "Two schedules are written down, and the entries of one never run."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per masked schedule."""
        for where, entries in evidence.django.masked_entries.items():
            winner = evidence.django.schedule_source
            yield self.finding(
                Kind.SETTING,
                where,
                f"The entries {listed(entries)} of {where} never run: {winner} is in effect instead.",
                evidence={"entries": list(entries), "in_effect": winner},
                fix=f"Move them to {winner}, or add that schedule to this one: {winner}.update(...).",
            )
