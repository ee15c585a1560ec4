"""Workers received tasks under a name that they do not register, and discarded them.

The work was asked for and never done; the caller's result says ``NotRegistered`` at best. The store counts
such messages by name, and keeps the last hour.

Nothing is said once every live worker registers the name: it was a deploy, and is over. Nor of the tasks of
[another project](#queue-shared) whose workers consume the same queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.queue_shared import shared_queues, tasks_of_others
from celery_health.doctor.wording import listed, meant


class UnknownReceived(Rule):
    """Messages under an unknown name were discarded lately."""

    number: ClassVar = 113
    name: ClassVar = "unknown-received"
    summary: ClassVar = "Workers lately discarded tasks under a name that they do not register."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per name."""
        recent = evidence.live.snapshot.recent if evidence.live else None
        knowing = [w for w in evidence.workers if w.registered is not None]
        # Where another project consumes the same queue, that is the cause, and said as such.
        shared = (queue for queue in shared_queues(evidence) if queue.ours)
        of_others = frozenset[str]().union(*map(tasks_of_others, shared))
        known = frozenset().union(*(w.registered or () for w in knowing))
        for task, outcomes in sorted((recent or {}).items()):
            lacking = [w.hostname for w in knowing if task not in (w.registered or ())]
            if not outcomes.unknown or (knowing and not lacking) or task in of_others:
                continue
            nearest = () if task in known else meant(task, known, evidence.code.tasks_at)
            if nearest:
                fix = f"Send '{nearest[0]}' instead, or give '{task}' back to the workers."
            elif task in known:
                fix = f"Restart {listed(lacking)} with the code of the others."
            else:
                fix = f"Find who sends '{task}', or deploy the code that defines it to the workers."
            yield self.finding(
                Kind.TASK,
                task,
                f"'{task}' was received {outcomes.unknown} times lately by workers that do not register "
                "it, and "
                "discarded.",
                evidence={"discarded": outcomes.unknown, "nearest": list(nearest), "workers": lacking},
                fix=fix,
                proven_live=True,
            )
