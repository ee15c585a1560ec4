"""Put together what broker, workers, store and memory say of each queue: pure, over what was read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.consumption import ConsumerEvidence, consumption_of
from celery_health.reading.held import Held, Holders
from celery_health.reading.queue_watch import QueueWatch
from celery_health.reading.quiet_queues import QuietQueues
from celery_health.records import QueueState, Worker, WorkerState
from celery_health.topology import Topology

#: How much of its limit a time without readings may add to how long a queue was watched without a consumer.
GAP_SHARE: Final = 0.5
#: How far a publish stamp and what was watched may be apart: readings are a second apart, or two.
STAMP_SLACK_SECONDS: Final = 5.0
#: How long it is remembered when readings were: a record that is older is of a worker that is lost.
READINGS_SECONDS: Final = 120.0
#: The broker may be asked so long after the store within one reading.
READING_SECONDS: Final = 0.5
#: How long after its last word a worker that ends may still give back what it had taken.
RETURN_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSources:
    """Everything that says something of queues, read in one go."""

    reading: BrokerReading
    consumers: ConsumerEvidence
    now: float
    """On the clock of `QueueWatch`."""
    wall_time: float
    """Unix seconds by the clock of publish stamps: the store's, else the broker's, else this host's."""


class QueueStates:
    """Puts the states of queues together, reading after reading. One thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watch = QueueWatch()
        self._quiet = QuietQueues()
        self._names: tuple[str, ...] = ()
        self._spoke_at: float | None = None
        """The last reading before the oldest record, as of the last reading, of a live worker."""
        self._read_at: list[float] = []
        """When it was read lately."""

    def may_be_stalled(self, queues: Iterable[QueueState]) -> bool:
        """Say whether a queue seen for the first time holds what looks stalled: seen twice, it is."""
        return any(
            queue.ready
            and queue.held_seconds is None
            and (queue.oldest_age_seconds or 0.0) > self._settings.limit("stalled_seconds", queue=queue.name)
            for queue in queues
        )

    def update(self, sources: QueueSources, topology: Topology) -> tuple[QueueState, ...]:
        """Return the state of every queue that was read, by name."""
        queues, quiet = sources.reading.queues, self._quiet
        # Mostly they come as they came before, by name.
        names = tuple(queues)
        if names != self._names:
            queues = dict(sorted(queues.items()))
            names = tuple(queues)
        if names != self._names:
            self._names = names
            self._watch.keep(set(names))
            quiet.only(names)
        quiet.look(sources.consumers)
        states = quiet.states(queues.values(), topology.expected)
        open_ = [place for place, state in enumerate(states) if state is None]
        asked = frozenset(names[place] for place in open_)
        sources = replace(sources, consumers=replace(sources.consumers, of_interest=asked))
        holders = Holders(sources.consumers.workers)
        live = (worker for worker in sources.consumers.workers if worker.state.is_live)
        slowest = max(((worker.last_seen_seconds or 0.0) + READING_SECONDS for worker in live), default=0.0)
        spoke_at = self._last_reading(sources.now, sources.now - slowest)
        if any(map(_is_leaving, sources.consumers.workers)):
            spoke_at = None  # what it held is on its way back, and nobody's for a moment
        for place in open_:
            name = names[place]
            queue = queues[name]
            was_by_store = quiet.forget(place)
            if was_by_store is not None and quiet.last_reading_at is not None:
                # What was left out while it was quiet.
                self._watch.note_empty(name, quiet.last_reading_at)
                self._watch.note_idle(name, self._spoke_at)
                self._watch.note_consumption(
                    name,
                    is_consumed=True,
                    is_by_name=True,
                    is_by_store=was_by_store,
                    now=quiet.last_reading_at,
                )
            state, is_by_store = _state(queue, sources, holders, topology, self._settings, self._watch)
            states[place] = state
            self._watch.note_held(name, state.held)
            if state.waiting == 0 and state.held == 0:
                self._watch.note_idle(name, spoke_at)
            quiet.keep(place, queue, state, is_by_store=is_by_store)
        quiet.last_reading_at, self._spoke_at = sources.now, spoke_at
        return tuple(filter(None, states))

    def _last_reading(self, now: float, at: float) -> float | None:
        """Take in the reading of `now`, and return when the last one was at `at`; None where none was."""
        self._read_at.append(now)
        place = bisect_right(self._read_at, at)
        found = self._read_at[place - 1] if place else None
        # One that is older stays: readings may be far apart.
        del self._read_at[: max(0, bisect_right(self._read_at, now - READINGS_SECONDS) - 1)]
        return found


def _is_leaving(worker: Worker) -> bool:
    is_gone = not worker.state.is_live and (worker.last_seen_seconds or 0.0) < RETURN_SECONDS
    return is_gone or worker.state is WorkerState.DRAINING


def _state(
    queue: QueueReading,
    sources: QueueSources,
    holders: Holders,
    topology: Topology,
    settings: Settings,
    watch: QueueWatch,
) -> tuple[QueueState, bool]:
    """Return the state of a queue, and whether it is consumed by workers that keep records alone."""
    name, now = queue.name, sources.now
    watch.note(queue, now)
    age, is_minimum = _oldest_age(queue, sources, watch)
    gap = GAP_SHARE * settings.limit("unconsumed_seconds", queue=name)
    watched = watch.watched(name, now, most_gap_seconds=gap)
    found = consumption_of(queue, sources.consumers, watched, age_seconds=age)
    watch.note_consumption(
        name,
        is_consumed=found.is_consumed,
        is_by_name=found.is_by_name,
        is_by_store=found.is_by_store,
        now=now,
        most_gap_seconds=gap,
    )
    nonempty = _nonempty(queue, age, sources, watch)
    unconsumed = found.unconsumed_seconds
    unseen = age is None and queue.oldest_message_id is None and not queue.oldest_has_eta
    if unseen and unconsumed and nonempty:
        # Nobody can look at the oldest. It lies there since the first came, or since nobody takes any.
        age, is_minimum = min(unconsumed, nonempty), True
    takers = found.workers
    told = bool(takers) or found.is_consumed is False
    held = holders.of(name, is_told=told, unacked=queue.unacked, without=found.outdated)
    most = watch.most_seconds(name, now, is_held=True)
    if most is not None and (held.oldest_seconds or 0.0) > most + STAMP_SLACK_SECONDS:
        # It came since nothing waited: whoever sent it has a clock that is behind, or it waited by choice.
        held = replace(held, oldest_seconds=None, oldest_by=None, oldest_is_minimum=True)
    is_unknown = queue.ready != 0 and age is None
    oldest, is_least, is_held = _older(age, is_minimum, held, is_unknown=is_unknown)
    waiting = None if queue.ready is None else queue.ready + (held.count or 0)
    reasons = [*topology.expected.get(name, ()), *(["setting"] if name in settings.expected_queues else [])]
    state = QueueState(
        name=name,
        ready=queue.ready,
        unread=queue.unread,
        # Those that take nothing more still hold what they took.
        reserved=_sum("reserved_by_queue", name, takers, found.idle) if told else None,
        unacked=queue.unacked,
        scheduled=_sum("scheduled_by_queue", name, takers, found.idle) if told else None,
        active=_sum("active_by_queue", name, takers, found.idle) if told else None,
        held=held.count,
        held_is_minimum=held.is_minimum,
        held_with_eta=held.with_eta,
        waiting_before=watch.waiting_before(name, waiting, now),
        oldest_age_seconds=oldest,
        oldest_age_is_minimum=is_least,
        oldest_held_by=held.oldest_by if is_held else None,
        ready_age_is_unknown=is_unknown,
        consumers=found.consumers,
        consumer_names=tuple(worker.hostname for worker in takers),
        foreign_consumers=found.foreign,
        idle_consumers=tuple(f"{worker.hostname} ({_said(worker)})" for worker in found.idle),
        capacity=sum(worker.concurrency or 0 for worker in takers) if told else None,
        unconsumed_seconds=unconsumed,
        unconsumed_by_store=found.by_store,
        consumption_unknown=found.unknown,
        held_seconds=nonempty,
        expected_by=tuple(dict.fromkeys(reasons)),
        error=queue.error,
    )
    return state, found.is_by_store


def _sum(counts: str, name: str, *groups: Iterable[Worker]) -> int:
    return sum(getattr(worker, counts).get(name, 0) for group in groups for worker in group)


def _said(worker: Worker) -> str:
    return worker.state.value.replace("_", " ")


def _oldest_age(queue: QueueReading, sources: QueueSources, watch: QueueWatch) -> tuple[float | None, bool]:
    """Return the age of the oldest ready message, and whether it is only a least one."""
    if queue.oldest_has_eta:
        return None, False
    watched = watch.oldest_seconds(queue.name, sources.now)
    if queue.oldest_published_at is not None:
        age = sources.wall_time - queue.oldest_published_at
        most = watch.most_seconds(queue.name, sources.now)
        is_late = most is not None and age > most + STAMP_SLACK_SECONDS
        if not is_late and age >= (watched or 0.0) - STAMP_SLACK_SECONDS:
            return max(0.0, age), False
        # What was watched says otherwise: by another clock than ours, or it came back to the queue.
    # First seen now: that it is at least 0 s old says nothing.
    return (watched, True) if watched else (None, False)


def _older(
    age: float | None, is_minimum: bool, held: Held, *, is_unknown: bool
) -> tuple[float | None, bool, bool]:
    """Return the age of the oldest of what is ready and held, whether it is a least one, and if that is held.

    `is_unknown`: something may be ready whose age nobody can say.
    """
    if held.oldest_seconds is not None and (age is None or held.oldest_seconds > age):
        return held.oldest_seconds, held.oldest_is_minimum or is_minimum or is_unknown, True
    return age, age is not None and (is_minimum or held.oldest_is_minimum), False


def _nonempty(
    queue: QueueReading, age: float | None, sources: QueueSources, watch: QueueWatch
) -> float | None:
    """Return how long it has not been empty: as long as was watched, or as its oldest message is old.

    A stamp alone is not believed at first sight: it is by another clock, and the message may be on its
    way to a worker this very moment.
    """
    watched = watch.nonempty_seconds(queue.name, sources.now)
    if watched is None or not watched:
        return None
    return max(watched, age or 0.0)
