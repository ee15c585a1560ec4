"""A run that exceeds its time limit is put back into the queue, and exceeds it again: it has no end.

With ``acks_late``, and ``acks_on_timeout`` (or ``acks_on_failure_or_timeout``) off, Celery rejects the
message of a run that is ended by its hard time limit, and has it delivered again. What was too slow once is
mostly too slow again: one such message keeps a process busy for ever, whatever ``max_retries`` says, and
stands at the head of its queue. Only quorum queues of RabbitMQ count deliveries, and give up; of those
nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed

_THEN: Final = "such a run fails then."


class TimeoutRepeated(Rule):
    """Runs over their time limit are delivered again, without end."""

    number: ClassVar = 230
    name: ClassVar = "timeout-repeated"
    summary: ClassVar = "A run that exceeds its time limit is run again, without end."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding where a setting says so, else one per task."""
        counted = {queue.name for queue in evidence.queues if queue.is_quorum}
        tasks = [task for task in evidence.own_tasks if _is_repeated(task, counted)]
        option = evidence.conf.option_against_timeout_acks
        if tasks and option:
            names = listed(task.name for task in tasks)
            limits = sorted({task.time_limit_seconds or 0.0 for task in tasks})
            yield self.finding(
                Kind.SETTING,
                option,
                f"{option} is off, and {names} {'is' if len(tasks) == 1 else 'are'} acknowledged late: a run "
                f"that exceeds its time limit ({limits[0]:g} s) is put back and run again, without end.",
                evidence={"tasks": [task.name for task in tasks], "time_limits": limits},
                fix=f"{assigned(evidence, evidence.conf.option_for_timeout_acks, True)}: {_THEN}",
            )
            return
        for task in tasks:
            yield self.finding(
                Kind.TASK,
                task.name,
                f"'{task.name}' is acknowledged late, and not on a timeout: a run that exceeds its time "
                f"limit ({task.time_limit_seconds:g} s) is put back and run again, without end.",
                evidence={"time_limit": task.time_limit_seconds},
                fix="acks_on_timeout=True on the task, or before Celery 5.7 acks_on_failure_or_timeout=True: "
                f"{_THEN}",
            )


def _is_repeated(task: TaskFacts, counted: set[str]) -> bool:
    queues = task.destination.queues if task.destination else ()
    is_counted = bool(queues) and counted.issuperset(queues)
    return task.acks_late and not task.acks_on_timeout and bool(task.time_limit_seconds) and not is_counted
