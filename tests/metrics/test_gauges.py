"""What the gauges say, and that they say nothing where nothing is known."""

import pytest

from celery_health.metrics.gauges import facts_of
from celery_health.records import (
    CheckResult,
    CheckStatus,
    Losses,
    LostRuns,
    Orphans,
    QueueState,
    Status,
    WorkerState,
)
from tests.metrics.conftest import SERVER_TIME, beat, reading, report, worker


def fact(name, report=None, reading=None):
    return facts_of(report, reading).get(name)


@pytest.mark.parametrize(
    ("one", "up"),
    [
        (worker(), 1.0),
        (worker(state=WorkerState.DRAINING, is_draining=True), 1.0),
        (worker(state=WorkerState.RECONNECTING), 1.0),
        (worker(state=WorkerState.STUCK), 1.0),  # it runs; the verdict says that it is ill
        (worker(state=WorkerState.GONE, last_seen_seconds=31.0), 0.0),  # crashed
        (worker(state=WorkerState.GONE, last_seen_seconds=1799.0), 0.0),  # alerts have had their time
        (worker(state=WorkerState.GONE, last_seen_seconds=1801.0), None),
        (worker(state=WorkerState.GONE, last_seen_seconds=1.0, said_goodbye=True), None),  # left at once
        (
            worker(state=WorkerState.GONE, last_seen_seconds=60.0, is_draining=True),
            None,
        ),  # killed at its grace
        (worker(state=WorkerState.UNKNOWN), None),  # silent in an inspection: nobody knows
        (worker(state=WorkerState.GONE, last_seen_seconds=None), None),
    ],
)
def test_worker_up__by_state(one, up):
    found = fact("celery_worker_up", report(workers=(one,)))
    assert found == ({} if up is None else {("w1@host",): up})


def test_worker_heartbeat__is_a_time_by_the_host_that_shows_it():
    facts = facts_of(report(workers=(worker(active_count=3),)), None)
    assert facts["celery_worker_last_heartbeat_timestamp_seconds"] == {("w1@host",): SERVER_TIME - 2.5}
    assert facts["celery_worker_tasks_active"] == {("w1@host",): 3.0}


def test_worker_tasks_active__unknown_is_absent_and_so_is_that_of_the_dead():
    workers = (
        worker("a@host", active_count=None),
        worker("b@host", active_count=0),
        worker("c@host", WorkerState.GONE, active_count=4),
    )
    assert fact("celery_worker_tasks_active", report(workers=workers)) == {("b@host",): 0.0}


def test_workers__of_one_name_have_one_series():
    workers = (
        worker("w@host", active_count=3, last_seen_seconds=2.0, is_doubled=True),
        worker("w@host", active_count=4, last_seen_seconds=1.0, is_doubled=True),
        worker("w@host", WorkerState.GONE, active_count=5, last_seen_seconds=60.0),
    )
    facts = facts_of(report(workers=workers), None)
    assert facts["celery_worker_up"] == {("w@host",): 1.0}
    assert facts["celery_worker_tasks_active"] == {("w@host",): 7.0}
    assert facts["celery_worker_last_heartbeat_timestamp_seconds"] == {("w@host",): SERVER_TIME - 1.0}


def alive(status):
    return CheckResult(id="workers.alive", status=status, message="")


@pytest.mark.parametrize(
    ("workers", "check", "count"),
    [
        ((worker("a"), worker("b"), worker("c", WorkerState.GONE)), CheckStatus.PASS, 2.0),
        ((), CheckStatus.FAIL, 0.0),
        ((), CheckStatus.UNKNOWN, None),  # the broker is down and nobody could be asked
        ((), CheckStatus.UNSUPPORTED, None),  # task_always_eager
        ((), CheckStatus.OFF, None),  # by CHECKS: nobody has judged whether one is there
    ],
)
def test_workers__are_counted_where_somebody_knows(workers, check, count):
    found = fact("celery_workers", report(workers=workers, checks=[alive(check)]))
    assert found == (None if count is None else {(): count})


