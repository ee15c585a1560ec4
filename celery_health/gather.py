"""Read store, broker and workers once, within one deadline, into one Snapshot."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from celery_health.brokers import open_broker
from celery_health.brokers.base import Broker, BrokerReading
from celery_health.celery_app import facts_of, find_app
from celery_health.conf import Settings, get_settings
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded
from celery_health.flight import SharedFlight
from celery_health.live import LiveWorkers, Sighting
from celery_health.masking import mask
from celery_health.records import (
    BrokerState,
    InspectionState,
    QueueState,
    Snapshot,
    Source,
    StoreState,
    Worker,
)
from celery_health.topology import Topology, TopologyCache

if TYPE_CHECKING:
    from celery import Celery

#: The part of a deadline that reading may use; the rest is for judging and answering.
READING_SHARE = 0.9
#: How long a first reading waits for the task modules to be imported.
TOPOLOGY_SHARE = 0.4


class Reader:
    """Everything one process keeps open to read one app: connections, and what it remembers."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.facts = facts_of(app, settings)
        self.topology = TopologyCache(app)
        self._broker: Broker | None = None
        self._live = LiveWorkers(
            app, self.facts.app_id, memory_seconds=settings.limits.lost_worker_memory_seconds
        )
        self.pings = SharedFlight(self._ping, name="celery-health-ready")
        self.snapshots = SharedFlight(self.read, name="celery-health-reader")

    def _open_broker(self) -> Broker:
        if self._broker is None:
            self._broker = open_broker(self.app, self.settings.deadline)
        return self._broker

    def _ping(self, deadline: Deadline) -> None:
        # A connection of its own: a slow reading must not make a ready process look unready.
        broker = open_broker(self.app, deadline.budget_seconds)
        try:
            broker.ping(deadline)
        finally:
            broker.close()

    def read(self, deadline: Deadline) -> Snapshot:
        """Return what is found within the reading's share of `deadline`; a broker that is down is said so."""
        if self.facts.always_eager:
            return self.without_workers(BrokerState(transport="eager", url="", reachable=None))
        deadline = deadline.within(deadline.remaining() * READING_SHARE)
        topology = self.topology.get(deadline.remaining() * TOPOLOGY_SHARE) or Topology()
        broker = self._open_broker()
        reading = broker.read(self._queue_names(topology), deadline)
        state = BrokerState(
            transport=broker.transport,
            url=broker.url,
            reachable=reading.reachable,
            error=reading.error,
            latency_seconds=reading.latency_seconds,
        )
        if not reading.reachable:
            return self.without_workers(state)
        sighting = self._live.look(broker, topology, deadline)
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=state,
            store=StoreState(configured=False),
            inspection=sighting.state,
            workers=sighting.workers,
            queues=queue_states(reading, topology, self.settings, sighting),
            source=Source.INSPECTION,
        )

    def broker_state(self, error: Exception) -> BrokerState:
        """Return the state of a broker that kept us waiting past the deadline."""
        connection = self.app.connection_for_read()
        return BrokerState(
            transport=str(connection.transport_cls),
            url=mask(connection.as_uri()),
            reachable=False,
            error=str(error),
        )

    def close(self) -> None:
        """Close what is open; a reading under way keeps its connection until it ends."""
        if self._broker is not None and not self.snapshots.is_under_way:
            self._broker.close()

    def without_workers(self, broker: BrokerState) -> Snapshot:
        """Return the snapshot of a broker that was not, or could not be, asked."""
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=broker,
            store=StoreState(configured=False),
            inspection=InspectionState(),
            queues=tuple(
                QueueState(name=name, error=broker.error)
                for name in self._queue_names(self.topology.get(0.0))
            ),
        )

    def _queue_names(self, topology: Topology | None) -> list[str]:
        known = topology.known_queues if topology else (self.facts.default_queue,)
        names = dict.fromkeys(
            [*known, *self.settings.expected_queues, *self.settings.queues, *self._live.queues]
        )
        return sorted(name for name in names if name not in self.settings.ignored_queues)


def queue_states(
    reading: BrokerReading, topology: Topology, settings: Settings, sighting: Sighting
) -> tuple[QueueState, ...]:
    """Return one state per queue that was read, with what the live workers add to it."""
    states = []
    for name, queue in sorted(reading.queues.items()):
        consumers = [
            worker for worker in sighting.workers if worker.state.is_live and name in (worker.queues or ())
        ]
        seen_all = sighting.state.complete
        reasons = topology.expected.get(name, ())
        states.append(
            QueueState(
                name=name,
                ready=queue.ready,
                unacked=queue.unacked,
                consumers=len(consumers) if seen_all or consumers else queue.consumers,
                consumer_names=tuple(worker.hostname for worker in consumers),
                capacity=sum(worker.concurrency or 0 for worker in consumers) if seen_all else None,
                reserved=_held(consumers, name, "reserved") if seen_all else None,
                scheduled=_held(consumers, name, "scheduled") if seen_all else None,
                active=_held(consumers, name, "active") if seen_all else None,
                expected_by=(*reasons, *(("setting",) if name in settings.expected_queues else ())),
                error=queue.error,
            )
        )
    return tuple(states)


def _held(consumers: Sequence[Worker], queue: str, kind: str) -> int:
    return sum(1 for worker in consumers for task in getattr(worker, kind) if task.queue == queue)


# The one reader of this process ----------------------------------------------------------------------

_reader: Reader | None = None
_reader_lock = threading.Lock()


def get_reader() -> Reader:
    """Return this process's reader of the configured app; a new one when the settings changed.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    global _reader
    settings = get_settings()
    app = find_app(settings)
    with _reader_lock:
        if _reader is None or _reader.app is not app or _reader.settings is not settings:
            if _reader is not None:
                _reader.close()
            _reader = Reader(app, settings)
        return _reader


def get_snapshot(deadline: Deadline | None = None) -> Snapshot:
    """Return what is true now, at most a second old; within `deadline`, else the ``DEADLINE`` setting.

    A broker that does not answer is said so in the snapshot.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    return get_reading(deadline)[0]


def get_reading(deadline: Deadline | None = None) -> tuple[Snapshot, float]:
    """Return the snapshot of `get_snapshot` and its age in seconds."""
    reader = get_reader()
    deadline = deadline or Deadline.after(reader.settings.deadline)
    try:
        return reader.snapshots.get(deadline)
    except DeadlineExceeded as error:
        return reader.without_workers(reader.broker_state(error)), 0.0


def check_broker(deadline: Deadline) -> None:
    """Make one round trip to the broker; at most once a second per process, shared by its threads.

    Raises:
        BrokerError: the broker did not answer within `deadline`; the message is masked.
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    reader = get_reader()
    if reader.facts.always_eager:
        return
    try:
        reader.pings.get(deadline)
    except DeadlineExceeded as error:
        raise BrokerError(str(error)) from error


def _after_fork() -> None:
    # Sockets and threads of the parent are not ours; its lock may be held for ever.
    global _reader, _reader_lock
    _reader, _reader_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
