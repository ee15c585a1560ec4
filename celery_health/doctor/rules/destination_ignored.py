"""What a route, a task or an entry asks for as its destination has no effect: the message goes elsewhere.

A ``routing_key`` alone names no queue. Where the exchange is direct, as Celery's are, Celery takes a key and
an exchange only together, and goes straight to the queue that is named; where none is, to the default one
(``celery/app/amqp.py``, ``send_task_message``). An ``exchange`` alone in a route has no queue at all: the
message goes nowhere. Exchange and key together go before the queue that is named beside them, which then
gets nothing. And a task's own ``queue`` goes before that of its route.

The app's own router is asked, and what becomes of its answer is compared with what is written. A key or an
exchange that is the queue's own is no matter, nor is one beside a queue that is named, unless it is that of
another queue: then one of the two is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from celery_health.connections.exchanges import takes
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts, RouteFacts, TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.broadcast_misrouted import address_of
from celery_health.doctor.spelling import annotations_added
from celery_health.doctor.wording import listed
from celery_health.topology import Destination


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """Where a destination is written."""

    kind: Kind
    name: str
    queue: str | None
    """The queue that is named, there or beneath it; None where only the default one is left."""

    @property
    def text(self) -> str:
        return f"{'Task' if self.kind is Kind.TASK else 'Route'} '{self.name}'"


class DestinationIgnored(Rule):
    """A destination that is asked for, and has no effect."""

    number: ClassVar = 127
    name: ClassVar = "destination-ignored"
    summary: ClassVar = "A routing key, exchange or queue that is asked for has no effect: it goes elsewhere."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per route, task and entry that asks in vain."""
        queues = _Queues(evidence)
        routes = {name: route for route in reversed(evidence.routes) for name in route.wins}
        sent: dict[tuple[object, ...], tuple[_Origin, list[str], Destination]] = {}
        for task in evidence.own_tasks:
            if task.destination is not None:
                origin = _origin(task.name, {}, task, routes.get(task.name))
                to = task.destination
                key = (origin, to.exchange, to.routing_key, *to.dropped.items())
                sent.setdefault(key, (origin, [], to))[1].append(task.name)
        for origin, names, to in sent.values():
            yield from self._judge(queues, origin, names, to)
        for entry in evidence.all_entries:
            task_facts = evidence.tasks.get(entry.task)
            if entry.destination is not None and entry.options.keys() & {"queue", "exchange", "routing_key"}:
                origin = _entry_origin(entry, task_facts, routes.get(entry.task))
                yield from self._judge(queues, origin, [entry.task], entry.destination)
        for route in evidence.routes:
            yield from self._outdone(evidence, route)

    def _judge(
        self, queues: _Queues, origin: _Origin, names: list[str], to: Destination
    ) -> Iterator[Finding]:
        if to.dropped and to.queue is None:
            yield self._nowhere(queues, origin, names, to)
        elif to.dropped:
            yield from self._elsewhere(queues, origin, names, to)
        elif (
            to.exchange
            and origin.queue
            and to.reaches
            # By its one name it may be another than what is written.
            and {origin.queue, to.queue}.isdisjoint(queues.reached(to))
        ):
            yield self._outrun(queues, origin, names, to)

    def _nowhere(self, queues: _Queues, origin: _Origin, names: list[str], to: Destination) -> Finding:
        exchange = to.dropped["exchange"]
        bound = queues.bound_to(exchange)
        fix = f"Write {queues.address(bound[0], None)}." if bound else "Name its queue: {'queue': '<queue>'}."
        return self._found(
            origin,
            names,
            to,
            f"exchange '{exchange}' without a queue or a routing key: Celery drops it, and the message goes "
            "to no queue",
            fix,
        )

    def _elsewhere(
        self, queues: _Queues, origin: _Origin, names: list[str], to: Destination
    ) -> Iterator[Finding]:
        queue = to.queue or ""
        wrong = {
            option: value for option, value in to.dropped.items() if not queues.is_own(queue, option, value)
        }
        others = [other for option, value in wrong.items() for other in queues.meant_by(option, value, queue)]
        if not wrong or (origin.queue is not None and not others):
            return
        if origin.queue is not None and set(others) <= {queues.default}:
            return  # what libraries give to every message
        words = " and ".join(f"{option.replace('_', ' ')} '{value}'" for option, value in wrong.items())
        named = f"queue '{queue}' and " if origin.queue else ""
        why = "the queue that is named"
        if origin.queue is None:
            is_default = queue == queues.default
            why = "the default queue, since no other is named" if is_default else "the queue of its task"
        if others:
            fix = f"Write {queues.address(others[0], wrong.get('routing_key'))}"
            fix += f" for queue '{others[0]}', or leave the other out." if origin.queue else "."
        else:
            fix = "Name the queue that is meant, 'queue': '<queue>', or leave the other out."
        yield self._found(
            origin,
            names,
            to,
            f"{named}{words}, which has no effect on a direct exchange: messages go straight to '{queue}', "
            f"{why}",
            fix,
            meant=others,
        )

    def _outrun(self, queues: _Queues, origin: _Origin, names: list[str], to: Destination) -> Finding:
        reached = to.reaches or ()
        return self._found(
            origin,
            names,
            to,
            f"queue '{origin.queue}', and routing key '{to.routing_key}' on exchange '{to.exchange}', which "
            f"goes before it: messages go to {listed(reached)} alone",
            f"Write {{'queue': '{origin.queue}'}} alone, or {queues.address(reached[0], to.routing_key)}.",
        )

    def _outdone(self, evidence: Evidence, route: RouteFacts) -> Iterator[Finding]:
        """Yield a finding for a route whose queue the tasks' own queues go before."""
        own = outdone_by(evidence, route)
        if not own:
            return
        queue = route.options["queue"]
        queues = sorted({str(name) for name in own.values()})
        changes = annotations_added(evidence, {name: {"queue": queue} for name in own})
        yield self.finding(
            Kind.ROUTE,
            route.key,
            f"Route '{route.key}' gives {listed(own)} queue '{queue}', and that has no effect: a task's own "
            f"queue goes before it, {listed(queues)}.",
            evidence={"route": dict(route.options), "tasks": own},
            fix=f"{changes}, or leave out queue= on the task.",
        )

    def _found(
        self,
        origin: _Origin,
        names: list[str],
        to: Destination,
        what: str,
        fix: str,
        meant: Iterable[str] = (),
    ) -> Finding:
        whose = f"Beat entry '{origin.name}'" if origin.kind is Kind.BEAT_ENTRY else origin.text
        return self.finding(
            origin.kind,
            origin.name,
            f"{whose} asks for {what}.",
            evidence={
                "tasks": names,
                "dropped": dict(to.dropped),
                "goes_to": list(to.queues),
                "meant": list(meant),
            },
            fix=fix,
        )


