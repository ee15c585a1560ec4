"""Who is alive by live inspection, and what this process remembers of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from celery_health.brokers.base import Broker
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, ThreadError
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.inspection import Inspector, Replies
from celery_health.reading.worker_reports import worker_from_builtin, worker_from_report
from celery_health.reading.worker_states import load_state
from celery_health.records import InspectionState, Source, Worker, WorkerState
from celery_health.topology import Topology

if TYPE_CHECKING:
    from celery import Celery

#: How often, at most, nobody in particular is asked who is there.
DISCOVERY_SECONDS: Final = 30.0
#: The same while nobody that was known is left: a new worker must not be called missing for long.
DISCOVERY_RETRY_SECONDS: Final = 5.0
#: How long a discovery may take in its own thread.
DISCOVERY_DEADLINE_SECONDS: Final = 4.0
#: How long a worker that did not answer is not asked again: it would be waited for in vain each time.
SILENT_PAUSE_SECONDS: Final = 5.0
#: How long the answers of one round are waited for.
ASK_SECONDS: Final = 1.0
#: The same where workers look for messages only once a second (kombu's ``polling_interval``).
POLLED_ASK_SECONDS: Final = 1.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What one look found."""

    state: InspectionState
    workers: tuple[Worker, ...] = ()


@dataclass(kw_only=True, slots=True)
class _Memory:
    """What this process remembers of one worker."""

    worker: Worker | None = None
    """As it last answered; None when it never did."""
    answered_at: float | None = None
    silent_at: float | None = None
    """When it last failed to answer; None since it answered."""
    is_ours: bool | None = None


