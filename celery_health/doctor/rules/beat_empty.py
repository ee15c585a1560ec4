"""A beat runs, and has nothing to send.

Its schedule is empty, in the settings and by its own account: it may look at another app, settings module
or database than meant, or is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.beat_lacks_entry import told_beats


class BeatEmpty(Rule):
    """A living beat has no entries."""

    number: ClassVar = 218
    name: ClassVar = "beat-empty"
    summary: ClassVar = "A beat runs with an empty schedule."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per beat; a schedule that it should have is said by another rule."""
        for beat in told_beats(evidence):
            if not beat.entries and not evidence.all_entries:
                yield self.finding(
                    Kind.BEAT,
                    beat.name,
                    f"Beat '{beat.name}' runs with an empty schedule ({beat.scheduler}).",
                    evidence={"scheduler": beat.scheduler},
                    fix="Stop it, or give it the app, the settings and the scheduler (-S) that have the "
                    "schedule.",
                )
