"""No worker listens in this database of the broker's Redis, and some do in another.

A URL without a database number, or another number on one side, and workers never see what is sent. The
workers that listen there may be another project's: a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import subjects


class WorkersElsewhere(Rule):
    """Workers listen in another database."""

    number: ClassVar = 317
    name: ClassVar = "workers-elsewhere"
    summary: ClassVar = (
        "No worker listens in the broker's database, and some do in another of the same Redis."
    )
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        live = evidence.live
        if live is None or evidence.workers or not live.elsewhere:
            return
        found = {f"database {number}": list(names) for number, names in sorted(live.elsewhere.items())}
        number, names = next(iter(found.items()))
        yield self.finding(
            Kind.BROKER,
            live.snapshot.broker.url,
            f"No worker listens on {live.snapshot.broker.url}, and {subjects(names, 'does', 'do')} in "
            f"{number} of that Redis.",
            evidence=found,
            fix=f"Give all processes one {setting_name(evidence, 'broker_url')}, database number included.",
        )
