"""How a queue's state is put together: from one reading, the workers, the store and what was watched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.conf import Settings
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.reading.queue_states import QueueSources, QueueStates
from celery_health.records import DueTasks, QueueState, WorkerState
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


def holder(count: int = 3, oldest: float | None = 40.0, *, least: bool = False, eta: int = 0) -> Any:
    due = DueTasks(count=count, oldest_seconds=oldest, oldest_is_minimum=least, eta_count=eta)
    return make_worker("w@h", due_by_queue={"celery": due}, reserved_by_queue={"celery": count})


EMPTY: dict[str, Any] = {"ready": 0}
STAMPED: dict[str, Any] = {"ready": 5, "oldest_published_at": 999_970.0, "oldest_message_id": "a"}
UNSTAMPED: dict[str, Any] = {"ready": 5, "oldest_message_id": "a"}

#: What is read, who holds what; the age, whether it is a least one, who holds the oldest, and what of the
#: ready part is not known.
OLDEST: list[tuple[dict[str, Any], Any, tuple[float | None, bool, str | None, bool]]] = [
    # Nothing in the broker, some in a worker.
    (EMPTY, holder(), (40.0, False, "w@h", False)),
    (EMPTY, holder(least=True), (40.0, True, "w@h", False)),
    (EMPTY, holder(oldest=None), (None, False, None, False)),
    (EMPTY, make_worker("w@h", due_by_queue={}), (None, False, None, False)),
    # In both: the older of the two.
    (STAMPED, holder(), (40.0, False, "w@h", False)),
    (STAMPED, holder(oldest=10.0), (30.0, False, None, False)),
    # What is held may be older, where nobody says how old it is.
    (STAMPED, holder(oldest=None), (30.0, True, None, False)),
    (STAMPED, make_worker("w@h"), (30.0, False, None, False)),
    # What is ready may be, and that stays unknown.
    (UNSTAMPED, holder(), (40.0, True, "w@h", True)),
    (UNSTAMPED, make_worker("w@h", due_by_queue={}), (None, False, None, True)),
]


@pytest.mark.parametrize(("reading", "worker", "expected"), OLDEST)
def test_queue_state__the_oldest_of_what_is_ready_and_held(
    reading: dict[str, Any], worker: Any, expected: tuple[float | None, bool, str | None, bool]
) -> None:
    queue = state(sources(QueueReading(name="celery", **reading), workers=[worker]))
    found = (queue.oldest_age_seconds, queue.oldest_age_is_minimum, queue.oldest_held_by)
    assert (*found, queue.ready_age_is_unknown) == expected


def ages(*readings: tuple[float, QueueReading], workers: Any = ()) -> list[tuple[float | None, bool]]:
    """Return the ages that are told, where the clock of publish stamps goes as that of the readings."""
    watch, found = QueueStates(Settings()), []
    for now, reading in readings:
        one = state(sources(reading, now=now, wall_time=1_000_000.0 + now, workers=workers), watch)
        found.append((one.oldest_age_seconds, one.oldest_age_is_minimum))
    return found


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        # By a clock like the store's.
        (1_000_011.0, [(9.0, False), (39.0, False)]),
        # It is behind: the queue was empty ten seconds ago.
        (999_111.0, [(None, False), (30.0, True)]),
        # It is ahead.
        (1_000_911.0, [(None, False), (30.0, True)]),
        (1_000_026.0, [(None, False), (30.0, True)]),
    ],
)
def test_queue_state__a_stamp_is_believed_as_far_as_was_watched(
    stamp: float, expected: list[tuple[float | None, bool]]
) -> None:
    empty = QueueReading(name="celery", ready=0)
    reading = QueueReading(name="celery", ready=1, oldest_published_at=stamp, oldest_message_id="a")
    assert (
        ages((0.0, QueueReading(name="celery")), (10.0, empty), (20.0, reading), (50.0, reading))[2:]
        == expected
    )


def test_queue_state__what_a_worker_holds_is_no_older_than_nothing_waited() -> None:
    watch = QueueStates(Settings())
    quiet = make_worker("w@h", due_by_queue={}, last_seen_seconds=4.0)
    for now in (5.0, 10.0):
        read = sources(QueueReading(name="celery", ready=0), now=now, workers=[quiet])
        assert state(read, watch).held == 0
    for oldest, expected in ((900.0, None), (20.0, 20.0)):
        read = sources(QueueReading(name="celery", ready=0), now=30.0, workers=[holder(oldest=oldest)])
        assert state(read, watch).oldest_age_seconds == expected


@pytest.mark.parametrize("pause", [1.0, 3.0])
def test_queue_state__what_was_taken_all_at_once_is_as_old_as_it_was(pause: float) -> None:
    """The record of whoever took it is a heartbeat behind, and it may go back where it came from."""
    empty, now = QueueReading(name="celery", ready=0), 0.0
    idle, holds = make_worker("w@h", due_by_queue={}, last_seen_seconds=0.3), holder(oldest=1800.0)
    watch, found = QueueStates(Settings()), []
    for reading, worker in (
        (QueueReading(name="celery", ready=3, oldest_published_at=998_200.0, oldest_message_id="a"), idle),
        (empty, idle),
        (empty, replace(idle, last_seen_seconds=min(4.0, pause))),
        (empty, holds),
        (empty, replace(holds, last_seen_seconds=1.0)),
        (QueueReading(name="celery", ready=3, oldest_published_at=998_200.0, oldest_message_id="b"), idle),
    ):
        read = sources(reading, now=now, wall_time=1_000_000.0 + now, workers=[worker])
        found.append(state(read, watch).oldest_age_seconds or 0.0)
        now += pause
    assert [age >= 1800.0 for age in found] == [True, False, False, True, True, True], found


@pytest.mark.parametrize(
    ("leaving", "is_old"),
    [
        ({"state": WorkerState.DRAINING, "last_seen_seconds": 0.2}, True),
        ({"state": WorkerState.GONE, "last_seen_seconds": 2.0}, True),
        ({"state": WorkerState.GONE, "last_seen_seconds": 60.0}, False),
    ],
)
def test_queue_state__what_a_worker_gives_back_at_its_end_is_as_old_as_it_was(
    leaving: dict[str, Any], is_old: bool
) -> None:
    """For a moment it is neither ready nor held by anybody."""
    watch, empty = QueueStates(Settings()), QueueReading(name="celery", ready=0)
    back = QueueReading(name="celery", ready=3, oldest_published_at=998_200.0, oldest_message_id="a")
    worker = make_worker("w@h", due_by_queue={}, **leaving)
    state(sources(empty, now=0.0, workers=[holder(oldest=1800.0)]), watch)
    for now in (1.0, 2.0, 3.0):
        state(sources(empty, now=now, workers=[worker]), watch)
    age = state(sources(back, now=4.0, workers=[worker]), watch).oldest_age_seconds
    assert ((age or 0.0) >= 1800.0) is is_old


def test_queue_state__what_waits_in_all() -> None:
    both = state(sources(QueueReading(name="celery", ready=5), workers=[holder(eta=2)]))
    assert (both.ready, both.held, both.held_with_eta, both.waiting) == (5, 3, 2, 8)
    old = state(sources(QueueReading(name="celery", ready=5), workers=[make_worker("w@h")]))
    assert (old.held, old.waiting) == (None, 5)
    unread = state(sources(QueueReading(name="celery", error="no"), workers=[holder()]))
    assert (unread.held, unread.waiting) == (3, None)
    # More than the broker has delivered: its record is old.
    delivered = state(sources(QueueReading(name="celery", ready=5, unacked=1), workers=[holder()]))
    assert (delivered.held, delivered.waiting) == (1, 6)


def test_queue_state__how_many_waited_before() -> None:
    watch = QueueStates(Settings())

    def before(now: float, ready: int) -> tuple[float, int] | None:
        return state(sources(QueueReading(name="celery", ready=ready), now=now), watch).waiting_before

    assert [before(now, 100 - int(now)) for now in (0.0, 10.0, 20.0, 80.0)] == [
        None, None, (20.0, 100), (60.0, 80),
    ]  # fmt: skip
    # Only the latest that is old enough: it may have turned since. Nor do readings before it was empty count.
    assert before(95.0, 30) == (75.0, 80)
    assert before(101.0, 30) == (21.0, 20)
    assert [before(now, 0 if now == 110.0 else 50) for now in (110.0, 120.0, 140.0)] == [
        None,
        None,
        (20.0, 50),
    ]
