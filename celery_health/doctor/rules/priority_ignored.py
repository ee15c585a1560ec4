"""Tasks have different priorities, and their queue has none.

On RabbitMQ a classic queue without ``x-max-priority`` hands out messages in the order in which they came,
whatever their priority. No policy can add it later: it is an argument of the declaration. Most transports
of kombu other than Redis's and MongoDB's have no priorities at all, SQS among them.

It is reported where at least two priorities are known to go into one queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name

#: kombu's transports that put a message nowhere but last (``kombu/transport``: none reads its priority).
_WITHOUT_PRIORITIES: Final = frozenset(
    {
        "sqs", "filesystem", "sqlalchemy", "sqla", "slmq", "consul", "etcd", "azurestoragequeues",
        "azureservicebus", "pyro", "gcpubsub", "pgmq", "kafka", "confluentkafka",
    }
)  # fmt: skip


class PriorityIgnored(Rule):
    """Priorities have no effect in a queue."""

    number: ClassVar = 215
    name: ClassVar = "priority-ignored"
    summary: ClassVar = "Tasks have different priorities, and their queue takes no notice of any."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        if evidence.transport in _WITHOUT_PRIORITIES:
            yield from self._by_transport(evidence)
        if not evidence.is_amqp:
            return
        declared = {queue.name: queue for queue in evidence.queues}
        for queue, priorities in sorted(_priorities(evidence).items()):
            facts = declared.get(queue)
            takes = facts is not None and (facts.max_priority is not None or facts.is_quorum)
            if len(set(priorities.values())) > 1 and not takes:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"Queue '{queue}' has no x-max-priority, and tasks of different priority go there: "
                    "they are handed out in the order of their coming.",
                    evidence={"priorities": priorities},
                    fix=f"Queue('{queue}', max_priority=10) in "
                    f"{setting_name(evidence, 'task_queues')}, under a new name: RabbitMQ does not change "
                    "a queue that exists.",
                )

    def _by_transport(self, evidence: Evidence) -> Iterable[Finding]:
        for queue, priorities in sorted(_priorities(evidence).items()):
            if len(set(priorities.values())) > 1:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"Tasks of different priority go to queue '{queue}', and {evidence.transport} "
                    "has no priorities: they are handed out in the order of their coming.",
                    evidence={"priorities": priorities},
                    fix="Give what is urgent a queue of its own, and a worker that consumes it alone.",
                )


def _priorities(evidence: Evidence) -> dict[str, dict[str, int | None]]:
    """Return queue → who sends there → priority; None where none is given."""
    routed = {name: r.priority for r in evidence.routes if r.priority is not None for name in r.wins}
    found: dict[str, dict[str, int | None]] = {}
    for task in evidence.own_tasks:
        for queue in task.destination.queues if task.destination else ():
            # The call's and the task's own go before the route's (celery.app.routes, lpmerge).
            priority = task.priority if task.priority is not None else routed.get(task.name)
            found.setdefault(queue, {})[task.name] = priority
    for entry in evidence.all_entries:
        for queue in entry.destination.queues if entry.destination else ():
            if entry.priority is not None:
                found.setdefault(queue, {})[f"beat entry {entry.name!r}"] = entry.priority
    return found
