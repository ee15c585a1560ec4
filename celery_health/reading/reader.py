"""The reader of one app: store, broker and workers, once, within one deadline, into one Snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from celery_health.brokers import open_broker
from celery_health.brokers.base import Broker, BrokerReading
from celery_health.celery_app import facts_of
from celery_health.conf import Settings
from celery_health.dead_letters.counting import LetterCount
from celery_health.deadline import Deadline
from celery_health.reading.flight import SharedFlight
from celery_health.reading.live import LiveWorkers, Sighting
from celery_health.reading.queue_states import QueueSources, queue_states
from celery_health.reading.queue_watch import QueueWatch
from celery_health.reading.recorded import Recorded, RecordedWorkers
from celery_health.reading.schedules import schedule_entries, schedule_exists
from celery_health.records import BrokerState, InspectionState, QueueState, Snapshot, Source, Worker
from celery_health.text.masking import mask
from celery_health.topology import Topology, TopologyCache

if TYPE_CHECKING:
    from celery import Celery

#: Celery's own, which schedulers add by themselves (celery/beat.py).
_CLEANUP_TASK: Final = "celery.backend_cleanup"
#: The part of a deadline that reading may use; the rest is for judging and answering.
READING_SHARE = 0.9
#: How long a first reading waits for the task modules to be imported.
TOPOLOGY_SHARE = 0.4
#: How much of what is left a store may take that hangs: the broker is to be asked all the same.
STORE_SHARE = 0.4
#: How much of what is left may go into counting dead letters.
LETTERS_SHARE = 0.5
#: A stamp older than this on a queue seen for the first time is looked at twice, so long apart.
SECOND_LOOK_SECONDS = 0.25


class Reader:
    """Everything one process keeps open to read one app: connections, and what it remembers."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.facts = facts_of(app, settings)
        self.topology = TopologyCache(app)
        self._broker: Broker | None = None
        self._recorded = RecordedWorkers(app, settings)
        self._live = LiveWorkers(
            app, self.facts.app_id, memory_seconds=settings.limits.lost_worker_memory_seconds
        )
        self._watch = QueueWatch()
        self._letters = LetterCount(app, settings)
        self._live_worker_at: float | None = None
        self.pings = SharedFlight(self._ping, name="celery-health-ready")
        self.snapshots = SharedFlight(self.read, name="celery-health-reader")
        # A connection of its own: one thread at a time uses a store, and totals are read on demand.
        self._counted = RecordedWorkers(app, settings)
        self.totals = SharedFlight(self._counted.totals, name="celery-health-totals")

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
        """Return what is found within the reading's share of `deadline`; what is down is said so."""
        if self.facts.always_eager:
            return self.unread(BrokerState(transport="eager", url="", reachable=None))
        deadline = deadline.within(deadline.remaining() * READING_SHARE)
        imported = self.topology.get(deadline.remaining() * TOPOLOGY_SHARE)
        topology = imported or Topology()
        recorded = self._recorded.read(deadline.within(deadline.remaining() * STORE_SHARE))
        topology = self._expecting(topology, recorded)
        known = self._queue_names(topology, recorded)
        names = self._not_ignored([*known, *recorded.sent_to])
        broker = self._open_broker()
        reading = _without_empty(broker.read(names, deadline), set(known))
        sighting = self._look(broker, reading, recorded, topology, deadline)
        workers = _merge(recorded, sighting)
        now = time.monotonic()
        if any(worker.state.is_live for worker in workers):
            self._live_worker_at = now
        sources = QueueSources(
            reading=reading,
            workers=workers,
            knows_all_workers=recorded.is_complete or sighting.state.complete,
            last_consumed=recorded.consumed,
            store_age_seconds=recorded.store_age_seconds,
            now=now,
            wall_time=reading.server_time or time.time(),
        )
        queues = queue_states(sources, topology, self.settings, self._watch)
        if self._deserves_second_look(queues, deadline):
            time.sleep(SECOND_LOOK_SECONDS)
            again = replace(sources, reading=broker.read(names, deadline), now=time.monotonic())
            queues = queue_states(again, topology, self.settings, self._watch)
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=_broker_state(broker, reading),
            store=recorded.store,
            inspection=sighting.state,
            workers=workers,
            queues=tuple(_unread(known, reading.error)) if reading.reachable is False else queues,
            recent=recorded.recent,
            observed=self._recorded.observed(workers, deadline),
            beats=recorded.beats,
            schedule_exists=schedule_exists(self.app, is_imported=imported is not None),
            store_age_seconds=recorded.store_age_seconds,
            dead_letters=self._count_letters(known, reading, deadline),
            live_worker_seen_seconds=None if self._live_worker_at is None else now - self._live_worker_at,
            source=_source(workers),
        )

    def _count_letters(
        self, queues: Iterable[str], reading: BrokerReading, deadline: Deadline
    ) -> Mapping[str, int | None] | None:
        if not reading.reachable:
            return self._letters.unknown()
        return self._letters.read(queues, deadline.within(deadline.remaining() * LETTERS_SHARE))

    def _look(
        self,
        broker: Broker,
        reading: BrokerReading,
        recorded: Recorded,
        topology: Topology,
        deadline: Deadline,
    ) -> Sighting:
        """Ask the workers that keep no record; nobody where all of them do, or the broker is away."""
        if reading.reachable is False:
            return Sighting(state=InspectionState())
        live = frozenset(worker.hostname for worker in recorded.workers if worker.state.is_live)
        if live and not broker.capabilities.supports_roster:
            return Sighting(state=InspectionState())
        return self._live.look(broker, topology, deadline, skip=live)

    def _deserves_second_look(self, queues: Sequence[QueueState], deadline: Deadline) -> bool:
        """Say whether a queue seen for the first time holds what looks stalled: seen twice, it is."""
        return deadline.remaining() > 2 * SECOND_LOOK_SECONDS and any(
            queue.held_seconds is None
            and (queue.oldest_age_seconds or 0.0) > self.settings.limit("stalled_seconds", queue=queue.name)
            for queue in queues
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

    def unread(self, broker: BrokerState) -> Snapshot:
        """Return the snapshot of a broker that could not be, or need not be, asked."""
        names = self._queue_names(self.topology.get(0.0) or Topology(), Recorded())
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=broker,
            store=Recorded().store if self.facts.always_eager else self._recorded.unasked(),
            inspection=InspectionState(),
            queues=() if self.facts.always_eager else tuple(_unread(names, broker.error)),
            dead_letters=None if self.facts.always_eager else self._letters.unknown(),
        )

    def _expecting(self, topology: Topology, recorded: Recorded) -> Topology:
        """Return `topology` with the queues that beats send to, and those of ``EXPECTED_QUEUES``.

        What is scheduled in a table or in Redis is known by beat's word alone.
        """
        expected = {name: list(reasons) for name, reasons in topology.expected.items()}
        for entry in schedule_entries(recorded.beats) or ():
            # Nobody has to consume for what no project has asked for.
            if entry.queue and entry.enabled and entry.task != _CLEANUP_TASK:
                expected.setdefault(entry.queue, []).append(f"beat:{entry.entry}")
        for name in self.settings.expected_queues:
            expected.setdefault(name, []).append("setting")
        return replace(
            topology,
            expected={
                name: tuple(dict.fromkeys(reasons))
                for name, reasons in expected.items()
                if name not in self.settings.ignored_queues
            },
        )

    def _queue_names(self, topology: Topology, recorded: Recorded) -> list[str]:
        names = dict.fromkeys(
            [
                *(topology.known_queues or (self.facts.default_queue,)),
                *topology.expected,
                *self.settings.expected_queues,
                *self.settings.queues,
                *recorded.queues,
                *self._live.queues,
            ]
        )
        return self._not_ignored(names)

    def _not_ignored(self, names: Iterable[str]) -> list[str]:
        return sorted(name for name in frozenset(names) if name not in self.settings.ignored_queues)

    def close(self) -> None:
        """Close what is open; a reading under way keeps its connections until it ends."""
        if not self.snapshots.is_under_way:
            self._recorded.close()
            if self._broker is not None:
                self._broker.close()
            self._letters.close()
        if not self.totals.is_under_way:
            self._counted.close()


