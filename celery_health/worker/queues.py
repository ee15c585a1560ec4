"""The name of the queue that a message was taken from.

A message names an exchange and a routing key, and neither is a queue. What knows better: virtual transports
deliver by queue, AMQP by consumer tag. The bindings of the consumed queues are the last resort.

A queue that each process names anew, as broadcasts do, has its one name here (`connections.shared_names`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from celery_health.connections.shared_names import shared_name
from celery_health.reporting.queue_names import reached

#: Exchange and routing key pairs to remember; a topic's routing keys are without bound.
_MAX_BINDINGS: Final = 1000


class QueueNames:
    """Names the queues of one worker's messages. Called in the consumer's thread only."""

    def __init__(self) -> None:
        self._delivering: str | None = None
        self._consumer: Any = None
        self._is_virtual = False
        self._by_tag: dict[str, str] = {}
        self._by_binding: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        """Queue → its one name, of those that were consumed."""

    def attach(self, consumer: Any) -> None:
        """Watch the connection of a Celery consumer that has just (re)connected."""
        self._consumer = consumer
        self._by_tag, self._by_binding, self._names = {}, {}, {}
        transport = consumer.connection.transport
        deliver: Callable[..., Any] | None = getattr(transport, "_deliver", None)
        self._is_virtual = deliver is not None
        if deliver is not None and not getattr(deliver, "_celery_health", False):
            transport._deliver = self._noting(deliver)

    def _noting(self, deliver: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap kombu's ``virtual.Transport._deliver``: the one place that has message and queue together."""

        def noting(message: Any, queue: Any, *args: Any, **kwargs: Any) -> Any:
            # Delivery is synchronous, and a solo worker runs the task inside it.
            outer, self._delivering = self._delivering, queue
            try:
                return deliver(message, queue, *args, **kwargs)
            finally:
                self._delivering = outer

        noting._celery_health = True  # type: ignore[attr-defined]
        return noting

    def of(self, message: Any) -> str:
        """Return the queue that this kombu message, just delivered, came from; empty when it is not known."""
        if self._delivering is not None:
            return self._names.get(self._delivering) or self._name(self._delivering)
        info = message.delivery_info or {}
        tag = info.get("consumer_tag")
        if tag is not None:
            name = self._by_tag.get(tag) or self._learn(tag)
            if name is not None:
                return name
        return self.bound_to(info.get("exchange"), info.get("routing_key"))

    def _learn(self, tag: str) -> str | None:
        # {queue: tag} of kombu.messaging.Consumer; it has no public way from a tag to its queue.
        tags = getattr(self._consumer.task_consumer, "_active_tags", None) or {}
        self._by_tag = {known: self._name(queue) for queue, known in dict(tags).items()}
        return self._by_tag.get(tag)

    def _name(self, queue: str) -> str:
        """Return the one name of a queue that is consumed."""
        if queue not in self._names:
            consumed = {str(one.name): one for one in self._consumed()}
            known = shared_name(consumed[queue]) if queue in consumed else queue
            if len(self._names) >= _MAX_BINDINGS:
                return known
            self._names[queue] = known
        return self._names[queue]

    def _consumed(self) -> list[Any]:
        consumer = getattr(self._consumer, "task_consumer", None)
        return list(consumer.queues) if consumer is not None else []

    def bound_to(self, exchange: str | None, routing_key: str | None) -> str:
        """Return the one consumed queue that such a message reaches; empty when it is not known."""
        exchange, routing_key = exchange or "", routing_key or ""
        if not exchange:
            return self._name(routing_key)  # the default exchange: the routing key is the queue's name
        key = exchange, routing_key
        name = self._by_binding.get(key)
        if name is None:
            name = self._match(exchange, routing_key)
            if len(self._by_binding) < _MAX_BINDINGS:
                self._by_binding[key] = name
        return name

    def _match(self, exchange: str, routing_key: str) -> str:
        queues = self._consumed()
        if len(queues) == 1:
            return shared_name(queues[0])
        return reached(queues, exchange, routing_key, is_virtual=self._is_virtual)
