"""Queues as they are declared, wherever a ``kombu.Queue`` stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kombu import Queue
from kombu.common import Broadcast

from celery_health.connections.shared_names import shared_name
from celery_health.doctor.facts import QueueFacts
from celery_health.topology import bindings_of

if TYPE_CHECKING:
    from celery import Celery

#: Attributes of ``kombu.Queue`` → the argument that they become (``amqp`` of ``kombu.utils.amq_manager``).
_ARGUMENTS: Final = {
    "expires": "x-expires",
    "message_ttl": "x-message-ttl",
    "max_length": "x-max-length",
    "max_length_bytes": "x-max-length-bytes",
    "max_priority": "x-max-priority",
}


def declared_queues(app: Celery) -> Iterator[QueueFacts]:
    """Yield the queues that the app declares: those of ``task_queues``, each as often as it stands there."""
    conf: Any = app.conf
    written = conf.task_queues
    if not written:
        amqp: Any = app.amqp
        yield queue_facts(app, amqp.default_queue, "task_default_queue")
        return
    known = app.amqp.queues
    for item in written.values() if isinstance(written, Mapping) else written:
        if isinstance(item, Queue):
            yield queue_facts(app, item, "task_queues")
    if isinstance(written, Mapping):
        # The dict form may describe a queue by options: only Celery knows what becomes of them.
        for name, options in written.items():
            if not isinstance(options, Queue) and name in known:
                yield queue_facts(app, known[name], "task_queues")


def queue_facts(app: Celery, queue: Any, where: str) -> QueueFacts:
    """Return the facts of one ``kombu.Queue``."""
    amqp: Any = app.amqp
    default = amqp.default_exchange
    exchange = queue.exchange
    # Before Celery has seen it, a bare queue has no exchange; after that it has the default one.
    is_default_exchange = not queue.bindings and (exchange is None or exchange.name in ("", default.name))
    key = queue.routing_key or app.conf.task_default_routing_key
    if exchange is None or not exchange.name:
        exchange = default
    arguments = dict(queue.queue_arguments or {})
    for attribute, argument in _ARGUMENTS.items():
        value = getattr(queue, attribute, None)
        if value is not None:
            arguments.setdefault(argument, value)
    return QueueFacts(
        name=shared_name(queue),
        where=where,
        exchange=str(exchange.name),
        exchange_type=str(exchange.type),
        routing_key=str(key or ""),
        bindings=tuple(bindings_of(queue)),
        arguments=arguments,
        durable=bool(queue.durable),
        auto_delete=bool(queue.auto_delete),
        is_bare=is_default_exchange and key == app.conf.task_default_routing_key,
        is_broadcast=isinstance(queue, Broadcast),
        is_renamed=shared_name(queue) != queue.name,
    )


def queue_in(app: Celery, options: object, where: str) -> QueueFacts | None:
    """Return the facts of the ``kombu.Queue`` that the option ``queue`` brings along, if it is one."""
    queue = options.get("queue") if isinstance(options, Mapping) else None
    return queue_facts(app, queue, where) if isinstance(queue, Queue) else None
