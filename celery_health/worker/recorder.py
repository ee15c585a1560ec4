"""The whole state of a worker as one record: what the store keeps and everybody else reads.

Built in the agent's thread while the worker works on: it only looks, at copies taken in one step of the
interpreter, and never asks kombu or Celery for anything that could open a connection.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, Final

from celery.worker import state as worker_state

from celery_health import __version__
from celery_health.conf import Settings
from celery_health.connections.shared_names import shared_name, shared_names
from celery_health.reporting.faults import Faults
from celery_health.store.base import OwnStart
from celery_health.worker.clocks import Clocks, rounded
from celery_health.worker.given_up import GivenUp
from celery_health.worker.held import HeldTasks, any_runs, copied, running_count, sane, unacknowledged
from celery_health.worker.holds import prefetch_limit
from celery_health.worker.overdue import Overdue
from celery_health.worker.pools import (
    Children,
    grows_from_none,
    live_children,
    pool_name,
    runs_tasks_in_loop,
    slots,
)
from celery_health.worker.presence import Presence
from celery_health.worker.queues import QueueNames
from celery_health.worker.restarts import Restarts
from celery_health.worker.retries import Retries
from celery_health.worker.unacked import unacked_messages

#: When a loop that turns every second, or comes back from reading every two, is asked what it waits for.
STILL_SECONDS: Final = 2.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What does not change while a worker runs."""

    hostname: str
    app_id: str
    config: str
    """Fingerprint of what decides over routing."""
    broker: str
    """Fingerprint of the broker's place."""
    limits: Mapping[str, float | None]
    """Time limits of the whole worker, in seconds."""


