"""The name of the queue that a message goes to or came from, by the bindings that a process knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from celery_health.connections.exchanges import takes
from celery_health.connections.shared_names import shared_name

#: The queue is not known. Never a routing key in its place.
UNKNOWN_QUEUE: Final = ""


def reached(queues: Iterable[Any], exchange: str, routing_key: str, *, is_virtual: bool) -> str:
    """Return the one of the kombu `queues` that such a message reaches by its binding, or `UNKNOWN_QUEUE`.

    A queue that each process names anew is told by its one name.

    `is_virtual`: kombu emulates the exchanges of this transport.
    """
    names = {
        shared_name(queue)
        for queue in queues
        if _reaches(queue, exchange, routing_key, is_virtual=is_virtual)
    }
    return names.pop() if len(names) == 1 else UNKNOWN_QUEUE


def _reaches(queue: Any, exchange: str, routing_key: str, *, is_virtual: bool) -> bool:
    pairs = [(queue.exchange, queue.routing_key)]
    pairs += [(binding.exchange, binding.routing_key) for binding in queue.bindings or ()]
    return any(
        bound is not None
        and bound.name == exchange
        and takes(bound.type, key or "", routing_key, is_virtual=is_virtual)
        for bound, key in pairs
    )
