"""A task is to survive a killed process, and its message is acknowledged before it runs: it does not.

``reject_on_worker_lost`` (``task_reject_on_worker_lost``) has the message of a run delivered again whose pool
process was killed. It needs ``acks_late``: without it the message is gone when the run begins, the option is
not even looked at, and the run is lost without a word but in the worker's log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed


class LateOptionAlone(Rule):
    """reject_on_worker_lost without acks_late."""

    number: ClassVar = 232
    name: ClassVar = "late-option-alone"
    summary: ClassVar = "reject_on_worker_lost without acks_late: a killed process still loses its task."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding where the setting serves no task, else one for each task that asks for it."""
        own = [task for task in evidence.own_tasks if task.rejects_on_lost]
        alone = [task for task in own if not task.acks_late and not task.retries_on_lost]
        fix = "if it may run twice; else leave reject_on_worker_lost out."
        if evidence.conf.rejects_on_lost:
            # Set for those tasks that are acknowledged late, if there are any.
            if alone and len(alone) == len(own):
                yield self.finding(
                    Kind.SETTING,
                    "task_reject_on_worker_lost",
                    "task_reject_on_worker_lost is on, and no task is acknowledged late, which it needs: "
                    f"{listed(task.name for task in alone)} {'is' if len(alone) == 1 else 'are'} lost when a "
                    "process is killed.",
                    evidence={"tasks": [task.name for task in alone]},
                    fix=f"{assigned(evidence, 'task_acks_late', True)}, {fix}",
                )
            return
        for task in alone:
            if task.is_editable:
                yield self.finding(
                    Kind.TASK,
                    task.name,
                    f"'{task.name}' has reject_on_worker_lost without acks_late, which it needs: a run is "
                    "lost when its process is killed.",
                    fix=f"acks_late=True on the task, {fix}",
                )
