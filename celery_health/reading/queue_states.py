"""Put together what broker, workers, store and memory say of each queue: pure, over what was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.queue_watch import QueueWatch
from celery_health.records import QueueState, Worker, WorkerState
from celery_health.topology import Topology


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSources:
    """Everything that says something of queues, read in one go."""

    reading: BrokerReading
    workers: Sequence[Worker]
    knows_all_workers: bool
    """True when no worker can be missing from `workers`: only then is "no consumer" a fact."""
    last_consumed: Mapping[str, float] | None
    """Queue → seconds since somebody consumed it; None without a store."""
    store_age_seconds: float | None
    """How long the store has kept that; None without a store."""
    now: float
    """On the clock of `QueueWatch`."""
    wall_time: float
    """Unix seconds by the broker's clock, or this host's where the broker has none: for publish stamps."""


def queue_states(
    sources: QueueSources, topology: Topology, settings: Settings, watch: QueueWatch
) -> tuple[QueueState, ...]:
    """Return the state of every queue that was read, by name."""
    consumers = _consumers(sources.workers)
    watch.keep(set(sources.reading.queues))
    states = []
    for name, queue in sorted(sources.reading.queues.items()):
        takers = consumers.get(name, ())
        is_consumed = _is_consumed(queue, takers, sources)
        watch.note(queue, is_consumed=is_consumed, now=sources.now)
        states.append(_state(queue, takers, is_consumed, sources, topology, settings, watch))
    return tuple(states)


def _consumers(workers: Iterable[Worker]) -> Mapping[str, list[Worker]]:
    by_queue: dict[str, list[Worker]] = {}
    for worker in workers:
        if worker.state.is_live:
            for name in worker.queues or ():
                by_queue.setdefault(name, []).append(worker)
    return by_queue


def _is_consumed(queue: QueueReading, takers: Sequence[Worker], sources: QueueSources) -> bool | None:
    """Say whether somebody consumes it; None when a worker that nobody heard may."""
    # A broker that counts consumers also counts those that are not ours.
    if takers or queue.consumers:
        return True
    if not sources.knows_all_workers:
        return None
    unheard = (worker for worker in sources.workers if worker.state is WorkerState.UNKNOWN)
    if any(worker.queues is None or queue.name in worker.queues for worker in unheard):
        return None
    return False


def _state(
    queue: QueueReading,
    takers: Sequence[Worker],
    is_consumed: bool | None,
    sources: QueueSources,
    topology: Topology,
    settings: Settings,
    watch: QueueWatch,
) -> QueueState:
    name = queue.name
    age, is_minimum = _oldest_age(queue, sources, watch)
    unconsumed = _unconsumed(queue, is_consumed, age, sources, watch)
    held = _held(queue, age, sources, watch)
    if age is None and queue.oldest_message_id is None and unconsumed and held and not queue.oldest_has_eta:
        # Nobody can look at the oldest. It lies there since the first came, or since nobody takes any.
        age, is_minimum = min(unconsumed, held), True
    told = bool(takers) or is_consumed is False
    reasons = [*topology.expected.get(name, ()), *(["setting"] if name in settings.expected_queues else [])]
    return QueueState(
        name=name,
        ready=queue.ready,
        reserved=sum(worker.reserved_by_queue.get(name, 0) for worker in takers) if told else None,
        unacked=queue.unacked,
        scheduled=sum(worker.scheduled_by_queue.get(name, 0) for worker in takers) if told else None,
        active=sum(worker.active_by_queue.get(name, 0) for worker in takers) if told else None,
        oldest_age_seconds=age,
        oldest_age_is_minimum=is_minimum,
        consumers=len(takers) if told else queue.consumers,
        consumer_names=tuple(worker.hostname for worker in takers),
        capacity=sum(worker.concurrency or 0 for worker in takers) if told else None,
        last_consumed_seconds=(sources.last_consumed or {}).get(name),
        unconsumed_seconds=unconsumed,
        held_seconds=held,
        expected_by=tuple(dict.fromkeys(reasons)),
        error=queue.error,
    )


def _oldest_age(queue: QueueReading, sources: QueueSources, watch: QueueWatch) -> tuple[float | None, bool]:
    """Return the age of the oldest ready message, and whether it is only a least one."""
    if queue.oldest_has_eta:
        return None, False
    if queue.oldest_published_at is not None:
        return max(0.0, sources.wall_time - queue.oldest_published_at), False
    watched = watch.oldest_seconds(queue.name, sources.now)
    # First seen now: that it is at least 0 s old says nothing.
    return (watched, True) if watched else (None, False)


def _held(queue: QueueReading, age: float | None, sources: QueueSources, watch: QueueWatch) -> float | None:
    """Return how long it has not been empty: as long as was watched, or as its oldest message is old.

    A stamp alone is not believed at first sight: it is by another clock, and the message may be on its
    way to a worker this very moment.
    """
    watched = watch.nonempty_seconds(queue.name, sources.now)
    if watched is None or not watched:
        return None
    return max(watched, age or 0.0)


def _unconsumed(
    queue: QueueReading,
    is_consumed: bool | None,
    age: float | None,
    sources: QueueSources,
    watch: QueueWatch,
) -> float | None:
    if is_consumed is None:
        return None
    if is_consumed:
        return 0.0
    watched = watch.unconsumed_seconds(queue.name, sources.now) or 0.0
    if sources.last_consumed is not None and queue.name in sources.last_consumed:
        return max(watched, sources.last_consumed[queue.name])
    # Never consumed, as far as anybody knows: what waits there has waited in vain for as long as it is old.
    return max(watched, age or 0.0) if queue.ready else watched
