"""Two queues have nearly one name.

Tasks go to both, and one may be a misspelling of the other. Where ``task_queues`` lists the right one, it
is a warning; here nothing says which is right, or whether both are: a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.queue_unconsumed import senders
from celery_health.doctor.wording import is_typo, listed


class QueueMisspelt(Rule):
    """A queue that few tasks use is nearly the name of one that more use."""

    number: ClassVar = 314
    name: ClassVar = "queue-misspelt"
    summary: ClassVar = "Two queues that tasks go to have nearly one name."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per rarer queue; none for queues that are declared or seen consumed."""
        used = senders(evidence)
        for queue, why in used.items():
            if queue in evidence.declared_queues or evidence.is_consumed(queue):
                continue
            if evidence.conf.declares_queues:
                continue
            more = [other for other in used if is_typo(queue, other) and len(used[other]) > len(why)]
            if more:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"Queue '{queue}' has nearly the name of '{more[0]}', where more tasks go.",
                    evidence={"sent_by": list(why), "nearest": more[0]},
                    fix=f"Write '{more[0]}' for {listed(why)}, if that is what was meant.",
                )