def test_workers__none_must_be_there_and_none_is():
    none = CheckResult(id="workers.alive", status=CheckStatus.OFF, message="", observed=0)
    assert fact("celery_workers", report(workers=(), checks=[none])) == {(): 0.0}


def test_queues__each_fact_of_each_queue():
    queue = QueueState(
        name="emails",
        ready=5,
        active=2,
        reserved=4,
        held=3,
        oldest_age_seconds=7.5,
        consumers=3,
        consumer_names=("a@host", "b@host"),
        capacity=16,
    )
    facts = facts_of(report(queues=(queue,)), None)
    assert {name: samples[("emails",)] for name, samples in facts.items() if ("emails",) in samples} == {
        "celery_queue_length": 5.0,
        "celery_queue_tasks_active": 2.0,
        "celery_queue_tasks_reserved": 4.0,
        "celery_queue_tasks_held": 3.0,
        "celery_queue_oldest_message_age_seconds": 7.5,
        "celery_active_consumer_count": 3.0,
        "celery_active_worker_count": 2.0,
        "celery_active_process_count": 16.0,
        "celery_held_back_process_count": 0.0,
    }


@pytest.mark.parametrize(
    ("held", "age", "shown"),
    [
        # Nothing waits, in the queue or in workers; or nobody says what workers hold.
        (0, None, {("emails",): 0.0}),
        (None, None, {("emails",): 0.0}),
        # Workers hold some, for so long; or for how long nobody knows.
        (3, 7.5, {("emails",): 7.5}),
        (3, None, {}),
    ],
)
def test_queues__an_empty_one_of_which_workers_hold_some(held, age, shown):
    queue = QueueState(name="emails", ready=0, held=held, oldest_age_seconds=age)
    facts = facts_of(report(queues=(queue,)), None)
    assert facts["celery_queue_oldest_message_age_seconds"] == shown


def test_queues__what_is_unknown_is_absent_and_an_empty_one_has_no_old_message():
    facts = facts_of(report(queues=(QueueState(name="unread"), QueueState(name="empty", ready=0))), None)
    assert {
        name: samples for name, samples in facts.items() if name.startswith(("celery_queue", "celery_act"))
    } == {
        "celery_queue_length": {("empty",): 0.0},
        "celery_queue_tasks_active": {},
        "celery_queue_tasks_reserved": {},
        "celery_queue_tasks_held": {},
        "celery_queue_oldest_message_age_seconds": {("empty",): 0.0},
        "celery_active_consumer_count": {},
        "celery_active_worker_count": {},
        "celery_active_process_count": {},
        "celery_queue_tasks_orphaned": {},
    }
    assert facts["celery_held_back_process_count"] == {}


def test_queues__slots_of_workers_that_a_limit_holds_back():
    workers = (
        worker("a", WorkerState.HELD_BACK, concurrency=4, queues=("emails", "celery")),
        worker("b", WorkerState.OK, concurrency=2, queues=("emails",)),
        worker("b", WorkerState.HELD_BACK, concurrency=1, queues=("emails",)),  # its double
    )
    queues = (QueueState(name="emails", capacity=7), QueueState(name="unknown"))
    found = fact("celery_held_back_process_count", report(queues=queues, workers=workers))
    assert found == {("emails",): 5.0}


@pytest.mark.parametrize("status", Status)
def test_status__exactly_one_is_1(status):
    found = fact("celery_health_status", report(status=status))
    assert found == {(one.value,): float(one is status) for one in Status}


def test_dead_letters__of_queues_that_could_be_read():
    found = fact(
        "celery_dead_letter_queue_size", report(dead_letters={"celery": 3, "emails": 0, "odd": None})
    )
    assert found == {("celery",): 3.0, ("emails",): 0.0}
    assert fact("celery_dead_letter_queue_size", report()) == {}


