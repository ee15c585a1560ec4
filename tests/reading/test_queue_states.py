"""How a queue's state is put together: from one reading, the workers, the store and what was watched."""

from __future__ import annotations

from typing import Any

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.queue_states import QueueSources, QueueStates
from celery_health.records import QueueState, WorkerState
from celery_health.testing import make_worker
from celery_health.topology import Topology


def sources(*queues: QueueReading, **changes: Any) -> QueueSources:
    defaults: dict[str, Any] = {
        "reading": BrokerReading(reachable=True, queues={queue.name: queue for queue in queues}),
        "now": 50.0,
        "wall_time": 1_000_000.0,
    }
    evidence = {name: changes.pop(name) for name in ("silent", "last_consumed", "unasked") if name in changes}
    defaults["consumers"] = ConsumerEvidence(workers=changes.pop("workers", ()), **evidence)
    return QueueSources(**{**defaults, **changes})


def state(read: QueueSources, watch: QueueStates | None = None) -> QueueState:
    (one,) = (watch or QueueStates(Settings())).update(read, Topology())
    return one


def test_queue_state__counts_what_its_consumers_hold() -> None:
    workers = [
        make_worker("a@h", active_by_queue={"celery": 2}, reserved_by_queue={"celery": 3, "x": 1}),
        make_worker("b@h", queues=("x",), active_by_queue={"x": 4}),
        make_worker("c@h", scheduled_by_queue={"celery": 7}, concurrency=2),
        make_worker("d@h", state=WorkerState.GONE, active_by_queue={"celery": 9}),
    ]
    queue = state(sources(QueueReading(name="celery", ready=5), workers=workers))

    assert (queue.ready, queue.active, queue.reserved, queue.scheduled) == (5, 2, 3, 7)
    assert (queue.consumers, queue.consumer_names, queue.capacity) == (2, ("a@h", "c@h"), 6)
    assert queue.unconsumed_seconds == 0.0


def test_queue_state__an_eta_at_the_head_has_no_age() -> None:
    reading = QueueReading(name="celery", ready=1, oldest_published_at=900_000.0, oldest_has_eta=True)

    assert state(sources(reading)).oldest_age_seconds is None


def test_queue_state__watches_the_head_where_nothing_is_stamped() -> None:
    watch = QueueStates(Settings())
    reading = QueueReading(name="celery", ready=1, oldest_message_id="a")
    first = state(sources(reading, now=50.0), watch)
    second = state(sources(reading, now=80.0), watch)
    moved = state(sources(QueueReading(name="celery", ready=1, oldest_message_id="b"), now=90.0), watch)

    assert (first.oldest_age_seconds, first.held_seconds) == (None, None)
    assert (second.oldest_age_seconds, second.oldest_age_is_minimum, second.held_seconds) == (
        30.0,
        True,
        30.0,
    )
    assert (moved.oldest_age_seconds, moved.held_seconds) == (None, 40.0)


def test_queue_state__unseen_it_is_as_old_as_nobody_has_taken_any() -> None:
    """RabbitMQ shows nobody the oldest message."""
    watch = QueueStates(Settings())
    reading = QueueReading(name="celery", ready=5, consumers=0)

    moments = (50.0, *range(80, 701, 30))
    ages = [state(sources(reading, now=now), watch).oldest_age_seconds for now in moments]
    last = state(sources(reading, now=690.0), watch)

    assert (ages[0], ages[1], ages[-1]) == (None, 30.0, 630.0)
    assert (last.oldest_age_seconds, last.oldest_age_is_minimum) == (640.0, True)
    # Somebody takes: the oldest may be new.
    taken = QueueReading(name="celery", ready=5, consumers=1)
    assert state(sources(taken, now=720.0), watch).oldest_age_seconds is None


def test_queue_state__a_stamp_counts_from_the_second_look() -> None:
    watch = QueueStates(Settings())
    reading = QueueReading(name="celery", ready=1, oldest_published_at=999_700.0, oldest_message_id="a")

    assert state(sources(reading, now=50.0), watch).held_seconds is None
    assert state(sources(reading, now=50.25), watch).held_seconds == 300.0
