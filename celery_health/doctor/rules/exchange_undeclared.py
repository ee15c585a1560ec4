"""On Redis, a message goes to an exchange that its producer never declares, and takes it for a direct one.

Redis has no exchanges: kombu keeps in each process which type an exchange has, and learns it when the
process declares it. A route that names an exchange and no queue declares nothing, so a web process treats a
topic exchange as a direct one, compares the key letter by letter with the pattern, and drops the message.
Workers, which declare their queues, see the same route work.

It is reported where the exchange belongs to a queue of the app, is not direct, and no binding equals the
key. RabbitMQ knows its exchanges by itself and is not affected.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.topology import Destination


class ExchangeUndeclared(Rule):
    """A message goes to an exchange whose type its producer does not know."""

    number: ClassVar = 107
    name: ClassVar = "exchange-undeclared"
    summary: ClassVar = (
        "A route names an exchange and no queue, and on Redis its producer does not know the type."
    )
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per task and entry."""
        if evidence.is_amqp:
            return
        for task in evidence.own_tasks:
            yield from self._judge(evidence, Kind.TASK, task.name, task.name, task.destination)
        for entry in evidence.all_entries:
            task_facts = evidence.tasks.get(entry.task)
            if task_facts is None or task_facts.destination != entry.destination:
                yield from self._judge(evidence, Kind.BEAT_ENTRY, entry.name, entry.task, entry.destination)

    def _judge(
        self, evidence: Evidence, kind: Kind, subject: str, task: str, to: Destination | None
    ) -> Iterable[Finding]:
        if to is None or not to.exchange or to.declares_queue or to.is_broadcast:
            return
        if to.exchange_type == "fanout" and evidence.is_redis:
            return  # E129 says so, whatever the key
        proven = False
        if to.reaches:
            # Of this app: the type is known here, and the producer takes it for direct.
            if to.exchange_type == "direct" or _equals_a_binding(evidence, to):
                return
            queue, known = to.reaches[0], f"which is of type {to.exchange_type}"
        else:
            # Of nobody in this app, or not bound: only the broker's own bindings can tell.
            takers = (
                evidence.live.takers(to.exchange, "direct", to.routing_key or "") if evidence.live else None
            )
            if to.reaches is not None or takers is None or takers:
                return
            queue, known, proven = "<queue>", "which no queue is bound to with that key", True
        yield self.finding(
            kind,
            subject,
            f"'{task}' is published to exchange '{to.exchange}', {known}, and no queue is named: "
            "on this broker a process that has not declared the exchange drops the message.",
            evidence={"task": task, "exchange": to.exchange, "routing_key": to.routing_key},
            fix=f"Name the queue in the route: {{'queue': '{queue}', 'routing_key': '{to.routing_key}'}}.",
            proven_live=proven,
        )


def _equals_a_binding(evidence: Evidence, to: Destination) -> bool:
    return any(b.exchange == to.exchange and b.routing_key == to.routing_key for b in evidence.bindings)
