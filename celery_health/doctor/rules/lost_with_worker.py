"""Tasks that are acknowledged late are lost all the same when their process is killed.

``acks_late`` keeps the message until the task ends; but when its pool process dies (out of memory,
SIGKILL), Celery acknowledges it as failed unless ``reject_on_worker_lost`` is set too. Set it for tasks
that may run twice; leave it for those that would only kill the next process as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class LostWithWorker(Rule):
    """Late acknowledgement without survival of a lost process."""

    number: ClassVar = 303
    name: ClassVar = "lost-with-worker"
    summary: ClassVar = "acks_late without reject_on_worker_lost: a killed process still loses its task."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for all such tasks."""
        tasks = [t.name for t in evidence.own_tasks if t.acks_late and not t.survives_lost_worker]
        if tasks:
            yield self.finding(
                Kind.SETTING,
                "task_reject_on_worker_lost",
                f"{listed(tasks)} is acknowledged late, and still lost when its process is killed.",
                evidence={"tasks": tasks},
                fix="reject_on_worker_lost=True on those that may run twice.",
            )