def test_up__says_whether_there_is_a_report():
    assert fact("celery_health_up", report()) == {(): 1.0}
    assert facts_of(None, None) == {"celery_health_up": {(): 0.0}}


# Beat --------------------------------------------------------------------------------------------------


def entry(name="sync", **more):
    return {"entry": name, "enabled": True, **more}


def test_beat_tick__is_the_youngest_of_all():
    beats = (beat(500.0, "old@host", tick_age_seconds=1.0), beat(3.0, tick_age_seconds=20.0))
    found = fact("celery_beat_last_tick_timestamp_seconds", reading=reading(beats=beats))
    assert found == {(): SERVER_TIME - 23.0}


def test_beat_tick__is_absent_before_the_first():
    assert fact("celery_beat_last_tick_timestamp_seconds", reading=reading()) is None
    starting = reading(beats=(beat(1.0, tick_age_seconds=None),))
    assert fact("celery_beat_last_tick_timestamp_seconds", reading=starting) is None


@pytest.mark.parametrize(
    ("beats", "overdue"),
    [
        ((), {}),
        ((beat(1.0, entries=[entry(overdue_seconds=0.0, next_due_in_seconds=30.0)]),), {"sync": 0.0}),
        ((beat(2.0, entries=[entry(overdue_seconds=40.0)]),), {"sync": 42.0}),
        ((beat(1.0, entries=[entry(enabled=False, overdue_seconds=9.0)]),), {}),
        ((beat(1.0, entries=[entry()]),), {}),  # only listed: not this beat's to say
        # Between two records of a living beat an entry may come due and be sent.
        ((beat(6.0, entries=[entry(overdue_seconds=0.0, next_due_in_seconds=1.0)]),), {"sync": 0.0}),
        # Beat died an hour ago: what was due half an hour later is half an hour late.
        ((beat(3600.0, entries=[entry(overdue_seconds=0.0, next_due_in_seconds=1800.0)]),), {"sync": 1800.0}),
        # The younger beat's word counts, and what only the dead one's schedule held is forgotten.
        (
            (
                beat(
                    4000.0,
                    "old@host",
                    entries=[entry(overdue_seconds=5.0), entry("gone", overdue_seconds=5.0)],
                ),
                beat(2.0, "new@host", entries=[entry(overdue_seconds=0.0)]),
            ),
            {"sync": 0.0},
        ),
        # A standby that waits for RedBeat's lock keeps no schedule.
        (
            (
                beat(1.0, "standby@host", lock="waiting", entries=[entry(overdue_seconds=99.0)]),
                beat(2.0, "holder@host", lock="held", entries=[entry(overdue_seconds=0.0)]),
            ),
            {"sync": 0.0},
        ),
        ((beat(1.0, entries="broken"), beat(1.5, "b", entries=[None, {"no": "name"}])), {}),
    ],
)
def test_beat_overdue__by_those_that_keep_the_schedule(beats, overdue):
    found = fact("celery_beat_overdue_seconds", reading=reading(beats=beats))
    assert found == {(name,): seconds for name, seconds in overdue.items()}


def test_losses__of_who_vanished_and_0_of_who_is_there():
    lost = LostRuns(hostname="gone@host", count=3, silent_seconds=40.0)
    orphans = (Orphans(queue="emails", count=8), Orphans(queue="odd", count=None, unknown="who knows"))
    losses = Losses(runs=(lost, lost), orphans=orphans, are_orphans_known=True)
    queues = tuple(QueueState(name=name) for name in ("celery", "emails", "odd"))
    told = report(workers=(worker("w1@host"),), queues=queues, losses=losses)
    assert fact("celery_worker_tasks_lost", told) == {("w1@host",): 0.0, ("gone@host",): 6.0}
    assert fact("celery_queue_tasks_orphaned", told) == {("celery",): 0.0, ("emails",): 8.0}