class LiveWorkers:
    """Looks at the workers of one app, one look at a time, and remembers who answered."""

    def __init__(self, app: Celery, app_id: str, *, memory_seconds: float) -> None:
        self._app = app
        self._app_id = app_id
        self._memory_seconds = memory_seconds
        self._inspector = Inspector(app)
        self._memory: dict[str, _Memory] = {}
        self._discovery = SharedFlight(
            self._discover,
            name="celery-health-discovery",
            run_seconds=DISCOVERY_DEADLINE_SECONDS,
            max_age_seconds=DISCOVERY_SECONDS,
        )

    def look(
        self, run: Run, broker: Broker, topology: Topology, deadline: Deadline, *, skip: Iterable[str] = ()
    ) -> Sighting:
        """Return our workers but those in `skip`, whose own records are known; never raises for a broker.

        Raises:
            RunAbandonedError: another run has taken the place of `run`.
        """
        if not broker.capabilities.supports_remote_control or not self._app.conf.worker_enable_remote_control:
            return Sighting(state=InspectionState(supported=False))
        try:
            roster = self._roster(broker, deadline)
            if roster is None:
                return Sighting(state=InspectionState(asked=True, error="No worker has been discovered yet."))
            proves_absence = _proves_absence(broker)
            if not proves_absence:
                roster = tuple(dict.fromkeys([*roster, *self._remembered]))
                if not roster:
                    return Sighting(state=InspectionState(asked=True, error="No worker has answered yet."))
            roster = tuple(name for name in roster if name not in frozenset(skip))
            patience = ASK_SECONDS if proves_absence else POLLED_ASK_SECONDS
            replies = self._ask(roster, deadline.within(patience))
        except (BrokerError, DeadlineExceeded, ThreadError) as error:
            return Sighting(state=InspectionState(asked=True, error=str(error)))
        with run.updating():
            self._remember(replies, topology)
            return self._sighting(roster, replies)

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the queues that our workers consumed when they last answered."""
        seen = [m.worker.queues or () for m in self._memory.values() if m.is_ours and m.worker]
        return tuple(dict.fromkeys(name for names in seen for name in names))

    @property
    def _remembered(self) -> tuple[str, ...]:
        return tuple(name for name, m in self._memory.items() if m.is_ours and m.answered_at is not None)

    # Who is there to ask ----------------------------------------------------------------------------

    def _roster(self, broker: Broker, deadline: Deadline) -> tuple[str, ...] | None:
        """Return the names to ask; None while no way to know them has answered."""
        if broker.capabilities.supports_roster:
            return broker.roster(deadline)
        discovered = self._discovery.refresh()
        if discovered is None:
            discovered = self._discovery.get(deadline)
        names, age = discovered
        present = self._present(names, broker, deadline)
        if not _proves_absence(broker):
            return present
        if present or age < DISCOVERY_RETRY_SECONDS:
            return present
        # All that were known are gone, but others may have come since: ask again before saying "nobody".
        self._discovery.forget()
        return self._present(self._discovery.get(deadline)[0], broker, deadline)

    def _discover(self, run: Run) -> tuple[str, ...]:
        return self._inspector.discover(run.deadline)

    def _present(self, names: tuple[str, ...], broker: Broker, deadline: Deadline) -> tuple[str, ...]:
        """Return those of `names` whose mailbox still exists on the broker, where that can be asked."""
        if not names or not broker.capabilities.supports_consumer_count:
            return names
        suffix = self._inspector.mailbox_suffix
        reading = broker.read([name + suffix for name in names], deadline)
        return tuple(
            name
            for name in names
            if not (box := reading.queues.get(name + suffix)) or box.exists or box.error
        )

    def _ask(self, roster: tuple[str, ...], deadline: Deadline) -> Replies:
        now = time.monotonic()
        paused = [
            name
            for name in roster
            if (m := self._memory.get(name))
            and m.silent_at is not None
            and now - m.silent_at < SILENT_PAUSE_SECONDS
        ]
        replies = self._inspector.ask([name for name in roster if name not in paused], deadline)
        return Replies(
            reports=replies.reports,
            builtin=replies.builtin,
            silent=(*replies.silent, *paused),
            absent=replies.absent,
        )

    # What is remembered -----------------------------------------------------------------------------

    def _remember(self, replies: Replies, topology: Topology) -> None:
        now = time.monotonic()
        # A copy: other threads walk through what there is.
        known = dict(self._memory)
        for hostname, report in replies.reports.items():
            worker = worker_from_report(
                hostname, report, state=load_state(report), source=Source.INSPECTION, age_seconds=0.0
            )
            known[hostname] = _Memory(
                worker=worker, answered_at=now, is_ours=worker.app_id in (None, self._app_id)
            )
        for hostname, builtin in replies.builtin.items():
            worker = worker_from_builtin(hostname, builtin)
            known[hostname] = _Memory(worker=worker, answered_at=now, is_ours=_is_ours(worker, topology))
        for hostname in replies.silent:
            memory = known.setdefault(hostname, _Memory())
            if memory.silent_at is None or now - memory.silent_at >= SILENT_PAUSE_SECONDS:
                memory.silent_at = now
        self._memory = {
            hostname: memory for hostname, memory in known.items() if not self._is_stale(memory, now)
        }

    def _is_stale(self, memory: _Memory, now: float) -> bool:
        times = [moment for moment in (memory.answered_at, memory.silent_at) if moment is not None]
        return not times or now - max(times) > self._memory_seconds

    def _sighting(self, roster: tuple[str, ...], replies: Replies) -> Sighting:
        now = time.monotonic()
        workers: dict[str, Worker] = {}
        answered = {**replies.reports, **replies.builtin}
        for hostname, memory in self._memory.items():
            if memory.is_ours is False or (hostname not in roster and memory.worker is None):
                continue
            if hostname in answered and memory.worker is not None:
                workers[hostname] = memory.worker
            elif hostname in replies.silent:
                workers[hostname] = self._unheard(hostname, memory, WorkerState.UNKNOWN, now)
            elif hostname in replies.absent and memory.answered_at is not None:
                workers[hostname] = self._unheard(hostname, memory, WorkerState.GONE, now)
        silent = tuple(name for name in replies.silent if name in workers)
        return Sighting(
            state=InspectionState(asked=True, complete=not silent, roster=roster, silent=silent),
            workers=tuple(workers[name] for name in sorted(workers)),
        )

    def _unheard(self, hostname: str, memory: _Memory, state: WorkerState, now: float) -> Worker:
        known: dict[str, Any] = {}
        if memory.worker is not None:
            known = {
                "queues": memory.worker.queues,
                "registered": memory.worker.registered,
                "pool": memory.worker.pool,
                "concurrency": memory.worker.concurrency,
                "versions": memory.worker.versions,
                "pid": memory.worker.pid,
            }
        seen = None if memory.answered_at is None else now - memory.answered_at
        return Worker(
            hostname=hostname, state=state, source=Source.INSPECTION, last_seen_seconds=seen, **known
        )


def _proves_absence(broker: Broker) -> bool:
    """Say whether the broker knows who listens; where it does not, silence proves nothing."""
    return broker.capabilities.supports_roster or broker.capabilities.supports_consumer_count


def _is_ours(worker: Worker, topology: Topology) -> bool:
    """Say whether a worker without celery_health is of this app: by what it consumes and registers."""
    queues, names = frozenset(worker.queues or ()), worker.registered or frozenset()
    if not topology.own_tasks:
        return not queues.isdisjoint(topology.known_queues)
    return not queues.isdisjoint(topology.expected) and not names.isdisjoint(topology.own_tasks)
