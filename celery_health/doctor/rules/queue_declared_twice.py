"""A queue, or an exchange, is declared in two ways.

RabbitMQ keeps the first declaration it sees and closes the channel of whoever comes with another (406
PRECONDITION_FAILED): the producer's call fails, or the worker does not start. ``x-max-priority`` on one
side only is the usual case. On any broker, a name that stands twice in ``task_queues`` keeps the last one,
silently.

Every ``kombu.Queue`` that the configuration, routes, tasks and schedule carry is compared. Differences
between processes with different settings show live, as workers that disagree on their configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import QueueFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name


class QueueDeclaredTwice(Rule):
    """Two declarations of one queue or exchange differ."""

    number: ClassVar = 109
    name: ClassVar = "queue-declared-twice"
    summary: ClassVar = "Two declarations of one queue or exchange differ, x-max-priority included."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue, and per exchange."""
        first: dict[str, QueueFacts] = {}
        for queue in _declarations(evidence):
            known = first.setdefault(queue.name, queue)
            differences = _differences(known, queue)
            if differences and (evidence.is_amqp or known.where == queue.where):
                yield self._queue(evidence, known, queue, differences)
        if evidence.is_amqp:
            yield from self._exchanges(evidence)

    def _queue(
        self, evidence: Evidence, known: QueueFacts, other: QueueFacts, differences: dict[str, list[Any]]
    ) -> Finding:
        what = ", ".join(f"{name} {one!r} and {two!r}" for name, (one, two) in differences.items())
        where = (
            f"twice in {known.where}" if known.where == other.where else f"in {known.where} and {other.where}"
        )
        return self.finding(
            Kind.QUEUE,
            known.name,
            f"Queue '{known.name}' is declared {where}, with {what}.",
            evidence={"where": [known.where, other.where], "differences": differences},
            fix=f"Declare '{known.name}' once, in {setting_name(evidence, 'task_queues')}, and name it by "
            "its name elsewhere.",
        )

    def _exchanges(self, evidence: Evidence) -> Iterator[Finding]:
        types: dict[str, dict[str, str]] = {}
        for queue in _declarations(evidence):
            for binding in queue.bindings:
                types.setdefault(binding.exchange, {}).setdefault(binding.exchange_type, queue.name)
        for exchange, found in sorted(types.items()):
            if len(found) > 1:
                described = " and ".join(f"{kind} for queue '{queue}'" for kind, queue in found.items())
                yield self.finding(
                    Kind.QUEUE,
                    next(iter(found.values())),
                    f"Exchange '{exchange}' is declared as {described}: the broker refuses the second.",
                    evidence={"exchange": exchange, "types": found},
                    fix=f"Make one Exchange('{exchange}', type=...) and use it for all its queues.",
                )


def _declarations(evidence: Evidence) -> Iterator[QueueFacts]:
    yield from (queue for queue in evidence.queues if not queue.is_broadcast)
    inline = [route.queue_declaration for route in evidence.routes]
    inline += [task.queue_declaration for task in evidence.own_tasks]
    inline += [entry.queue_declaration for entry in evidence.all_entries]
    for queue in inline:
        if queue is not None and not queue.is_broadcast:
            yield queue


def _differences(one: QueueFacts, other: QueueFacts) -> dict[str, list[Any]]:
    """Return what the broker would refuse, or drop, of the second declaration."""
    pairs: dict[str, tuple[Any, Any]] = {
        "durable": (one.durable, other.durable),
        "auto_delete": (one.auto_delete, other.auto_delete),
    }
    for argument in sorted({*one.arguments, *other.arguments}):
        pairs[argument] = (one.arguments.get(argument), other.arguments.get(argument))
    if one.where == other.where:
        # Bindings add up on the broker, but of two entries in one list the first is forgotten.
        pairs["exchange"] = (one.exchange, other.exchange)
        pairs["routing_key"] = (one.routing_key, other.routing_key)
    return {name: [left, right] for name, (left, right) in pairs.items() if left != right}
