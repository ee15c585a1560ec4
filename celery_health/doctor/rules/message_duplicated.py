"""One message lands in several queues, since a bare ``Queue('x')`` has the default queue's binding.

``Queue('x')`` names neither an exchange nor a routing key, and Celery gives it those of the default queue.
While the default exchange is direct, messages go straight to the queue that is named, and nothing happens.
With ``task_default_exchange_type = "topic"``, or where a route names exchange and key, each message goes to
every queue bound with that key: the task runs twice, or piles up where nobody wants it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class MessageDuplicated(Rule):
    """A message lands in a bare queue besides the one it is meant for."""

    number: ClassVar = 108
    name: ClassVar = "message-duplicated"
    summary: ClassVar = "A bare Queue() has the default binding, and gets messages meant for another queue."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per bare queue."""
        bare = {queue.name for queue in evidence.queues if queue.is_bare and not queue.is_broadcast}
        bare -= {evidence.conf.default_queue}
        shared: dict[str, list[str]] = {}
        for task in evidence.own_tasks:
            to = task.destination
            if to is None or to.exchange_type == "fanout" or len(to.queues) < 2:
                continue
            for queue in to.queues:
                if queue in bare:
                    shared.setdefault(queue, []).append(task.name)
        for queue, tasks in sorted(shared.items()):
            yield self.finding(
                Kind.QUEUE,
                queue,
                f"Queue '{queue}' is declared bare, and so is bound like the default queue: messages of "
                f"{listed(tasks)} land in both.",
                evidence={"tasks": tasks, "default_queue": evidence.conf.default_queue},
                fix=f"Give it a routing key of its own: Queue({queue!r}, routing_key={queue!r}).",
            )