class Recorder:
    """Builds the records of one worker."""

    def __init__(
        self,
        identity: Identity,
        *,
        settings: Settings,
        clocks: Clocks,
        queues: QueueNames,
        children: Children,
        presence: Presence,
        restarts: Restarts,
        given_up: GivenUp,
        faults: Faults,
    ) -> None:
        self._identity = identity
        self._clocks = clocks
        self._children = children
        self._presence = presence
        self._restarts = restarts
        self._given_up = given_up
        self._held = HeldTasks(identity.limits, settings=settings, queues=queues, faults=faults)
        self._started_at = time.time()
        self._began_at = monotonic()
        self._had_children_at = monotonic()
        self._retries = Retries()
        self._idle = Overdue()
        self._is_held_back = False
        """As of the last record."""
        self._first_queues: tuple[str, ...] | None = None
        self._versions = _versions()
        self.consumer: Any = None
        """Celery's, from its first start on."""
        self.fingerprint = ""
        self.is_ready = False
        """Celery says so: once, when it is about to take messages for the first time."""
        self.draining = False
        self.goodbye = False
        self.ended_by: str | None = None
        """The error that ends it, in words; None where there is none."""

    @property
    def mark(self) -> dict[str, Any]:
        """Return who writes the record: its app and versions, as JSON can hold it."""
        return {"app_id": self._identity.app_id, "versions": self._versions}

    @property
    def ready(self) -> bool:
        """Say whether the worker ever took messages, or could have. Workers of tests get no signal."""
        return self.is_ready or self._clocks.turned

    def start(self) -> OwnStart:
        """Return what the store is to keep of this start."""
        return OwnStart(
            age_seconds=monotonic() - self._began_at,
            is_ready=self.ready,
            is_told=self.draining or self.goodbye,
        )

    @property
    def connected(self) -> bool:
        """Say whether the consumer has a connection, as far as is known.

        Not while the loop stands still to connect again: then it takes nothing, and knows nothing of its own.
        """
        if not self._clocks.attached or getattr(self.consumer, "connection", None) is None:
            return False
        age = self._clocks.loop_age(monotonic())
        return age is None or age < STILL_SECONDS or not self._retries.are_under_way()

    def consumed_queues(self) -> tuple[str, ...]:
        """Return the queues that the consumer is subscribed to, each by its one name."""
        return tuple(dict.fromkeys(shared_name(queue) for queue in self._queues()))

    def _queues(self) -> Iterable[Any]:
        return copied(lambda: getattr(getattr(self.consumer, "task_consumer", None), "queues", ()))

    def _single_active_queues(self) -> list[str]:
        """Return the consumed queues whose messages RabbitMQ gives to one of their consumers alone."""
        alone = [q for q in self._queues() if (q.queue_arguments or {}).get("x-single-active-consumer")]
        return [sane(shared_name(queue)) for queue in alone]

    def _names_on_broker(self) -> dict[str, list[str]]:
        """Return queue → what the broker calls it, of those that each process names anew."""
        names = shared_names(self._queues())
        return {sane(name): [sane(real) for real in reals] for name, reals in names.items()}

    def attach(self) -> None:
        """Note what a consumer that has just connected consumes; of the first one, what it began with.

        To be called in the consumer's thread.
        """
        self._retries.attach(self.consumer)
        if self._first_queues is None:
            self._first_queues = self.consumed_queues()

    def is_looping(self) -> bool:
        """Say whether the event loop should be turning now.

        Not while it reconnects or drains. A solo worker runs its task inside the loop, and greenlets share
        it, so a busy one may stand still.
        """
        if not self.connected or self.draining or self.goodbye:
            return False
        return not (runs_tasks_in_loop(self.consumer.pool) and any_runs())

    def can_consume(self) -> bool | None:
        """Say whether the worker may take another message now; None where nobody can say."""
        consumer = self.consumer
        task_consumer: Any = getattr(consumer, "task_consumer", None)
        qos: Any = getattr(consumer, "qos", None)
        if task_consumer is None or qos is None:
            return None
        channel_qos = getattr(task_consumer.channel, "qos", None)
        if channel_qos is not None and hasattr(channel_qos, "can_consume"):
            return bool(channel_qos.can_consume())
        # AMQP: the broker pushes as long as fewer are unacknowledged than the prefetch count.
        limit = prefetch_limit(consumer)
        return not limit or unacknowledged(consumer) < limit

    def unread_seconds(self, now: float) -> float | None:
        """Return for how long the worker should have read and has not; None where nothing proves reading."""
        due = self.is_looping() and bool(self.consumed_queues())
        if due and not self._clocks.reads_when_full:
            due = self.can_consume() is not False
        return self._clocks.unread_seconds(now, due=due)

    def look(self, now: float) -> None:
        """Look at what is measured from look to look. To be called every second."""
        self._clocks.look_at_progress(now)
        self.unread_seconds(now)
        self._idle_seconds(now)

    def _idle_seconds(self, now: float) -> float:
        """Return for how long it could have begun a task, and neither began nor ended any."""
        count = slots(getattr(self.consumer, "pool", None))
        due = (
            self.connected
            and not self.draining
            and not self._is_held_back
            and bool(self.consumed_queues())
            and (count is None or running_count() < count)
        )
        return self._idle.look(now, due=due, happened_at=self._clocks.progressed_at)

    def record(self) -> dict[str, Any]:
        """Return the record, as JSON can hold it."""
        now = monotonic()
        self._clocks.look_at_progress(now)
        consumer = self.consumer
        pool = getattr(consumer, "pool", None)
        queues = self.consumed_queues()
        connected = self.connected
        can_consume = self.can_consume() if connected else None
        held = self._held.record(consumer, now, concurrency=slots(pool), can_consume=can_consume)
        self._is_held_back = bool(held["held_back"])
        return {
            "v": 1,
            "hostname": self._identity.hostname,
            "pid": os.getpid(),
            "app_id": self._identity.app_id,
            "queues": [sane(queue) for queue in queues],
            "cancelled_queues": [sane(q) for q in self._first_queues or () if connected and q not in queues],
            "single_active_queues": self._single_active_queues(),
            "names_on_broker": self._names_on_broker(),
            "fingerprint": self.fingerprint,
            "pool": pool_name(pool),
            "concurrency": slots(pool),
            **self._pool_processes(pool, now),
            **self._children.record(now),
            **held,
            "restarted": self._restarts.rows(now),
            **self._given_up.record(now),
            "unacked": unacked_messages(consumer),
            "processed": worker_state.all_total_count[0],
            "prefetch_count": getattr(getattr(consumer, "qos", None), "value", None),
            "can_consume": can_consume,
            "paused": connected and not queues,
            "connected": connected,
            "looping": self.is_looping(),
            "loop_age_seconds": rounded(self._clocks.loop_age(now)),
            "read_age_seconds": rounded(self._clocks.read_age(now)),
            "progress_age_seconds": rounded(self._clocks.progress_age(now)),
            "unread_seconds": rounded(self.unread_seconds(now)),
            "idle_seconds": rounded(self._idle_seconds(now)),
            "draining": self.draining,
            "goodbye": self.goodbye,
            "ready": self.ready,
            "starting": not self.ready,
            "exit": None if self.ended_by is None else {"cause": self.ended_by, "at_start": not self.ready},
            "started_at": self._started_at,
            "versions": self._versions,
            "config": self._identity.config,
            "broker": self._identity.broker,
            "limits": dict(self._identity.limits),
            **self._presence.record(),
            "restart_count": max(0, getattr(consumer, "restart_count", 0)),
        }

    def _pool_processes(self, pool: Any, now: float) -> dict[str, Any]:
        """Return the live pool processes, and how long there has been none: they come and go one by one."""
        children = live_children(pool)
        # Scaled down to none by choice, it has one again with the next message.
        if children != 0 or grows_from_none(self.consumer):
            self._had_children_at = now
        return {"children": children, "childless_seconds": rounded(now - self._had_children_at)}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "celery_health": __version__}
    for package in ("celery", "kombu", "redis"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
