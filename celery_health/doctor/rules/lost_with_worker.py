"""Tasks that are acknowledged late are lost all the same when their process is killed.

``acks_late`` keeps the message until the task ends; but when its pool process dies (out of memory,
SIGKILL), Celery acknowledges it as failed unless ``reject_on_worker_lost`` is set too. Set it for tasks
that may run twice; leave it for those that would only kill the next process as well. What the author of an
installed app chose for its tasks is left alone; what ``task_acks_late`` chose for them is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import annotations_added
from celery_health.doctor.wording import subjects


class LostWithWorker(Rule):
    """Late acknowledgement without survival of a lost process."""

    number: ClassVar = 303
    name: ClassVar = "lost-with-worker"
    summary: ClassVar = "acks_late without reject_on_worker_lost: a killed process still loses its task."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for all such tasks."""
        tasks = [
            task
            for task in evidence.own_tasks
            if task.acks_late and not task.survives_lost_worker
            if task.is_editable or evidence.conf.acks_late
        ]
        if tasks:
            names = [task.name for task in tasks]
            installed = next((task.name for task in tasks if not task.is_editable), None)
            fix = "reject_on_worker_lost=True on those that may run twice"
            if installed is not None:
                line = annotations_added(evidence, {installed: {"reject_on_worker_lost": True}})
                fix += f", or {line}"
            yield self.finding(
                Kind.SETTING,
                "task_reject_on_worker_lost",
                f"{subjects(names, 'is', 'are')} acknowledged late, and still lost when "
                f"{'its' if len(names) == 1 else 'their'} process is killed.",
                evidence={"tasks": names},
                fix=f"{fix}.",
            )
