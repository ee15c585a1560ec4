"""Tasks run in the process that calls them, and it does not look like a test or a developer's machine.

``task_always_eager`` is for tests: requests wait for their tasks, nothing is retried later, and no worker
is used. It is reported where ``DEBUG`` is off and no test runner is at work; as a system check under
``--deploy`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned


class AlwaysEager(Rule):
    """Tasks run eagerly outside tests."""

    number: ClassVar = 212
    name: ClassVar = "always-eager"
    summary: ClassVar = "task_always_eager is on outside tests and DEBUG."
    only_deployed: ClassVar[bool] = True

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        django = evidence.django
        if evidence.conf.always_eager and not django.debug and not django.is_testing:
            yield self.finding(
                Kind.SETTING,
                "task_always_eager",
                "task_always_eager is on, and DEBUG is off: tasks run inside requests, without any worker.",
                evidence={"debug": django.debug},
                fix=f"{assigned(evidence, 'task_always_eager', False)}, except in the settings of tests.",
            )
