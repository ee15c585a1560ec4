"""A message is published where no queue is bound: it is lost without a trace.

A route may name a queue on a topic exchange and a routing key of its own; when no binding of the exchange
takes that key, the broker drops the message. Nothing waits anywhere, every depth is zero, and the caller
sees the task pending for ever. The same on a direct exchange when exchange and key are both named and the
key is wrong. (A wrong key alone, with a named queue on a direct exchange, is harmless: Celery then goes
straight to the queue.)

Statically, the app's own router is asked and the key compared with every binding of that exchange that the
app declares; exchanges that it does not declare are left alone. Live on Redis, the broker's bindings are
read, and decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.topology import Destination


class MessageUnbound(Rule):
    """No binding of the exchange takes the message's routing key."""

    number: ClassVar = 106
    name: ClassVar = "message-unbound"
    summary: ClassVar = "A routing key matches no binding of its exchange: the message is dropped."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per task and entry."""
        for task in evidence.own_tasks:
            yield from self._judge(evidence, Kind.TASK, task.name, task.name, task.destination)
        for entry in evidence.all_entries:
            task_facts = evidence.tasks.get(entry.task)
            if task_facts is None or task_facts.destination != entry.destination:
                yield from self._judge(evidence, Kind.BEAT_ENTRY, entry.name, entry.task, entry.destination)

    def _judge(
        self, evidence: Evidence, kind: Kind, subject: str, task: str, to: Destination | None
    ) -> Iterable[Finding]:
        if to is None or not to.exchange or to.reaches is None or to.reaches or to.is_broadcast:
            return
        bindings = {b.queue: b.routing_key for b in evidence.bindings if b.exchange == to.exchange}
        proven = False
        if evidence.live is not None and evidence.live.bindings is not None:
            takers = evidence.live.takers(to.exchange, to.exchange_type, to.routing_key or "")
            if takers:
                return
            proven = takers is not None
        right = bindings.get(to.queue or "")
        if right is None:
            fix = f"Bind a queue to exchange '{to.exchange}' with a key that takes '{to.routing_key}'."
        elif "*" in right or "#" in right:
            fix = f"Send '{task}' with a routing key that '{right}' takes, the binding of queue '{to.queue}'."
        else:
            fix = f"Send '{task}' with the routing key of queue '{to.queue}': '{right}'."
        yield self.finding(
            kind,
            subject,
            f"'{task}' is published to {to.describe()}, and no queue is bound for that key: it is dropped.",
            evidence={
                "task": task,
                "exchange": to.exchange,
                "routing_key": to.routing_key,
                "queue": to.queue,
                "bindings": bindings,
            },
            fix=fix,
            proven_live=proven,
        )