def _origin(
    name: str, options: Mapping[str, Any], task: TaskFacts | None, route: RouteFacts | None
) -> _Origin:
    """Return where the destination of a task is written: its own options go before those of its route."""
    own = {**(task.options if task else {}), **options}
    # A router that is code has no keys: what it gives stands with the task.
    given = route.options if route is not None else task.route if task is not None else {}
    queue = own.get("queue") or given.get("queue")
    if route is None or own.keys() & {"exchange", "routing_key"}:
        return _Origin(kind=Kind.TASK, name=name, queue=queue)
    return _Origin(kind=Kind.ROUTE, name=route.key, queue=queue)


def _entry_origin(entry: EntryFacts, task: TaskFacts | None, route: RouteFacts | None) -> _Origin:
    queue = _origin(entry.task, entry.options, task, route).queue
    if entry.options.keys() & {"exchange", "routing_key"} and "queue" not in entry.options:
        queue = None  # who writes a key for one entry means it, whatever queue the task has otherwise
    return _Origin(kind=Kind.BEAT_ENTRY, name=entry.name, queue=queue)


def outdone_by(evidence: Evidence, route: RouteFacts) -> Mapping[str, str]:
    """Return the tasks of `route` and their own queues, where they go before its queue; none where one is."""
    queue = route.options.get("queue")
    own = {name: evidence.tasks[name].options.get("queue") for name in route.wins if name in evidence.tasks}
    # A pattern may stand there for tasks to come.
    if route.is_pattern or not queue or not own or not all(own.values()) or queue in own.values():
        return {}
    return {name: str(queue) for name, queue in own.items()}


class _Queues:
    """What is known of queues, by whatever tells."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.default = evidence.conf.default_queue
        consumed = {queue for worker in evidence.workers for queue in worker.queues or ()}
        self.names = (
            evidence.declared_queues
            | {binding.queue for binding in evidence.bindings}
            | evidence.own_queues
            | frozenset(evidence.expected_queues)
            | consumed
        )

    def is_own(self, queue: str, option: str, value: str) -> bool:
        """Say whether a key or an exchange is the one that `queue` has anyway."""
        return value == queue or any(
            self._takes(binding, value) if option == "routing_key" else binding.exchange == value
            for binding in self._evidence.bindings
            if binding.queue == queue
        )

    def meant_by(self, option: str, value: str, landing: str) -> list[str]:
        """Return the queues that a key or an exchange is of, the surest first, without the one it goes to."""
        found = [value] if value in self.names else []
        found += [
            binding.queue
            for binding in self._evidence.bindings
            if (
                binding.routing_key != "#" and self._takes(binding, value)
                if option == "routing_key"
                else binding.exchange == value
            )
        ]
        return [queue for queue in dict.fromkeys(found) if queue != landing]

    def bound_to(self, exchange: str) -> list[str]:
        """Return the queues of an exchange, the one of its name too."""
        return self.meant_by("exchange", exchange, "")

    def address(self, queue: str, key: str | None) -> str:
        """Return the options of a route that reach `queue`, with the key where its exchange wants one."""
        if self._evidence.is_redis:
            for binding in self._evidence.bindings:
                if binding.queue == queue and binding.exchange_type == "fanout":
                    return repr(address_of(self._evidence, binding))
        bindings = [b for b in self._evidence.bindings if b.queue == queue and b.exchange_type == "topic"]
        if key and any(self._takes(binding, key) for binding in bindings):
            return f"{{'queue': '{queue}', 'routing_key': '{key}'}}"
        return f"{{'queue': '{queue}'}}"

    def reached(self, to: Destination) -> tuple[str, ...]:
        """Return the queues that a message gets to, those that only the broker knows too."""
        live = self._evidence.live
        takers = live.takers(to.exchange, to.exchange_type, to.routing_key or "") if live else None
        return (*(to.reaches or ()), *(takers or ()))

    def _takes(self, binding: Any, key: str) -> bool:
        is_virtual = not self._evidence.is_amqp
        return takes(binding.exchange_type, binding.routing_key, key, is_virtual=is_virtual)
