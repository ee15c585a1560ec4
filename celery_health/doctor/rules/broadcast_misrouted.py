"""On Redis, what is sent to a broadcast reaches no worker: the process that sends it takes it for direct.

Redis has no exchanges: each process that sends keeps in memory which type an exchange has, and learns it when
it declares it. Celery declares the queue of a message before it sends, but never a ``Broadcast``
(``celery/app/amqp.py``), nor an exchange that is named without a queue. So a fanout exchange counts as a
direct one, and the message is written into a list for each worker, under the random name of its broadcast
queue (``bcast.`` and a UUID). Workers listen to a channel of Redis, and read no such list. Nothing runs,
nothing is logged, and the lists grow. RabbitMQ knows its exchanges by itself: there the same code works.

The app's own router was asked where each task, entry and call in the project's code goes, and what is
declared on the way. It works where the sending declares the exchange: ``declare`` in the route, or in the
options of the call. On Redis the routing key has to be the queue's own, too. What goes straight to a queue
that has the name of an exchange, or the common name of the queues of hosts and processes, is lost in the same
way.

Live, the lists of workers that run are looked at: what lies there was sent so, by whoever it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import QueueFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.doctor.spelling import routes_added
from celery_health.doctor.wording import listed
from celery_health.topology import Binding, Destination

#: Options of a route that say where a message goes.
_ADDRESS = ("queue", "exchange", "routing_key", "exchange_type", "declare")


class _Code(str):
    """What is printed as it stands within a line to paste."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(kw_only=True, slots=True)
class _Lost:
    """What is sent to one fanout exchange, and reaches nobody."""

    exchange: str
    binding: Binding
    how: str = ""
    senders: list[str] = field(default_factory=list)
    """In words: ``'shop.reload'``, ``entry 'nightly'``, ``the call at shop.views:12``."""
    tasks: dict[str, bool] = field(default_factory=dict)
    """Task → its route chooses where it goes; False where its entry or call does."""


class BroadcastMisrouted(Rule):
    """A broadcast is sent so that no worker gets it."""

    number: ClassVar = 129
    name: ClassVar = "broadcast-misrouted"
    summary: ClassVar = "On Redis, what is sent to a broadcast lies in lists that no worker reads."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per exchange of broadcasts."""
        if not evidence.is_redis:
            return
        found: dict[str, _Lost] = {}
        for sender, task, by_route, to in _sent(evidence):
            lost = misrouted(evidence, to)
            if lost is not None:
                kept = found.setdefault(lost.exchange, lost)
                kept.senders.append(sender)
                kept.tasks[task] = kept.tasks.get(task, False) or by_route
        lying = lists_of_workers(evidence)
        for exchange in sorted({*found, *lying}):
            binding = binding_of(evidence, exchange)
            if binding is None:
                continue
            one = found.get(exchange) or _Lost(exchange=exchange, binding=binding)
            yield self._finding(evidence, one, lying.get(exchange, {}))

    def _finding(self, evidence: Evidence, lost: _Lost, lying: Mapping[str, int]) -> Finding:
        queue, messages = lost.binding.queue, sum(lying.values())
        names = sorted(names_in(evidence, lying))
        where = f"{messages} messages for broadcast '{queue}' lie in {_lists(lying)}, which no worker reads"
        if lost.senders:
            sent = f"{_subject(lost.senders)} to broadcast '{queue}', and no worker gets it: {lost.how}"
            message = f"{sent}. {where}." if messages else f"{sent}."
        else:
            what = f" ({listed(names)})" if names else ""
            message = (
                f"{where}{what}: who sends them does not declare exchange '{lost.exchange}', and takes it "
                "for a direct one."
            )
        tasks = lost.tasks or dict.fromkeys(names, False)
        return self.finding(
            Kind.QUEUE,
            queue,
            message,
            evidence={
                "exchange": lost.exchange,
                "sent_by": lost.senders,
                "tasks": sorted(tasks),
                "messages": messages,
                "lists": dict(sorted(lying.items())[:20]),
            },
            fix=_fix(evidence, lost, tasks),
            proven_live=bool(messages),
        )


def _sent(evidence: Evidence) -> Iterator[tuple[str, str, bool, Destination | None]]:
    """Yield who sends, which task, whether its own route or options say where to, and where it goes."""
    for task in evidence.own_tasks:
        yield f"'{task.name}'", task.name, True, task.destination
    for entry in evidence.all_entries:
        facts = evidence.tasks.get(entry.task)
        if facts is None or not facts.is_own or _differ(facts.destination, entry.destination):
            yield f"entry '{entry.name}'", entry.task, False, entry.destination
    for call in evidence.calls:
        yield f"'{call.task}' at {call.place}", call.task, False, call.destination


def _differ(one: Destination | None, other: Destination | None) -> bool:
    return one != other or (one is not None and other is not None and one.declares != other.declares)


def misrouted(evidence: Evidence, to: Destination | None) -> _Lost | None:
    """Return how a message to a fanout exchange is lost on Redis; None where it is none, or gets there."""
    if to is None:
        return None
    if not to.exchange:
        return _straight(evidence, to.queue)
    bound = [b for b in evidence.bindings if b.exchange == to.exchange and b.exchange_type == "fanout"]
    if not bound:
        return None
    lost = _Lost(exchange=to.exchange, binding=bound[0])
    if (to.exchange, "fanout") not in to.declares:
        lost.how = (
            f"on Redis the process that sends takes exchange '{to.exchange}', which it does not declare, for "
            "a direct one, and writes lists"
        )
    elif all(b.routing_key.replace("#", "*") != (to.routing_key or "") for b in bound) and not any(
        "*" in b.routing_key or "#" in b.routing_key for b in bound
    ):
        keys = listed(sorted({b.routing_key for b in bound}))
        key = to.routing_key or ""
        lost.how = f"on Redis workers listen to routing key {keys} alone, and it is sent with {key!r}"
    return lost if lost.how else None


def _straight(evidence: Evidence, queue: str | None) -> _Lost | None:
    """Return that a queue which is named is none, but an exchange, or the common name of several."""
    known = {facts.name: facts for facts in evidence.queues}
    facts = known.get(queue or "")
    if facts is not None:
        if not facts.is_renamed or facts.is_broadcast or facts.exchange_type != "fanout":
            return None
    elif not evidence.conf.declares_queues:
        return None
    consumed = {name for worker in evidence.workers for name in worker.queues or ()}
    for binding in evidence.bindings:
        is_it = binding.exchange_type == "fanout" and queue in (binding.exchange, binding.queue)
        if is_it and (facts is not None or queue not in consumed):
            how = f"'{queue}' is the name of an exchange, and a queue of this name is consumed by nobody"
            return _Lost(exchange=binding.exchange, binding=binding, how=how)
    return None


def binding_of(evidence: Evidence, exchange: str) -> Binding | None:
    """Return how the app's first queue is bound to a fanout exchange; None where none is."""
    fanout = (b for b in evidence.bindings if b.exchange_type == "fanout")
    return next((b for b in fanout if b.exchange == exchange), None)


