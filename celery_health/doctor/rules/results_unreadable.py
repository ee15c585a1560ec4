"""Results are asked for, and there is no result backend.

A module of the project imports ``AsyncResult``, and ``result_backend`` is not set: reading a state or a
result raises. Some import it for annotations alone: a hint. Of modules that are seen to read one, another
rule is certain (``results-unkept``); of those that only revoke tasks by it, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import subjects


class ResultsUnreadable(Rule):
    """AsyncResult is imported and nothing keeps results."""

    number: ClassVar = 308
    name: ClassVar = "results-unreadable"
    summary: ClassVar = "AsyncResult is imported, and there is no result backend to read."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        told = {read.place.partition(":")[0] for read in evidence.results.reads}.union(
            evidence.results.revoking
        )
        users = [name for name in evidence.code.uses_async_result if name not in told]
        if users and evidence.conf.result_backend is None:
            yield self.finding(
                Kind.SETTING,
                "result_backend",
                f"{subjects(users, 'imports', 'import')} AsyncResult, and no result_backend is set: "
                "reading one raises.",
                evidence={"modules": list(users)},
                fix=f"Set {setting_name(evidence, 'result_backend')}, or import it under TYPE_CHECKING if it "
                "is for annotations.",
            )
