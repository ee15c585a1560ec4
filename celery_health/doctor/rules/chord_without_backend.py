"""A chord is used, and there is no result backend.

A chord counts its finished headers in the result backend; without one, Celery raises
``NotImplementedError`` when the chord starts.

A module of the project imports ``chord``, and ``result_backend`` is not set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import subjects


class ChordWithoutBackend(Rule):
    """Chords need a result backend."""

    number: ClassVar = 210
    name: ClassVar = "chord-without-backend"
    summary: ClassVar = "A chord is used, and there is no result backend to count its tasks in."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        users = evidence.code.uses_chord
        if users and evidence.conf.result_backend is None:
            yield self.finding(
                Kind.SETTING,
                "result_backend",
                f"{subjects(users, 'uses', 'use')} chord, and no result_backend is set: "
                "starting a chord raises.",
                evidence={"modules": list(users)},
                fix=f"Set {setting_name(evidence, 'result_backend')} to 'redis://...' or 'django-db' "
                "(django-celery-results); not to 'rpc://'.",
            )
