"""A route names a queue that ``task_queues`` does not list.

A worker that is started without ``-Q`` consumes what ``task_queues`` lists, and nothing else: the queue
needs a worker that names it. Where every worker has its ``-Q``, that is fine, and this a hint to be
silenced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.queue_unconsumed import misspelt_queue, one_more_worker, senders
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import listed


class QueueUndeclared(Rule):
    """A queue is used and not declared, where others are."""

    number: ClassVar = 302
    name: ClassVar = "queue-undeclared"
    summary: ClassVar = "A route names a queue that is not in task_queues: a worker without -Q skips it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue; none where workers are seen to consume it, or proven not to (E104)."""
        if not evidence.conf.declares_queues or not evidence.conf.creates_missing_queues:
            return
        for queue, why in senders(evidence).items():
            if queue in evidence.declared_queues or misspelt_queue(evidence, queue) is not None:
                continue
            if (
                evidence.is_consumed(queue)
                or _is_unconsumed(evidence, queue)
                or not any(reason.startswith("task:") for reason in why)
            ):
                continue
            yield self.finding(
                Kind.QUEUE,
                queue,
                f"Queue '{queue}' is not in task_queues ({listed(sorted(evidence.declared_queues))}): "
                "a worker without -Q does not consume it.",
                evidence={"sent_by": list(why), "declared": sorted(evidence.declared_queues)},
                # Without a key it would be bound like the default queue, where that has a topic exchange.
                fix=f"Add Queue({queue!r}, routing_key={queue!r}) to "
                f"{setting_name(evidence, 'task_queues')}, or start a worker for it: "
                f"{one_more_worker(evidence, queue)}",
            )


def _is_unconsumed(evidence: Evidence, queue: str) -> bool:
    """Say whether a look at the workers has proven that nobody takes from it: that is said as an error."""
    if evidence.live is None or not evidence.last_workers:
        return False
    return any(one.name == queue and one.consumers == 0 for one in evidence.live.snapshot.queues)
