"""The records of what should be: where a message goes, and which queues somebody should consume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """One way into a queue: what is published to this exchange with a matching key lands in it."""

    queue: str
    """By its one name, where each process names it anew (`celery_health.connections.shared_names`)."""
    exchange: str
    exchange_type: str
    """``direct``, ``topic``, ``fanout``, ``headers`` or a broker's own."""
    routing_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where a message is published, as ``celery.app.amqp`` resolves it, and which queues it lands in."""

    exchange: str
    """``""`` is the broker's default exchange: straight into the queue that `routing_key` names."""
    exchange_type: str
    routing_key: str | None
    queue: str | None
    """The queue that the options or the routes name; None when they name an exchange alone."""
    reaches: tuple[str, ...] | None
    """Queues of this app whose bindings match; None when the exchange is none of this app's."""
    is_broadcast: bool = False
    """The queue is a ``kombu.common.Broadcast``: every consumer has one of its own, all under one name."""
    declares: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    """Exchanges, each with its type, that the process which sends declares first."""
    dropped: Mapping[str, str] = field(default_factory=dict, compare=False)
    """``exchange`` and ``routing_key`` as they were asked for, where Celery takes neither."""

    @property
    def declares_queue(self) -> bool:
        """Say whether a producer declares the queue, and its exchange, before it publishes."""
        return self.queue is not None and not self.is_broadcast

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the queues that it is known to land in, a broadcast by its one name."""
        if self.reaches is None:
            return () if self.queue is None else (self.queue,)
        return self.reaches

    def describe(self) -> str:
        """Return where it goes, in words."""
        if not self.exchange:
            return f"queue {self.routing_key!r}"
        return f"exchange {self.exchange!r} ({self.exchange_type}) with routing key {self.routing_key!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Topology:
    """Where the tasks of a project are sent, and by what."""

    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Queue → why somebody should consume it: ``task:<name>``, ``beat:<entry>``."""
    own_tasks: frozenset[str] = frozenset()
    """Names of the tasks of this project and of its installed apps."""
    project_tasks: frozenset[str] = frozenset()
    """Those of the project itself: another project may have the same apps installed."""
    own_queues: frozenset[str] = frozenset()
    """Queues where own tasks go, whether or not they expect a consumer, and the schedule."""
    optional_queues: frozenset[str] = frozenset()
    """Queues where registered tasks go that expect nothing: looked at, and told of when something waits."""
    known_queues: tuple[str, ...] = ()
    """Every queue that the app declares, expected or not."""
    shared_names: frozenset[str] = frozenset()
    """Those of them that are called otherwise on the broker, in each process: broadcasts, and their like."""
    fanouts: frozenset[str] = frozenset()
    """Those of `shared_names` that are bound to a fanout exchange."""
    unrouted: Mapping[str, str] = field(default_factory=dict)
    """Task or entry → why the app's router gave no queue for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """One message that a backend would publish."""

    name: str | None
    """The Celery task's name; None: not known."""
    options: Mapping[str, Any] | None
    """Those that say where it goes; empty: the app's routes say it; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DjangoTask:
    """What a backend may read of one of Django's tasks."""

    module_path: str
    queue_name: str
    fields: Mapping[str, Any]
    """The fields of its dataclass."""