def _without_empty(reading: BrokerReading, known: AbstractSet[str]) -> BrokerReading:
    """Leave out the empty queues that are known from nothing but a message sent there once."""
    kept = {name: queue for name, queue in reading.queues.items() if name in known or queue.ready != 0}
    return replace(reading, queues=kept)


def _merge(recorded: Recorded, sighting: Sighting) -> tuple[Worker, ...]:
    """Return every worker once: a live record before an answer, an answer before a record that has ended."""
    merged = {worker.hostname: worker for worker in recorded.workers}
    for worker in sighting.workers:
        known = merged.get(worker.hostname)
        if known is None or (worker.state.is_live and not known.state.is_live):
            merged[worker.hostname] = worker
    return tuple(merged[name] for name in sorted(merged))


def _source(workers: tuple[Worker, ...]) -> Source:
    sources = {worker.source for worker in workers}
    return Source.MIXED if len(sources) > 1 else next(iter(sources), Source.INSPECTION)


def _broker_state(broker: Broker, reading: BrokerReading) -> BrokerState:
    return BrokerState(
        transport=broker.transport,
        url=broker.url,
        reachable=reading.reachable,
        error=reading.error,
        latency_seconds=reading.latency_seconds,
    )


def _unread(names: list[str], error: str | None) -> list[QueueState]:
    return [QueueState(name=name, error=error) for name in names]
