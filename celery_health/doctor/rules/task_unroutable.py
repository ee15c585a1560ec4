"""Sending a task raises, since its route leads nowhere.

With ``task_create_missing_queues = False`` a queue that is not in ``task_queues`` cannot be used:
``delay()`` raises ``QueueNotFound`` in the caller, and beat logs an error and goes on without having sent
anything. The same when ``task_routes`` has a form that Celery cannot read: then every call raises.

The project's own router was asked; what it raised is the proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name

#: A name in what Celery raises: "Queue 'x' missing from task_queues".
_QUOTED = re.compile(r"'([^']+)'")


class TaskUnroutable(Rule):
    """The app's router raises for a task or a beat entry."""

    number: ClassVar = 105
    name: ClassVar = "task-unroutable"
    summary: ClassVar = "The app's own router raises for a task or a beat entry: sending it fails."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding for unreadable routes, else one per task and entry."""
        if evidence.routes_error is not None:
            yield self.finding(
                Kind.SETTING,
                "task_routes",
                f"Celery cannot read task_routes ({evidence.routes_error}): sending any task raises.",
                evidence={"error": evidence.routes_error},
                fix="Write a dict, {'app.tasks.x': {'queue': 'q'}}, or a tuple of dicts, lists of pairs and "
                "of functions: (router, [(pattern, {'queue': 'q'})]).",
            )
            return
        for task in evidence.own_tasks:
            if task.routing_error is not None:
                sending = f"Sending '{task.name}' raises"
                yield self._finding(evidence, Kind.TASK, task.name, task.name, sending, task.routing_error)
        for entry in evidence.all_entries:
            known = evidence.tasks.get(entry.task)
            if entry.routing_error is not None and (known is None or known.routing_error is None):
                # The task itself can be sent: it is the entry's options that lead nowhere.
                sending = f"Beat cannot send entry '{entry.name}' ('{entry.task}'):"
                yield self._finding(
                    evidence, Kind.BEAT_ENTRY, entry.name, entry.task, sending, entry.routing_error
                )

    def _finding(
        self, evidence: Evidence, kind: Kind, subject: str, task: str, sending: str, error: str
    ) -> Finding:
        wrong = _QUOTED.findall(error)
        near = [
            found for name in wrong for found in get_close_matches(name, evidence.declared_queues, 1, 0.8)
        ]
        fix = f"Name a queue of {setting_name(evidence, 'task_queues')}" + (
            f" ('{near[0]}'?)" if near else ""
        )
        return self.finding(
            kind,
            subject,
            f"{sending} {error}",
            evidence={"task": task, "error": error, "declared": sorted(evidence.declared_queues)},
            fix=f"{fix}, or fix the router that raises."
            if "QueueNotFound" not in error
            else f"{fix}, or add the missing one there.",
        )
