"""What every check says where it cannot judge: a row is a situation, and names only what is said in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import Lack, tasks_are_sent
from celery_health.health.stores import DeadLettersSize
from celery_health.health.tasks import TasksFailing, TasksUnknown
from celery_health.health.verdict import CHECKS
from celery_health.records import (
    AppFacts,
    BrokerState,
    CheckResult,
    CheckStatus,
    InspectionState,
    Snapshot,
    StoreState,
)
from celery_health.testing import make_beat, make_queue, make_snapshot, make_worker

Said = list[tuple[str, str | None, str]]
"""Status, subject and message of each result."""


def said(check: Check, snapshot: Snapshot) -> Said:
    return [(r.status.value, r.subject, r.message) for r in check.judge(snapshot, Settings())]


def passes(message: str) -> Said:
    return [("pass", None, message)]


def warns(message: str, subject: str | None = None) -> Said:
    return [("warn", subject, message)]


def fails(message: str) -> Said:
    return [("fail", None, message)]


def unknown(message: str, subject: str | None = None) -> Said:
    return [("unknown", subject, message)]


def unsupported(message: str) -> Said:
    return [("unsupported", None, message)]


URL = "redis://localhost:6379/0"
STORE = StoreState(configured=True, reachable=True, url=URL)
BROKER = BrokerState(transport="redis", url=URL, reachable=True, latency_seconds=0.001)
EAGER = AppFacts(app_id="proj", name="proj", always_eager=True)

SOUND: dict[str, Any] = {
    "broker": BROKER,
    "store": STORE,
    "workers": [make_worker(read_age_seconds=0.2)],
    "queues": [make_queue()],
    "beats": (make_beat(),),
    "recent": {},
    "dead_letters": {},
}
WELL: dict[str, Said] = {
    "broker.reachable": passes(f"The broker at {URL} answers."),
    "store.reachable": passes(f"The store at {URL} answers."),
    "workers.alive": passes("1 worker is alive."),
    "workers.consuming": passes("Workers read their queues."),
    "workers.pool": passes("Pool processes live."),
    "queues.consumed": passes("Every queue that needs a consumer has one."),
    "queues.stalled": passes("No queue is stalled."),
    "queues.depth": passes("No queue is over its limit."),
    "queues.age": passes("Nothing has waited too long."),
    "beat.alive": passes("Beat 'celerybeat@host-1' sends the schedule."),
    "beat.on_time": passes("No entry of the schedule is overdue."),
    "tasks.unknown": passes("Workers knew every task that they received."),
    "tasks.failing": passes("No task fails more often than it may."),
    "tasks.stuck": passes("No task runs longer than it should."),
    "dead_letters.size": passes("Few dead letters wait."),
}

IN_PLACE = unsupported(
    "task_always_eager is on: tasks run in the process that calls them, without broker and worker."
)
ALL_IN_PLACE = {id: IN_PLACE for id in WELL if id != "dead_letters.size"}
NO_LETTERS = unsupported("Dead letters are off (DEAD_LETTERS).")
REFUSED = fails(f"The broker at {URL} cannot be reached: refused")
NOT_COUNTED = unknown(
    "The depth of queue 'celery' could not be read: not supported by this transport", "celery"
)
NO_BEATS_KEPT = unsupported(
    "Beats report themselves to a store, and there is none: set STORE_URL to a Redis."
)
NO_OUTCOMES_KEPT = unsupported("Without a store, outcomes are not kept.")
OUTCOMES_UNREAD = unknown("The store could not be read.")
NOBODY = {
    "workers.consuming": unknown("No worker is there to read."),
    "workers.pool": unknown("No worker is there to have a pool."),
}


def away(reachable: bool | None, error: str | None = None) -> BrokerState:
    return replace(BROKER, reachable=reachable, error=error, latency_seconds=None)


def stored(said_of_store: Said, said_of_beats: Said, said_of_outcomes: Said) -> dict[str, Said]:
    return {
        "store.reachable": said_of_store,
        "beat.alive": said_of_beats,
        "beat.on_time": said_of_beats,
        "tasks.unknown": said_of_outcomes,
        "tasks.failing": said_of_outcomes,
    }


def unread(said_of_queues: Said, **others: Said) -> dict[str, Said]:
    names = ("consumed", "stalled", "depth", "age")
    return {f"queues.{name}": others.get(name, said_of_queues) for name in names}


UNREAD = make_queue(ready=None)
DENIED = make_queue(ready=None, error="denied")
LONELY = make_queue(ready=None, expected_by=("setting",), consumers=0, unconsumed_seconds=61.0)
NO_STORE = StoreState(configured=False)

SITUATIONS: dict[str, tuple[dict[str, Any], dict[str, Said]]] = {
    "all is well": ({}, {}),
    # Tasks run in place -----------------------------------------------------------------------------
    "eager": ({"app": EAGER}, ALL_IN_PLACE),
    # That comes before whatever else cannot be known.
    "eager, and nothing is there": (
        {
            "app": EAGER,
            "broker": away(False, "refused"),
            "store": NO_STORE,
            "workers": [],
            "queues": [],
            "beats": (),
            "recent": None,
            "dead_letters": None,
        },
        {**ALL_IN_PLACE, "dead_letters.size": NO_LETTERS},
    ),
    # Broker and queues ------------------------------------------------------------------------------
    "the broker was not asked": (
        {"broker": away(None), "queues": [UNREAD]},
        {
            "broker.reachable": unknown(f"The broker at {URL} was not asked."),
            **unread(unsupported("No queue could be read.")),
        },
    ),
    "the transport cannot be asked": (
        {"broker": away(None, "SQS cannot be asked."), "queues": [UNREAD]},
        {
            "broker.reachable": unsupported("SQS cannot be asked."),
            **unread(unsupported("SQS cannot be asked.")),
        },
    ),
    # One queue is enough to judge by.
    "the transport says something": (
        {"broker": away(None, "SQS cannot be asked."), "queues": [UNREAD, make_queue("other")]},
        {"broker.reachable": unsupported("SQS cannot be asked."), "queues.depth": NOT_COUNTED},
    ),
    # Each queue without a depth is named; for the other checks, one result stands for all of them.
    "the broker is away": (
        {"broker": away(False, "refused"), "queues": [UNREAD]},
        {
            "broker.reachable": REFUSED,
            **unread(unknown("No queue could be read: refused"), depth=NOT_COUNTED),
        },
    ),
    "the broker is away, and no worker is known": (
        {"broker": away(False, "refused"), "queues": [], "workers": []},
        {
            "broker.reachable": REFUSED,
            "workers.alive": unknown("The workers cannot be asked while the broker is away."),
            "queues.depth": passes("No queue is known."),
            **NOBODY,
        },
    ),
    "the broker answers, and says nothing of queues": (
        {"queues": [UNREAD]},
        unread(unknown("No queue could be read: the broker did not say"), depth=NOT_COUNTED),
    ),
    "the broker gives a reason": (
        {"queues": [DENIED]},
        unread(
            unknown("No queue could be read: denied"),
            depth=unknown("The depth of queue 'celery' could not be read: denied", "celery"),
        ),
    ),
    # That a queue has no consumer is known without its depth.
    "a queue is unread, and has no consumer": (
        {"queues": [LONELY]},
        unread(
            unknown("No queue could be read: the broker did not say"),
            depth=NOT_COUNTED,
            consumed=warns("Queue 'celery' has no consumer.", "celery"),
        ),
    ),
    "one of two queues is unread": ({"queues": [UNREAD, make_queue("other")]}, {"queues.depth": NOT_COUNTED}),
    "there is no queue": ({"queues": []}, {"queues.depth": passes("No queue is known.")}),
    # Store ------------------------------------------------------------------------------------------
    "there is no store": (
        {"store": NO_STORE, "recent": None, "beats": ()},
        stored(
            unsupported("No store: neither broker nor result backend is a Redis. Set STORE_URL to have one."),
            NO_BEATS_KEPT,
            NO_OUTCOMES_KEPT,
        ),
    ),
    "the store is away": (
        {"store": replace(STORE, reachable=False, error="refused"), "recent": None, "beats": ()},
        stored(
            warns(f"The store at {URL} cannot be read: refused"),
            unknown("Beats cannot be seen while the store is away: refused"),
            OUTCOMES_UNREAD,
        ),
    ),
    "the store was not asked": (
        {"store": replace(STORE, reachable=None), "recent": None, "beats": ()},
        stored(
            unknown("The store was not asked."),
            unknown("Beats cannot be seen while the store is away: None"),
            OUTCOMES_UNREAD,
        ),
    ),
    "dead letters are off": ({"dead_letters": None}, {"dead_letters.size": NO_LETTERS}),
    # Workers ----------------------------------------------------------------------------------------
    "no worker lives": (
        {"workers": []},
        {"workers.alive": fails("No active Celery workers found."), **NOBODY},
    ),
    "workers cannot be asked": (
        {"workers": [], "inspection": InspectionState(supported=False)},
        {
            "workers.alive": unsupported(
                "Remote control is off or not supported by this transport, and no worker keeps a record."
            ),
            **NOBODY,
        },
    ),
    "workers keep no records": (
        {"workers": [make_worker()]},
        {
            "workers.consuming": unknown(
                "No worker says when it last read: they keep no records in the store."
            ),
        },
    ),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_checks__say_why_they_cannot_judge(situation: str, check: Check) -> None:
    changes, differences = SITUATIONS[situation]
    expected = {**WELL, **differences}

    assert said(check, make_snapshot(**{**SOUND, **changes})) == expected[check.id]


@pytest.mark.parametrize(
    "check", [TasksFailing(), TasksUnknown(), DeadLettersSize()], ids=lambda check: check.id
)
def test_run__without_what_it_needs_is_an_error_and_never_well(check: Check) -> None:
    nothing_known = make_snapshot(recent=None, dead_letters=None)

    with pytest.raises(AssertionError, match="needs"):
        list(check.run(nothing_known, Settings()))


# A check of one's own ----------------------------------------------------------------------------------


def a_beat_runs(snapshot: Snapshot) -> Lack | None:
    return None if snapshot.beats else Lack(status=CheckStatus.UNKNOWN, message="No beat runs.")


class OfOnesOwn(Check):
    id = "proj.own"
    needs = (tasks_are_sent, a_beat_runs)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        # Without a beat, this would raise.
        yield self.result(CheckStatus.PASS, f"{snapshot.beats[0].name} runs.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # All that it needs is known: the rule speaks.
        ({}, passes("celerybeat@host-1 runs.")),
        # One need is not met: the rule is not asked.
        ({"beats": ()}, unknown("No beat runs.")),
        # Two are not: the first one is said, and nothing else.
        ({"beats": (), "app": EAGER}, IN_PLACE),
    ],
)
def test_judge__says_the_first_need_that_is_not_met(changes: dict[str, Any], expected: Said) -> None:
    assert said(OfOnesOwn(), make_snapshot(**{**SOUND, **changes})) == expected


class WithoutNeeds(Check):
    id = "proj.plain"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        yield self.result(CheckStatus.PASS, "Well.")


def test_judge__a_check_that_names_no_needs_is_not_for_eager_apps() -> None:
    assert said(WithoutNeeds(), make_snapshot()) == passes("Well.")
    assert said(WithoutNeeds(), make_snapshot(app=EAGER)) == IN_PLACE
