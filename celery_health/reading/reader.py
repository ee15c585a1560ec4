"""The reader of one app: store, broker and workers, once, within one deadline, into one Snapshot."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from celery_health.brokers import open_broker
from celery_health.brokers.base import Broker, BrokerReading, Shared
from celery_health.celery_app import facts_of
from celery_health.conf import Settings
from celery_health.connections.exchanges import AMQP_TRANSPORTS
from celery_health.dead_letters.boxes import Box
from celery_health.dead_letters.counting import LetterCount
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.reading.broker_states import (
    answered,
    notes_of,
    unanswered,
    unexplained_consumers,
    unlooked,
    unread_queues,
    with_broker_of,
    without_empty,
)
from celery_health.reading.checkout import Checkout
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.expectation import expecting, queue_names
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.last import Last
from celery_health.reading.lines import Lines
from celery_health.reading.live import LiveWorkers, Sighting
from celery_health.reading.lost import losses_of, returns_after
from celery_health.reading.merging import merged, source_of
from celery_health.reading.names_on_broker import NamesOnBroker
from celery_health.reading.on_demand import READING_SHARE, OnDemand
from celery_health.reading.preparation import Preparation
from celery_health.reading.queue_states import QueueSources, QueueStates
from celery_health.reading.recorded import Recorded, RecordedWorkers
from celery_health.reading.results import ResultsWatch
from celery_health.reading.schedules import schedule_exists
from celery_health.reading.sharing import shared_queues
from celery_health.reading.troubles import refused_of
from celery_health.reading.vanished import Vanished
from celery_health.records import BrokerState, InspectionState, Snapshot, StoreState, Writes
from celery_health.topology import Topology, TopologyCache

if TYPE_CHECKING:
    from celery import Celery

#: How long a first reading waits for the task modules to be imported.
TOPOLOGY_SHARE = 0.4
#: How much of what is left a store may take that hangs: the broker is to be asked all the same.
STORE_SHARE = 0.4
#: How much of what is left may go into asking the broker for workers whose reports stay away.
PRESENCE_SHARE = 0.3
#: How much of what is left may go into counting dead letters.
LETTERS_SHARE = 0.5
#: A stamp older than this on a queue seen for the first time is looked at twice, so long apart.
SECOND_LOOK_SECONDS = 0.25


class Reader:
    """What one process keeps to read one app: what it remembers, and connections for one run at a time.

    What it remembers is shared by the runs: only one that is still current may change it (`Run.updating`).
    """

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.facts = facts_of(app, settings)
        self.topology = TopologyCache(app, needs_urls=self._has_no_store)
        self._live = LiveWorkers(
            app, self.facts.app_id, memory_seconds=settings.limits.lost_worker_memory_seconds
        )
        self._queues = QueueStates(settings)
        self._names = Last(self._sorted_names)
        self._vanished = Vanished(settings.heartbeat_interval, settings.flush_interval)
        self._letters = LetterCount(app, settings)
        self.results = ResultsWatch(app, settings)
        self._lately = settings.limits.recent_seconds
        self._shared = Shared()
        self._live_worker_at: float | None = None
        # Never connected: it knows whether there is a store.
        self._unasked = RecordedWorkers(app, settings)
        self._lines = Checkout(self._open_lines, Lines.close)
        self._preparation = Preparation(self._import, name="celery-health-imports")
        seconds = settings.deadline
        self.pings = SharedFlight(self._ping, name="celery-health-ready", run_seconds=seconds)
        self.snapshots = SharedFlight(self._read_in, name="celery-health-reader", run_seconds=seconds)
        self.on_demand = OnDemand(app, settings, self.snapshots)

    def _has_no_store(self) -> bool:
        # A store keeps where tasks were sent to, by whatever code.
        return not RecordedWorkers(self.app, self.settings).unasked().configured

    def prepare(self, deadline: Deadline, *, waits_for_tasks: bool = False) -> None:
        """Import what a reading needs, from the first call on, and return when that is done.

        Args:
            deadline: for waiting; importing goes on.
            waits_for_tasks: wait for the project's task modules, too. Without that they are imported as well,
                and a reading says what is not known before.

        Raises:
            LateError: it is not done within `deadline`.
        """
        if self.facts.always_eager:
            return
        self._preparation.wait(deadline)
        if waits_for_tasks:
            self.topology.get(deadline.remaining())

    def _import(self) -> None:
        # Last: what is imported at the same time slows this down.
        try:
            lines = self._open_lines()
            lines.recorded.unasked()
            lines.close()
            "localhost".encode("idna")  # Python imports that codec when the first host is looked up
        finally:
            self.topology.get(0.0)

    def _open_lines(self) -> Lines:
        return Lines(
            broker=open_broker(
                self.app,
                self.settings.deadline,
                self._shared,
                long_seconds=self.settings.limits.lost_seconds,
            ),
            recorded=RecordedWorkers(self.app, self.settings),
            box=self._letters.open(),
        )

    def _ping(self, run: Run) -> Writes:
        # A connection of its own: a slow reading must not make a ready process look unready.
        broker = open_broker(self.app, run.deadline.budget_seconds, self._shared)
        self.results.begin(run.deadline, broker.url, self._unasked.unasked().url)
        try:
            return broker.ping(_share(run.deadline, READING_SHARE))
        finally:
            broker.close()

    def _read_in(self, run: Run) -> Snapshot:
        if self.facts.always_eager:
            return self.unread(BrokerState(transport="eager", url="", reachable=None))
        with self._lines.checked_out(run) as lines:
            return self._read(run, lines)

    def read(self, deadline: Deadline) -> Snapshot:
        """Return what is found within the reading's share of `deadline`; what is down is said so.

        For a caller that is the only one; others share `snapshots`.
        """
        return self._read_in(Run(deadline))

    def _read(self, run: Run, lines: Lines) -> Snapshot:
        deadline = _share(run.deadline, READING_SHARE)
        imported = self.topology.get(deadline.remaining() * TOPOLOGY_SHARE)
        importing = self._importing() if imported is None else None
        tasks_error = self.topology.error if imported is None and importing is None else None
        topology = imported or Topology()
        recorded = lines.recorded.read(_share(deadline, STORE_SHARE))
        topology = expecting(topology, recorded.beats, self.settings)
        known = self._queue_names(topology, recorded)
        unknown = frozenset([*recorded.sent_to, *topology.optional_queues])
        unknown = unknown.difference(known, self.settings.ignored_queues)
        names = sorted([*known, *unknown]) if unknown else known
        broker = lines.broker
        self.results.begin(deadline, broker.url, recorded.store.url)
        on_broker = NamesOnBroker(
            [*recorded.workers, *self._live.answered],
            topology.shared_names,
            is_amqp=broker.transport in AMQP_TRANSPORTS,
            unread=topology.fanouts if broker.transport == "redis" else (),
        )
        asked = on_broker.asked(names)
        reading = without_empty(on_broker.together(broker.read(asked, deadline), names), unknown)
        recorded = with_broker_of(recorded, broker, reading)
        if recorded.store.refuses_writes:
            lines.recorded.note_refusal()
        recorded = self._without_vanished(run, broker, reading, recorded, deadline)
        # Before the project's tasks are known, workers without celery_health are nobody's.
        sighting = (
            unlooked(importing)
            if importing
            else self._look(run, broker, reading, recorded, topology, deadline)
        )
        if tasks_error and (sighting.foreign or sighting.foreign_busy):
            # They may be ours. That nobody answers is proven all the same.
            sighting = unlooked(tasks_error)
        workers = merged(recorded.workers, sighting.workers)
        now = time.monotonic()
        sources = QueueSources(
            reading=reading,
            consumers=ConsumerEvidence(
                workers=workers,
                strangers=sighting.foreign,
                silent=sighting.silent,
                unasked=recorded.unreported or sighting.unasked,
                last_consumed=None if recorded.unreported else recorded.consumed,
                store_age_seconds=recorded.store_age_seconds,
            ),
            now=now,
            wall_time=_stamped_time(recorded, reading),
        )
        with run.updating():
            if any(worker.state.is_live for worker in workers):
                self._live_worker_at = now
            # Of a broker that did not answer nothing is new, and what was watched is not forgotten.
            queues = () if reading.is_lacking else self._queues.update(sources, topology)
        if deadline.remaining() > 2 * SECOND_LOOK_SECONDS and self._queues.may_be_stalled(queues):
            time.sleep(SECOND_LOOK_SECONDS)
            again = without_empty(on_broker.together(broker.read(asked, deadline), names), unknown)
            if not again.is_lacking:
                with run.updating():
                    sources = replace(sources, reading=again, now=time.monotonic())
                    queues = self._queues.update(sources, topology)
        letters = self._count_letters(run, lines.box, known, reading, deadline)
        broker_state = answered(broker, reading)
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=broker_state,
            store=recorded.store,
            inspection=sighting.state,
            workers=workers,
            queues=unread_queues(known, reading, topology) if reading.is_lacking else queues,
            shared_queues=shared_queues(
                workers,
                [*sighting.foreign, *sighting.foreign_busy],
                topology,
                recorded.beats,
                sent_to=recorded.sent_to,
                ignored=self.settings.ignored_queues,
            ),
            recent=recorded.recent,
            streaks=recorded.streaks,
            observed=lines.recorded.observed(workers, deadline),
            beats=recorded.beats,
            schedule_exists=schedule_exists(self.app, is_imported=imported is not None),
            store_age_seconds=recorded.store_age_seconds,
            dead_letters=letters,
            dead_letters_lack=self._letters.lack(letters),
            losses=losses_of(
                recorded.reading.workers if recorded.reading else (),
                sources.reading.long_unacked,
                sources.consumers,
                (queue.name for queue in queues),
                self.settings.limits,
                # Of the one who stamps when a message was taken (kombu).
                now=sources.reading.server_time or sources.wall_time,
                returns_after=returns_after(self.app, broker.transport),
            ),
            refused=None if recorded.reading is None else refused_of(recorded.reading, self._lately),
            results=self.results.state(
                deadline, broker_state, recorded, None if imported is None else topology.own_tasks
            ),
            live_worker_seen_seconds=None if self._live_worker_at is None else now - self._live_worker_at,
            notes=(*recorded.notes, *notes_of(recorded, reading)),
            importing=importing,
            tasks_error=tasks_error,
            source=source_of(workers),
        )

    def _without_vanished(
        self, run: Run, broker: Broker, reading: BrokerReading, recorded: Recorded, deadline: Deadline
    ) -> Recorded:
        """Return `recorded`, the workers gone that the broker proves to have ended."""
        now = time.monotonic()
        with run.updating():
            self._vanished.note(now, could_read=bool(recorded.store.reachable and reading.reachable))
            marks = self._vanished.question(now, recorded.workers, broker.capabilities.mark)
        present = broker.present(marks, _share(deadline, PRESENCE_SHARE)) if marks else None
        with run.updating():
            if marks:
                self._vanished.answer(now, recorded.workers, present)
            return replace(recorded, workers=self._vanished.judged(recorded.workers))

    def _count_letters(
        self, run: Run, box: Box | None, queues: Iterable[str], reading: BrokerReading, deadline: Deadline
    ) -> Mapping[str, int | None] | None:
        if not reading.reachable:
            return self._letters.unknown()
        found = self._letters.read(box, queues, _share(deadline, LETTERS_SHARE))
        with run.updating():
            return self._letters.keep(found)

    def _look(
        self,
        run: Run,
        broker: Broker,
        reading: BrokerReading,
        recorded: Recorded,
        topology: Topology,
        deadline: Deadline,
    ) -> Sighting:
        """Ask the workers that keep no record; nobody where the broker is away, or knows no names."""
        if reading.is_lacking:
            return Sighting(state=InspectionState())
        live = {worker.hostname for worker in recorded.workers if worker.state.is_live}
        if live and not broker.capabilities.supports_roster:
            least = unexplained_consumers(reading, recorded)
            return Sighting(
                state=InspectionState(),
                foreign=self._live.others(run, topology, deadline, live=live, least=least),
                unasked="workers without celery_health are not asked on this transport",
            )
        lost = {worker.hostname for worker in recorded.workers} - live
        return self._live.look(run, broker, topology, deadline, live=live, lost=lost)

    def _importing(self) -> str | None:
        """Return that the project's task modules are still being imported; None when they are not."""
        seconds = self.topology.importing_seconds
        if seconds is None:
            return None
        return f"This process is still importing the project's task modules (for {seconds:.1f} s)."

    def broker_state(self, error: CeleryHealthError) -> BrokerState:
        """Return the state of a broker of which no reading came: it is away, or this process was late."""
        return unanswered(self.app, error)

    def unread(self, broker: BrokerState) -> Snapshot:
        """Return the snapshot of a broker that could not be, or need not be, asked."""
        topology = expecting(self.topology.get(0.0) or Topology(), (), self.settings)
        names = self._queue_names(topology, Recorded())
        letters = None if self.facts.always_eager else self._letters.unknown()
        return Snapshot(
            taken_at=datetime.now(UTC),
            app=self.facts,
            broker=broker,
            store=Recorded().store if self.facts.always_eager else self._unasked_store(broker),
            inspection=InspectionState(),
            results=self.results.unasked(),
            queues=() if self.facts.always_eager else unread_queues(names, broker, topology),
            dead_letters=letters,
            dead_letters_lack=self._letters.lack(letters),
        )

    def _unasked_store(self, broker: BrokerState) -> StoreState:
        if broker.late and not self._preparation.is_done:  # to know more, a client would be imported
            return StoreState(configured=True, late=broker.late)
        return replace(self._unasked.unasked(), late=broker.late)

    def _queue_names(self, topology: Topology, recorded: Recorded) -> list[str]:
        known = topology.known_queues or (self.facts.default_queue,)
        # Each as it is, for one that is the same object as before is compared at once.
        return self._names((tuple(known), recorded.queues, self._live.queues, tuple(topology.expected)))

    def _sorted_names(self, known: tuple[tuple[str, ...], ...]) -> list[str]:
        return queue_names(chain.from_iterable(known), self.settings)

    def close(self) -> None:
        """Close what is open; a run under way closes its connections when it ends."""
        self._lines.close()
        self.on_demand.close()
        self.results.close()
        self._shared.close()


def _stamped_time(recorded: Recorded, reading: BrokerReading) -> float:
    """Return Unix seconds by the clock of publish stamps."""
    if reading.server_time is None:
        return time.time()
    # Whoever sends learns the store's clock by what it reports.
    return reading.server_time if recorded.reading is None else recorded.reading.server_time


def _share(deadline: Deadline, share: float) -> Deadline:
    """Return the deadline that leaves so much of what remains of `deadline`."""
    return deadline.within(deadline.remaining() * share)
