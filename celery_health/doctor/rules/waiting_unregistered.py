"""Messages wait in a queue under a name that one of its consumers does not register.

Whichever of them that consumer takes, it discards. The messages are still there: they can be saved by
stopping the worker that lacks the task, or by giving it the code.

The first messages of each queue are looked at where they are, without consuming or moving them; on Redis
alone, since on RabbitMQ a look marks them as redelivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.queue_shared import shared_queues, tasks_of_others
from celery_health.doctor.wording import listed, meant


class WaitingUnregistered(Rule):
    """A waiting message has a name that a consumer lacks."""

    number: ClassVar = 110
    name: ClassVar = "waiting-unregistered"
    summary: ClassVar = "Messages wait under a name that a consumer of their queue does not register."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue and name."""
        for queue, waiting in sorted((evidence.live.waiting if evidence.live else {}).items()):
            knowing = [w for w in evidence.consumers([queue]) if w.registered is not None]
            # Where another project consumes the same queue, that is the cause, and said as such.
            of_others = {
                name for one in shared_queues(evidence) if one.name == queue for name in tasks_of_others(one)
            }
            for task, count in sorted(waiting.names.items()):
                if task in of_others:
                    continue
                lacking = [w.hostname for w in knowing if task not in (w.registered or ())]
                if not lacking:
                    continue
                known = frozenset().union(*(w.registered or () for w in knowing))
                nearest = () if task in known else meant(task, known, evidence.code.tasks_at)
                wrong = f" Send '{nearest[0]}' instead, if that is what is meant." if nearest else ""
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"At least {count} waiting in queue '{queue}' are '{task}', which {listed(lacking)} "
                    "does not register: what it takes of them is discarded.",
                    evidence={"task": task, "seen": count, "workers": lacking, "nearest": list(nearest)},
                    fix=f"Stop {listed(lacking)} before it takes them, or restart it with code that has "
                    f"'{task}'.{wrong}",
                    proven_live=True,
                )
