"""queues.*: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.consumers import QueuesConsumed, QueuesStalled
from celery_health.health.queues import QueuesAge, QueuesDepth
from celery_health.records import (
    Beat,
    BeatState,
    CheckStatus,
    DueTasks,
    Hold,
    QueueState,
    ScheduleEntryState,
    SharedQueue,
    Sharer,
    Snapshot,
    Worker,
    WorkerState,
)
from celery_health.testing import make_queue, make_snapshot, make_worker


def results(check: Any, snapshot: Snapshot, settings: Settings | None = None) -> list[tuple[str | None, str]]:
    return [(r.subject, r.status.value) for r in check.judge(snapshot, settings or Settings())]


LONELY = {"consumers": 0, "unconsumed_seconds": 61.0}

CONSUMED = [
    (make_queue(ready=5, unconsumed_seconds=0.0), Settings(), "pass"),
    # Messages wait where nobody consumes: the third story of the mission.
    (make_queue(ready=1, **LONELY), Settings(), "fail"),
    # Not for long yet: a worker restarts.
    (make_queue(ready=1, consumers=0, unconsumed_seconds=60.0), Settings(), "pass"),
    # Empty, and nobody must consume it.
    (make_queue(**LONELY), Settings(), "pass"),
    # A task that could be sent there is no reason to alarm; a schedule that will is.
    (make_queue(expected_by=("task:a.b",), **LONELY), Settings(), "pass"),
    (make_queue(expected_by=("beat:nightly",), **LONELY), Settings(), "warn"),
    (make_queue(expected_by=("setting",), **LONELY), Settings(), "warn"),
    # It scales to zero: judged by age alone.
    (make_queue(ready=5, **LONELY), Settings(queues={"celery": {"scale_to_zero": True}}), "pass"),
    # Its own patience.
    (make_queue(ready=5, **LONELY), Settings(queues={"celery": {"unconsumed_seconds": 300}}), "pass"),
    # A worker that nobody heard may consume it.
    (make_queue(ready=5, consumers=None, unconsumed_seconds=None), Settings(), "unknown"),
    # The depth is not known; that a schedule's queue has no consumer is.
    (make_queue(ready=None, expected_by=("beat:x",), **LONELY), Settings(), "warn"),
    # A broadcast on Redis whose messages were sent as if its exchange were direct: workers listen elsewhere.
    (make_queue("reload", ready=6, unread=6, consumers=2), Settings(), "warn"),
]


ONE_LOOK = [
    # It will not look again: an empty queue of the schedule that nobody reads stays so, unseen.
    (make_queue(consumers=0, unconsumed_seconds=0.0, expected_by=("beat:nightly",)), "warn"),
    (make_queue(consumers=0, unconsumed_seconds=0.0, ready=3), "warn"),
    # The store knows since when: the only worker restarts.
    (
        make_queue(
            consumers=0, unconsumed_seconds=5.0, expected_by=("beat:nightly",), unconsumed_by_store=True
        ),
        "pass",
    ),
    (make_queue(consumers=0, unconsumed_seconds=0.0, expected_by=("task:a.b",)), "pass"),
]


@pytest.mark.parametrize("check", [QueuesStalled(), QueuesAge(), QueuesDepth()], ids=lambda one: one.id)
def test_queues__what_lies_where_nobody_reads_is_said_once(check: Any) -> None:
    queue = make_queue("celery", ready=9999, unread=9999, oldest_age_seconds=9999.0, held_seconds=9999.0)

    assert results(check, make_snapshot(queues=[queue])) == [(None, "pass")]


@pytest.mark.parametrize(("queue", "expected"), ONE_LOOK)
def test_queues_consumed__a_command_looks_once(queue: QueueState, expected: str) -> None:
    once = make_snapshot(queues=[queue], is_one_shot=True)
    ((_, status),) = results(QueuesConsumed(), once)
    assert status == expected


@pytest.mark.parametrize(("queue", "settings", "expected"), CONSUMED)
def test_queues_consumed__table(queue: QueueState, settings: Settings, expected: str) -> None:
    ((_, status),) = results(QueuesConsumed(), make_snapshot(queues=[queue]), settings)

    assert status == expected


def test_queues_consumed__a_worker_alone_is_no_help_for_a_name_that_none_registers() -> None:
    entry = ScheduleEntryState(entry="poll", task="devices.poll_snmp", beat="beat@host")
    beat = Beat(name="beat@host", state=BeatState.OK, entries=(entry,), entries_total=1)
    queue = make_queue("snmp", ready=3, expected_by=("beat:poll",), **LONELY)
    start = "tart one: celery -A proj worker -Q snmp"

    def advice(*workers: Worker, queue: QueueState = queue) -> str | None:
        snapshot = make_snapshot(queues=[queue], beats=[beat], workers=workers)
        (result,) = QueuesConsumed().judge(snapshot, Settings())
        return result.recommendation

    lacking = make_worker("w1@host", registered=frozenset({"devices.clean"}))
    assert advice(lacking) == (
        "Queue 'snmp' has no consumer and holds 3 tasks. First correct the schedule's entry 'poll': no "
        "worker registers 'devices.poll_snmp', and one that is started for the queue alone would discard "
        f"what it takes. Then: s{start}"
    )
    plain = f"Queue 'snmp' has no consumer and holds 3 tasks. S{start}"
    # Another worker registers it: one more for the queue is what it needs.
    assert advice(lacking, make_worker("w2@host", registered=frozenset({"devices.poll_snmp"}))) == plain
    # What the other registers is not known; or it is silent, or none is there to tell.
    assert advice(lacking, make_worker("w2@host", registered=None)) == plain
    assert advice(lacking, make_worker("w2@host", state=WorkerState.UNKNOWN)) == plain
    assert advice() == plain
    # A task of the project goes there too.
    both = make_queue("snmp", ready=3, expected_by=("beat:poll", "task:devices.walk"), **LONELY)
    assert advice(lacking, queue=both) == plain


PAY, SYNC = ("shop.pay",), frozenset({"crm.sync"})
LACKING = Sharer(hostname="crm@host", registered=SYNC, lacks=PAY, is_other_project=True)

SHARED = [
    # A worker of another project takes what is sent there, and discards it.
    (LACKING, {}, "warn"),
    # Nobody is known to use the queue: the router alone names it.
    (LACKING, {"is_used": False}, "pass"),
    # It knows what is sent there.
    (replace(LACKING, lacks=()), {}, "pass"),
    # Not ours, and it knows nothing of what is sent there: whatever it is.
    (replace(LACKING, is_other_project=False), {}, "warn"),
    # A version of this project: it lacks the newest task, during a deploy.
    (replace(LACKING, is_other_project=False), {"sent": (*PAY, "shop.ship")}, "pass"),
    # One of ours, as it says: what it discards is counted.
    (replace(LACKING, is_other_project=False, is_foreign=False), {}, "pass"),
    # Another project under our APP_ID.
    (replace(LACKING, is_foreign=False), {}, "warn"),
]


@pytest.mark.parametrize(("sharer", "changes", "expected"), SHARED)
def test_queues_consumed__by_another_project(sharer: Sharer, changes: dict[str, Any], expected: str) -> None:
    queue = SharedQueue(
        **{"name": "celery", "sharers": (sharer,), "ours": ("w@h",), "sent": PAY, "is_used": True, **changes}
    )
    ((_, status),) = results(QueuesConsumed(), make_snapshot(shared_queues=(queue,)))

    assert status == expected


def test_queues_consumed__says_who_discards_what() -> None:
    queue = SharedQueue(name="celery", sharers=(LACKING,), ours=("w@h",), sent=PAY, is_used=True)
    (result,) = QueuesConsumed().judge(make_snapshot(shared_queues=(queue,)), Settings())

    assert result.message == (
        "Queue 'celery' is consumed by 'crm@host' of another project, which does not register 'shop.pay': "
        "what it takes of those, it discards."
    )
    assert result.recommendation is not None
    assert "python manage.py celery_health doctor" in result.recommendation


HELD = {"ready": 40, "held_seconds": 130.0, "consumer_names": ("worker1@host",)}
IDLE = {"progress_age_seconds": 125.0}

HELD_BACK: dict[str, Any] = {
    "state": WorkerState.HELD_BACK,
    "progress_age_seconds": 900.0,
    "idle_seconds": 0.0,
    "held_back": (
        Hold(by="rate_limit", task_name="app.sync", count=5, limit="20/h"),
        Hold(by="eta", task_name="app.later", count=3, limit="worker_eta_task_limit 8"),
    ),
}

STALLED = [
    # 40 wait, a consumer has free slots, and nothing has moved for two minutes.
    (make_queue(**HELD), make_worker(**IDLE), "fail"),
    # It took something a moment ago.
    (make_queue(**HELD), make_worker(progress_age_seconds=3.0), "pass"),
    # They came a moment ago.
    (make_queue(**{**HELD, "held_seconds": 5.0}), make_worker(**IDLE), "pass"),
    # Every slot runs a slow task: a backlog, no stall.
    (make_queue(**HELD), make_worker(active_count=4, **IDLE), "pass"),
    # It drains, or waits for the broker.
    (make_queue(**HELD), make_worker(state=WorkerState.DRAINING, **IDLE), "pass"),
    (make_queue(**HELD), make_worker(state=WorkerState.RECONNECTING, **IDLE), "pass"),
    # Alive, free, and deaf: that is a stall too.
    (make_queue(**HELD), make_worker(state=WorkerState.NOT_CONSUMING, **IDLE), "fail"),
    # It could have begun a task for two minutes, by its own measure.
    (make_queue(**HELD), make_worker(progress_age_seconds=5.0, idle_seconds=125.0), "fail"),
    # Full, held back or paused until a moment ago: it has had no time yet.
    (make_queue(**HELD), make_worker(progress_age_seconds=900.0, idle_seconds=0.5), "pass"),
    # Its hands are full of what waits for a rate limit: no fault, however long.
    (make_queue(**HELD), make_worker(**HELD_BACK), "pass"),
    # Its consumer was cancelled: another check says so.
    (make_queue(**HELD), make_worker(state=WorkerState.NO_QUEUES, **IDLE), "pass"),
    # First look: nobody can say.
    (make_queue(**{**HELD, "held_seconds": None}), make_worker(**IDLE), "unknown"),
    # A worker without records: nobody can say.
    (make_queue(**HELD), make_worker(), "unknown"),
    (make_queue(ready=0), make_worker(**IDLE), "pass"),
    # No queue could be read: that none is stalled would be a guess.
    (make_queue(**{**HELD, "ready": None}), make_worker(**IDLE), "unknown"),
]


@pytest.mark.parametrize(("queue", "worker", "expected"), STALLED)
def test_queues_stalled__table(queue: QueueState, worker: Worker, expected: str) -> None:
    ((_, status),) = results(QueuesStalled(), make_snapshot(queues=[queue], workers=[worker]))

    assert status == expected


def test_queues_stalled__one_free_consumer_that_works_is_enough() -> None:
    queue = make_queue(ready=40, held_seconds=130.0, consumer_names=("a@h", "b@h"))
    workers = [make_worker("a@h", **IDLE), make_worker("b@h", progress_age_seconds=1.0)]

    assert results(QueuesStalled(), make_snapshot(queues=[queue], workers=workers)) == [(None, "pass")]


def test_queues_stalled__names_the_limit_and_what_waits_behind_it() -> None:
    snapshot = make_snapshot(
        queues=[make_queue(**HELD), make_queue("empty", consumer_names=("worker1@host",))],
        workers=[make_worker(**HELD_BACK)],
    )

    [result] = QueuesStalled().judge(snapshot, Settings())

    assert (result.status, result.subject, result.observed) == (CheckStatus.PASS, "celery", 40)
    assert result.message == (
        "Queue 'celery' holds 40 tasks behind a limit: worker 'worker1@host' holds 5 of 'app.sync' for its "
        "rate limit (20/h), 3 of 'app.later' until its ETA (worker_eta_task_limit 8)."
    )


def test_queues_stalled__a_worker_that_is_held_back_excuses_no_other() -> None:
    queue = make_queue(ready=40, held_seconds=130.0, consumer_names=("a@h", "b@h"))
    workers = [make_worker("a@h", **HELD_BACK), make_worker("b@h", idle_seconds=125.0)]

    assert results(QueuesStalled(), make_snapshot(queues=[queue], workers=workers)) == [("celery", "fail")]


SINGLE = {"single_active_queues": ("celery",)}
SINGLE_ACTIVE = [
    # The broker gives to the other one alone, whose slots are taken: this one gets nothing, and is well.
    ([make_worker("a@h", **IDLE, **SINGLE), make_worker("b@h", active_count=4, **IDLE, **SINGLE)], "pass"),
    # Whoever is the one, it takes nothing.
    ([make_worker("a@h", **IDLE, **SINGLE), make_worker("b@h", **IDLE, **SINGLE)], "fail"),
    # An ordinary queue: both should take.
    ([make_worker("a@h", **IDLE), make_worker("b@h", active_count=4, **IDLE)], "fail"),
]


@pytest.mark.parametrize(("workers", "expected"), SINGLE_ACTIVE)
def test_queues_stalled__a_single_active_consumer(workers: list[Worker], expected: str) -> None:
    queue = make_queue(ready=40, held_seconds=130.0, consumer_names=("a@h", "b@h"))

    ((_, status),) = results(QueuesStalled(), make_snapshot(queues=[queue], workers=workers))

    assert status == expected


AGE = [
    (make_queue(ready=3, oldest_age_seconds=599.0), "pass"),
    (make_queue(ready=3, oldest_age_seconds=601.0), "warn"),
    # At least so old is old enough.
    (make_queue(ready=3, oldest_age_seconds=601.0, oldest_age_is_minimum=True), "warn"),
    # Waiting, and nobody knows how long.
    (make_queue(ready=3), "unknown"),
    (make_queue(ready=0), "pass"),
]


@pytest.mark.parametrize(("queue", "expected"), AGE)
def test_queues_age__table(queue: QueueState, expected: str) -> None:
    ((_, status),) = results(QueuesAge(), make_snapshot(queues=[queue]))

    assert status == expected


def test_rules__scaled_to_zero_is_judged_by_age_alone() -> None:
    queue = make_queue(
        ready=5000, held_seconds=500.0, consumer_names=("worker1@host",), oldest_age_seconds=601.0
    )
    idle = make_worker(active_count=0, concurrency=4, progress_age_seconds=500.0)
    snapshot = make_snapshot(queues=[queue], workers=[idle])
    scaled = Settings(queues={"celery": {"scale_to_zero": True}})

    for check in (QueuesDepth(), QueuesStalled(), QueuesConsumed()):
        assert [status for _, status in results(check, snapshot, scaled)] == ["pass"]
    assert results(QueuesAge(), snapshot, scaled) == [("celery", "warn")]
    assert results(QueuesDepth(), snapshot) == [("celery", "warn")]
    assert results(QueuesStalled(), snapshot) == [("celery", "fail")]


DEPTH = [
    # Held by workers counts, as long as it could run.
    (make_queue(ready=1000, held=204), "warn"),
    (make_queue(ready=0, held=1001), "warn"),
    (make_queue(ready=900, held=100), "pass"),
    # Nobody says what workers hold: judged by what is ready.
    (make_queue(ready=1000, held=None, reserved=400), "pass"),
    (make_queue(ready=1001, held=None), "warn"),
    # Until its ETA, or for a rate limit, it is reserved or scheduled, and not held.
    (make_queue(ready=0, held=0, reserved=5000, scheduled=5000), "pass"),
    # The depth is not known, whatever workers hold.
    (make_queue(ready=None, held=5000), "unknown"),
]


@pytest.mark.parametrize(("queue", "expected"), DEPTH)
def test_queues_depth__table(queue: QueueState, expected: str) -> None:
    ((_, status),) = results(QueuesDepth(), make_snapshot(queues=[queue]))

    assert status == expected


HELD_AGE = [
    # The queue is empty, and a worker holds what has waited too long.
    (make_queue(held=3, oldest_age_seconds=601.0, oldest_held_by="w@h"), "warn"),
    (make_queue(held=3, oldest_age_seconds=599.0, oldest_held_by="w@h"), "pass"),
    # For how long it has held them, nobody says: as before.
    (make_queue(held=3), "pass"),
    # How old the ready ones are is not known, and what is held is young.
    (
        make_queue(
            ready=3, held=3, oldest_age_seconds=5.0, oldest_age_is_minimum=True, ready_age_is_unknown=True
        ),
        "unknown",
    ),
    (
        make_queue(
            ready=3, held=3, oldest_age_seconds=601.0, oldest_age_is_minimum=True, ready_age_is_unknown=True
        ),
        "warn",
    ),
]


@pytest.mark.parametrize(("queue", "expected"), HELD_AGE)
def test_queues_age__of_what_workers_hold(queue: QueueState, expected: str) -> None:
    ((_, status),) = results(QueuesAge(), make_snapshot(queues=[queue]))

    assert status == expected


def holder(hostname: str = "w1@host", **changes: Any) -> Worker:
    return make_worker(
        hostname, **{"due_by_queue": {"celery": DueTasks(count=204)}, "prefetch_count": 16, **changes}
    )


START = "Add workers: celery -A proj worker -Q celery"
TO_COME = "For what is still to come, add workers: celery -A proj worker -Q celery"
PREFETCH = (
    "No other worker can take what one has taken: with app.conf.worker_prefetch_multiplier = 1 each takes "
    "less ahead, and long tasks do better in a queue of their own. "
)
ETA = (
    "were sent with a countdown or an ETA, and were taken before it: once it has passed, no other worker can "
    "take them. app.conf.worker_eta_task_limit (Celery 5.6 and newer) says how many one worker takes so. "
)

WORDS: list[tuple[dict[str, Any], list[Worker], str, str]] = [
    (
        {"ready": 1000, "held": 204},
        [holder()],
        "Queue 'celery' holds 1,204 tasks (limit 1000): 1,000 wait in the broker, 204 in workers.",
        "",
    ),
    (
        {"held": 1204},
        [holder()],
        "Queue 'celery' holds 1,204 tasks (limit 1000): none waits in the broker, 1,204 in workers.",
        PREFETCH,
    ),
    (
        {"ready": 1, "held": 1204, "held_is_minimum": True, "held_with_eta": 1204},
        [holder()],
        "Queue 'celery' holds at least 1,205 tasks (limit 1000): 1 waits in the broker, 1,204 in workers.",
        f"They {ETA}",
    ),
    (
        {"held": 1204, "held_with_eta": 700},
        [holder()],
        "Queue 'celery' holds 1,204 tasks (limit 1000): none waits in the broker, 1,204 in workers.",
        f"700 of them {ETA}",
    ),
    (
        {"held": 1204},
        [
            holder("a@h", prefetch_count=0),
            holder("b@h", prefetch_count=0),
            make_worker("c@h", prefetch_count=0),
        ],
        "Queue 'celery' holds 1,204 tasks (limit 1000): none waits in the broker, 1,204 in workers.",
        "Workers 'a@h', 'b@h' take all that comes, and leave nothing to others: "
        "app.conf.worker_prefetch_multiplier = 1, and restart; it is 0. ",
    ),
]


@pytest.mark.parametrize(("queue", "workers", "message", "cause"), WORDS)
def test_queues_depth__says_of_what_and_why(
    queue: dict[str, Any], workers: list[Worker], message: str, cause: str
) -> None:
    (result,) = QueuesDepth().judge(make_snapshot(queues=[make_queue(**queue)], workers=workers), Settings())

    start = START if queue.get("ready") else TO_COME
    assert (result.message, result.recommendation) == (message, f"{message} {cause}{start}")
    assert result.observed == queue.get("ready", 0) + queue["held"]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (None, ""),
        ((60.0, 1500), " 1 min ago it held 1,500: it drains."),
        ((60.0, 900), " 1 min ago it held 900: it grows."),
        ((25.0, 1210), " 25 s ago it held 1,210: it does not drain."),
    ],
)
def test_queues_depth__says_whether_it_drains(before: tuple[float, int] | None, told: str) -> None:
    queue = make_queue(ready=1204, waiting_before=before)
    (result,) = QueuesDepth().judge(make_snapshot(queues=[queue]), Settings())

    assert result.message == f"Queue 'celery' holds 1204 tasks (limit 1000).{told}"


def test_queues_age__names_the_worker_that_holds_the_oldest() -> None:
    queue = make_queue(held=3, oldest_age_seconds=750.0, oldest_held_by="w1@host")
    (result,) = QueuesAge().judge(make_snapshot(queues=[queue], workers=[holder()]), Settings())

    assert result.message == (
        "The oldest task in queue 'celery' has waited 750 s (limit 600): worker 'w1@host' took it, and has "
        "not begun it."
    )
    assert result.recommendation == f"{result.message} {PREFETCH}{TO_COME}"
