"""What a reading says of the broker: that it answered, is away, or could not be asked in time. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING

from celery_health.brokers.base import Broker, BrokerReading
from celery_health.connections.urls import is_same_server, masked_url, user_of
from celery_health.exceptions import CeleryHealthError, LateError
from celery_health.reading.live import Sighting
from celery_health.reading.recorded import Recorded
from celery_health.records import BrokerState, InspectionState, QueueState
from celery_health.topology import Topology

if TYPE_CHECKING:
    from celery import Celery


def answered(broker: Broker, reading: BrokerReading) -> BrokerState:
    """Return the state of a broker as it was read."""
    return BrokerState(
        transport=broker.transport,
        url=broker.url,
        reachable=reading.reachable,
        error=reading.error,
        late=reading.late,
        latency_seconds=reading.latency_seconds,
        writes=reading.writes,
    )


def with_broker_of(recorded: Recorded, broker: Broker, reading: BrokerReading) -> Recorded:
    """Return `recorded`, its store taking no reports where that is the broker's Redis, which takes nothing.

    Why a store refuses is asked now and then; the broker has just said it.
    """
    writes, store = reading.writes, recorded.store
    if writes.accepted is None or not store.reachable or not is_same_server(store.url, broker.url):
        return recorded
    if bool(store.refuses_writes) is not writes.accepted:
        return recorded
    if writes.denied and user_of(store.url) != user_of(broker.url):
        return recorded
    return replace(recorded, store=replace(store, refuses_writes=writes.refusal))


def unanswered(app: Celery, error: CeleryHealthError) -> BrokerState:
    """Return the state of a broker of which no reading came: it is away, or this process was late."""
    connection = app.connection_for_read()
    is_late = isinstance(error, LateError)
    return BrokerState(
        transport=str(connection.transport_cls),
        url=masked_url(connection),
        reachable=None if is_late else False,
        error=None if is_late else str(error),
        late=str(error) if is_late else None,
    )


def unread_queues(
    names: Iterable[str], broker: BrokerState | BrokerReading, topology: Topology
) -> tuple[QueueState, ...]:
    """Return the queues of a broker that gave no answer; why they are there takes none."""
    error = broker.error or broker.late
    return tuple(
        QueueState(name=name, error=error, expected_by=topology.expected.get(name, ())) for name in names
    )


def without_empty(reading: BrokerReading, unknown: AbstractSet[str]) -> BrokerReading:
    """Leave out the empty ones of the queues where messages may come, or came once, and nobody has to be."""
    empty = {name for name in unknown if (queue := reading.queues.get(name)) and queue.ready == 0}
    if not empty:
        return reading
    return replace(reading, queues={name: one for name, one in reading.queues.items() if name not in empty})


def notes_of(recorded: Recorded, reading: BrokerReading) -> tuple[str, ...]:
    """Return what was not looked at, in whole sentences."""
    if not reading.reachable:
        return ()
    unwatched = (reading.writes.limits_unknown,) if reading.writes.limits_unknown else ()
    if recorded.store.configured:
        return unwatched
    return (
        *unwatched,
        "Only the queues that this project knows are looked at: without a store (STORE_URL) nobody notes "
        "where tasks are sent.",
    )


def unlooked(why: str) -> Sighting:
    """Return that nobody was looked for, and why."""
    return Sighting(state=InspectionState(error=why), unasked=why)


def unexplained_consumers(reading: BrokerReading, recorded: Recorded) -> int:
    """Return how many consumers of one queue the broker counts at most that no live record explains."""
    known = Counter(name for one in recorded.workers if one.state.is_live for name in one.queues or ())
    return max(
        (one.consumers - known[one.name] for one in reading.queues.values() if one.consumers), default=0
    )
