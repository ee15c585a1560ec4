"""Where a message goes: the app's real router, and what ``celery.app.amqp`` makes of its answer. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_health.connections.exchanges import is_virtual, takes
from celery_health.connections.shared_names import shared_name
from celery_health.project_code import calling_project
from celery_health.topology.model import Binding, Destination

if TYPE_CHECKING:
    from celery import Celery


class Resolver:
    """Answers where the app sends a task, over a copy of its queues.

    A copy, since asking must not add a queue to what a worker in this process consumes
    (``celery.app.amqp.Queues.__missing__``).
    """

    def __init__(self, app: Celery) -> None:
        self._app: Any = app
        self.queues: Any = _copy_of_queues(app)
        with calling_project():
            self._router: Any = app.amqp.Router(queues=self.queues)
        self._is_virtual = is_virtual(app)
        self._bindings: tuple[int, tuple[Binding, ...]] = (-1, ())
        self._plain: dict[str, Destination] = {}

    def resolve(self, name: str, options: Mapping[str, Any]) -> Destination:
        """Return where a message for the task `name` goes when it is sent with `options`.

        Raises:
            LookupError: the router names a queue that the app may not create (``QueueNotFound``).
            Exception: whatever a router of the project raises.
        """
        if options:
            return self._resolve(name, options)
        # Asked of each task and again of each of its entries: a router looks through all of its patterns.
        if name not in self._plain:
            self._plain[name] = self._resolve(name, {})
        return self._plain[name]

    def _resolve(self, name: str, options: Mapping[str, Any]) -> Destination:
        task: Any = self._app.tasks.get(name)
        with calling_project():
            # Like Task.apply_async: the task's own options, under those of the call (celery/app/task.py).
            defaults = task._get_exec_options() if task is not None else {}
            routed = self._router.route({**defaults, **options}, name, task_type=task)
        return self.destination(routed)

    def routed(self, name: str) -> Destination:
        """Return where the routes alone send a task, whatever its own options say.

        Raises:
            Exception: whatever a router of the project raises.
        """
        with calling_project():
            routed = self._router.route({}, name, task_type=self._app.tasks.get(name))
        return self.destination(routed)

    def sends(self, name: str, options: Mapping[str, Any]) -> Destination:
        """Return where routes and `options` send a message of that name; its task is not looked at.

        Raises:
            Exception: whatever a router of the project raises.
        """
        return self.destination(self._router.route(dict(options), name))

    def route_options(self, name: str) -> Mapping[str, Any]:
        """Return what the routes alone say of a task, as it is written; nothing where none speaks of it.

        Raises:
            Exception: whatever a router of the project raises.
        """
        task = self._app.tasks.get(name)
        with calling_project():
            found = self._router.lookup_route(name, (), {}, {}, task) if self._router.routes else None
            return self._router.expand_destination(found) if found else {}

    def destination(self, routed: Mapping[str, Any]) -> Destination:
        """Return what ``AMQP.send_task_message`` makes of the router's answer (celery/app/amqp.py)."""
        queue, exchange, key = routed.get("queue"), routed.get("exchange"), routed.get("routing_key")
        exchange_type = routed.get("exchange_type")
        if queue is None and exchange is None:
            queue = self._app.conf.task_default_queue
        if isinstance(queue, str):
            queue = self.queues[queue]
        if exchange_type is None:
            exchange_type = queue.exchange.type if queue is not None and queue.exchange else "direct"
        declares = _declared(routed.get("declare"), queue)
        dropped = {}
        is_straight = (not exchange or not key) and exchange_type == "direct"
        if is_straight:
            dropped = {
                option: str(getattr(value, "name", value))
                for option, value in (("exchange", exchange), ("routing_key", key))
                if value
            }
            exchange, key = "", getattr(queue, "name", None)
        elif exchange is None and queue is not None:
            exchange = (queue.exchange and queue.exchange.name) or self._app.amqp.default_exchange
            key = key or queue.routing_key or self._app.conf.task_default_routing_key
        exchange_type = getattr(exchange, "type", exchange_type)
        exchange = str(getattr(exchange, "name", exchange) or "")
        name = None if queue is None else shared_name(queue)
        return Destination(
            exchange=exchange,
            exchange_type=self.type_of(exchange) or str(exchange_type),
            routing_key=key,
            queue=name,
            is_broadcast=isinstance(queue, Broadcast),
            reaches=self.reached(exchange, name if is_straight else key, queue),
            declares=declares,
            dropped=dropped,
        )

    def reached(self, exchange: str, key: str | None, queue: Any = None) -> tuple[str, ...] | None:
        """Return the queues that a message lands in by the bindings that this app knows; None: none is known.

        `queue` is one that the message brings along, which its producer declares.
        """
        if not exchange:
            return (key,) if key else ()
        bindings = [binding for binding in self.bindings() if binding.exchange == exchange]
        if queue is not None and self.queues.get(queue.name) is not queue:
            bindings += [binding for binding in bindings_of(queue) if binding.exchange == exchange]
        if not bindings or any(binding.exchange_type == "headers" for binding in bindings):
            return None
        matching = (binding.queue for binding in bindings if self.matches(binding, key or ""))
        return tuple(dict.fromkeys(matching))

    def matches(self, binding: Binding, key: str) -> bool:
        """Say whether a message with `key` goes through `binding`, as this app's transport has it."""
        return takes(binding.exchange_type, binding.routing_key, key, is_virtual=self._is_virtual)

    def bindings(self) -> tuple[Binding, ...]:
        """Return every binding of every queue that the app knows by now."""
        count = len(self.queues)
        if self._bindings[0] != count:  # routing adds queues, and takes none away
            self._bindings = (count, tuple(b for queue in self.queues.values() for b in bindings_of(queue)))
        return self._bindings[1]

    def type_of(self, exchange: str) -> str | None:
        """Return the type with which one of the app's queues declares an exchange; None when none does."""
        if not exchange:
            return None
        return next((b.exchange_type for b in self.bindings() if b.exchange == exchange), None)


def bindings_of(queue: Any) -> Iterable[Binding]:
    """Yield the bindings that declaring `queue` makes (``kombu.Queue.declare``)."""
    name = shared_name(queue)
    pairs = [(queue.exchange, queue.routing_key)] if queue.exchange else []
    pairs += [(b.exchange, b.routing_key) for b in queue.bindings]
    for exchange, key in pairs:
        if exchange is not None and exchange.name:
            yield Binding(
                queue=name,
                exchange=str(exchange.name),
                exchange_type=str(exchange.type),
                routing_key=str(key or ""),
            )


def _declared(declare: Any, queue: Any) -> frozenset[tuple[str, str]]:
    """Return the exchanges, each with its type, that a process declares before it sends.

    Celery declares the queue, unless that is a broadcast or the options say what to declare.
    """
    if declare is None:
        declare = [] if queue is None or isinstance(queue, Broadcast) else [queue]
    found = set()
    for one in declare if isinstance(declare, Iterable) else ():
        if isinstance(one, Exchange):
            found.add((str(one.name), str(one.type)))
        elif isinstance(one, Queue):
            found.update((binding.exchange, binding.exchange_type) for binding in bindings_of(one))
    return frozenset(found)


def _copy_of_queues(app: Celery) -> Any:
    amqp: Any = app.amqp
    queues = amqp.queues
    copy = amqp.Queues(dict(queues), create_missing=queues.create_missing)
    copy.aliases.update(queues.aliases)
    return copy
