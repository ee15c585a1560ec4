"""No task has a time limit.

A task that hangs (a socket without a timeout, a lock) occupies its pool process for ever, and after a few
of them the worker does nothing while it looks alive. Limits need the prefork pool; gevent has hard ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import all_assigned


class NoTimeLimits(Rule):
    """Neither the app nor any task has a time limit."""

    number: ClassVar = 304
    name: ClassVar = "no-time-limits"
    summary: ClassVar = "Neither the app nor any task has a time limit: a task that hangs is never ended."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most; none where no live worker has a pool with limits."""
        own = list(evidence.own_tasks)
        limited = any(task.time_limit_seconds or task.soft_time_limit_seconds for task in own)
        pools = {worker.pool for worker in evidence.workers if worker.pool}
        limits = {"task_time_limit": 600, "task_soft_time_limit": 540}
        if own and not limited and (not pools or pools & {"prefork", "gevent"}):
            yield self.finding(
                Kind.SETTING,
                "task_time_limit",
                "Neither the app nor any task has a time limit: a task that hangs keeps its process.",
                evidence={"tasks": len(own)},
                fix=f"{all_assigned(evidence, limits)}, or time_limit= on single tasks.",
            )