def lists_of_workers(evidence: Evidence) -> dict[str, dict[str, int]]:
    """Return fanout exchange → lists of running workers' broadcasts that hold messages."""
    if evidence.live is None:
        return {}
    alive = {name for one in evidence.workers for names in one.names_on_broker.values() for name in names}
    found = {}
    for exchange, lists in evidence.live.broadcast_lists.items():
        mine = {name: ready for name, ready in lists.items() if name in alive}
        if mine and binding_of(evidence, exchange) is not None:
            found[exchange] = mine
    return found


def names_in(evidence: Evidence, lists: Iterable[str]) -> frozenset[str]:
    """Return the tasks that are seen in lists."""
    waiting = evidence.live.waiting if evidence.live else {}
    return frozenset(name for one in lists if one in waiting for name in waiting[one].names)


def _lists(lists: Mapping[str, int]) -> str:
    first = next(iter(sorted(lists)), "")
    return f"list '{first}'" if len(lists) == 1 else f"{len(lists)} lists, as '{first}'"


def _subject(senders: list[str], most: int = 5) -> str:
    shown = senders[:most]
    more = [f"{len(senders) - most} more"] if len(senders) > most else []
    parts = shown + more
    if len(parts) == 1:
        return f"{parts[0][0].upper()}{parts[0][1:]} goes"
    text = f"{', '.join(parts[:-1])} and {parts[-1]} go"
    return text[0].upper() + text[1:]


def _fix(evidence: Evidence, lost: _Lost, tasks: Mapping[str, bool]) -> str:
    """Return the routes that have the process which sends declare the exchange."""
    declare = f"'declare': [Exchange({lost.exchange!r}, type='fanout')]"
    if not tasks:
        return f"Give the route of what is sent there, or the options of the call, {declare}."
    line = routes_added(
        evidence,
        {name: _route(evidence, lost, name, by_route=by_route) for name, by_route in sorted(tasks.items())},
    )
    return f"{line}, below 'from kombu import Exchange': who sends it then declares the exchange."


def _route(evidence: Evidence, lost: _Lost, task: str, *, by_route: bool) -> dict[str, Any]:
    """Return the route that gets a task there; of one that others address, what they lack."""
    winning = next((route for route in evidence.routes if task in route.wins), None)
    written = winning.options if winning is not None else {}
    kept = {option: value for option, value in written.items() if option not in _ADDRESS}
    address = address_of(evidence, lost.binding)
    if not by_route:
        declared = {"declare": address["declare"]}
        address = {option: value for option, value in written.items() if option in _ADDRESS} | declared
    return {**address, **kept}


def address_of(evidence: Evidence, binding: Binding) -> dict[str, Any]:
    """Return the options that lead to a fanout exchange on Redis: by the queue's name where that does."""
    declare = _Code(f"[Exchange({binding.exchange!r}, type='fanout')]")
    own: QueueFacts | None = next((q for q in evidence.queues if q.name == binding.queue), None)
    if own is not None and (own.is_broadcast or not own.is_renamed):
        return {"queue": own.name, "declare": declare}
    return {"exchange": binding.exchange, "routing_key": binding.routing_key, "declare": declare}
