"""A message may be held longer than RabbitMQ allows: it closes the channel, and the worker starts over.

RabbitMQ wants each delivery acknowledged within ``consumer_timeout``, 30 minutes unless its administrator
or the queue's ``x-consumer-timeout`` says otherwise. A worker holds a message that long when it waits for
an ETA or a retry and, with ``acks_late``, while the task runs. What the server is set to cannot be seen
from here: a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule

_DEFAULT_SECONDS: Final = 1800.0


class DeliveryAckTimeout(Rule):
    """A delivery may stay unacknowledged for over 30 minutes."""

    number: ClassVar = 309
    name: ClassVar = "delivery-ack-timeout"
    summary: ClassVar = "A message may be held longer than RabbitMQ's delivery acknowledgement timeout."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per task."""
        if not evidence.is_amqp:
            return
        raised = {queue.name for queue in evidence.queues if "x-consumer-timeout" in queue.arguments}
        for task in evidence.own_tasks:
            held = _held_seconds(task)
            queues = task.destination.queues if task.destination else ()
            if held is not None and held > _DEFAULT_SECONDS and not raised.intersection(queues):
                yield self.finding(
                    Kind.TASK,
                    task.name,
                    f"A message of '{task.name}' may be held for {held:g} s, and RabbitMQ allows "
                    f"{_DEFAULT_SECONDS:g} s unless its consumer_timeout was raised.",
                    evidence={"held_seconds": held, "consumer_timeout": _DEFAULT_SECONDS},
                    fix=f"Raise consumer_timeout on the server above {held:g} s, or hold messages for less.",
                )


def _held_seconds(task: TaskFacts) -> float | None:
    holds = [task.longest_retry_seconds or 0.0]
    if task.acks_late:
        holds.append(task.time_limit_seconds or task.soft_time_limit_seconds or 0.0)
    return max(holds) or None
