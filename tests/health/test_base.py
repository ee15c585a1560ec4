"""What every check says where it cannot judge: a row is a situation, and names only what is said in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.failing import TasksFailing
from celery_health.health.needs import Lack, tasks_are_sent
from celery_health.health.tasks import TasksUnknown
from celery_health.health.verdict import CHECKS
from celery_health.records import (
    AppFacts,
    BeatState,
    BrokerState,
    CheckResult,
    CheckStatus,
    InspectionState,
    Snapshot,
    StoreState,
    WorkerState,
    Writes,
)
from celery_health.testing import make_beat, make_queue, make_snapshot, make_worker

Said = list[tuple[str, str | None, str, str | None]]
"""Status, subject, message and cause of each result."""


def said(check: Check, snapshot: Snapshot) -> Said:
    return [(r.status.value, r.subject, r.message, r.because) for r in check.judge(snapshot, Settings())]


def passes(message: str) -> Said:
    return [("pass", None, message, None)]


def warns(message: str, subject: str | None = None) -> Said:
    return [("warn", subject, message, None)]


def fails(message: str) -> Said:
    return [("fail", None, message, None)]


def unknown(message: str, subject: str | None = None, *, because: str | None = None) -> Said:
    return [("unknown", subject, message, because)]


def unsupported(message: str, *, because: str | None = None) -> Said:
    return [("unsupported", None, message, because)]


def off(message: str) -> Said:
    return [("off", None, message, None)]


URL = "redis://localhost:6379/0"
STORE = StoreState(configured=True, reachable=True, url=URL)
BROKER = BrokerState(
    transport="redis", url=URL, reachable=True, latency_seconds=0.001, writes=Writes(accepted=True)
)
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
    "broker.writable": passes(f"The broker at {URL} takes messages."),
    "store.reachable": passes(f"The store at {URL} answers."),
    "results.reachable": off("Results are not kept: no result_backend is set."),
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
    "tasks.lost": passes("No task is known to be lost."),
    "dead_letters.size": passes("Few dead letters wait."),
}

IN_PLACE = unsupported(
    "task_always_eager is on: tasks run in the process that calls them, without broker and worker."
)
ALL_IN_PLACE = dict.fromkeys(WELL, IN_PLACE)
NO_LETTERS = off("Dead letters are off (DEAD_LETTERS).")
REFUSED = fails(f"The broker at {URL} cannot be reached: refused")
NOT_COUNTED = unknown("The depth of queue 'celery' could not be read: the broker did not say", "celery")
LETTERS_UNCOUNTED = unknown(
    "Dead letters cannot be counted while the broker is away.", because="broker.reachable"
)
NO_BEATS_KEPT = unsupported(
    "Beats report themselves to a store, and there is none: set STORE_URL to a Redis.",
    because="store.reachable",
)
NO_LOSSES_TOLD = unsupported(
    "Without a store, workers do not say what they run and hold.", because="store.reachable"
)
NO_OUTCOMES_KEPT = unsupported("Without a store, outcomes are not kept.", because="store.reachable")
NOBODY = {
    "workers.consuming": unknown("No worker is there to read.", because="workers.alive"),
    "workers.pool": unknown("No worker is there to have a pool.", because="workers.alive"),
}


def none_tells(said: Said) -> dict[str, Said]:
    return dict.fromkeys(("workers.consuming", "workers.pool", "tasks.stuck"), said)


UNTOLD = none_tells(unknown("Whether a worker is there is not known.", because="workers.alive"))
UNASKED = unknown("The workers cannot be asked while the broker is away.", because="broker.reachable")


def away(reachable: bool | None, error: str | None = None) -> BrokerState:
    return replace(BROKER, reachable=reachable, error=error, latency_seconds=None, writes=Writes())


UNWRITTEN = unknown(
    "Whether messages are taken is not known: the broker is away.", because="broker.reachable"
)
NO_WORD = unsupported("SQS cannot be asked.", because="broker.reachable")
FULL = "it is full (6 of 3 bytes)"


def full(**changes: Any) -> BrokerState:
    return replace(BROKER, writes=Writes(accepted=False, refusal=FULL, fix="Raise it."), **changes)


def stored(
    said_of_store: Said, said_of_beats: Said, said_of_outcomes: Said, said_of_losses: Said
) -> dict[str, Said]:
    return {
        "tasks.lost": said_of_losses,
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
        ALL_IN_PLACE,
    ),
    # Broker and queues ------------------------------------------------------------------------------
    "the broker was not asked": (
        {"broker": away(None), "queues": [UNREAD]},
        {
            "broker.reachable": unknown(f"The broker at {URL} was not asked."),
            "broker.writable": unknown(
                "Whether messages are taken is not known: the broker was not asked.",
                because="broker.reachable",
            ),
            **unread(unknown("No queue could be read: the broker was not asked", because="broker.reachable")),
        },
    ),
    "the transport cannot be asked": (
        {"broker": away(None, "SQS cannot be asked."), "queues": [UNREAD]},
        {
            "broker.reachable": unsupported("SQS cannot be asked."),
            "broker.writable": NO_WORD,
            **unread(unsupported("SQS cannot be asked.", because="broker.reachable")),
        },
    ),
    # One queue is enough to judge by.
    "the transport says something": (
        {"broker": away(None, "SQS cannot be asked."), "queues": [UNREAD, make_queue("other")]},
        {
            "broker.reachable": unsupported("SQS cannot be asked."),
            "broker.writable": NO_WORD,
            "queues.depth": NOT_COUNTED,
        },
    ),
    # However many queues there are: one result for all.
    "the broker is away": (
        {"broker": away(False, "refused"), "queues": [UNREAD, make_queue("other", ready=None)]},
        {
            "broker.reachable": REFUSED,
            "broker.writable": UNWRITTEN,
            "dead_letters.size": LETTERS_UNCOUNTED,
            **unread(unknown("No queue could be read: refused", because="broker.reachable")),
        },
    ),
    # That no queue is known is no proof that none is in trouble.
    "the broker is away, and neither worker nor queue is known": (
        {"broker": away(False, "refused"), "queues": [], "workers": []},
        {
            "broker.reachable": REFUSED,
            "broker.writable": UNWRITTEN,
            "workers.alive": UNASKED,
            **none_tells(UNASKED),
            "dead_letters.size": LETTERS_UNCOUNTED,
            **unread(unknown("No queue could be read: refused", because="broker.reachable")),
        },
    ),
    # All the time went into waiting for the broker.
    "the broker hangs, and nothing else was asked": (
        {
            "broker": away(False, "too slow"),
            "queues": [UNREAD],
            "workers": [],
            "store": replace(STORE, reachable=None),
            "recent": None,
            "beats": (),
            "dead_letters": {"celery": None},
            "inspection": InspectionState(),
        },
        {
            "broker.reachable": fails(f"The broker at {URL} cannot be reached: too slow"),
            "broker.writable": UNWRITTEN,
            "workers.alive": UNASKED,
            **none_tells(UNASKED),
            "dead_letters.size": LETTERS_UNCOUNTED,
            **unread(unknown("No queue could be read: too slow", because="broker.reachable")),
            **stored(
                unknown("The store was not asked.", because="broker.reachable"),
                unknown("Beats cannot be seen: the store was not asked.", because="broker.reachable"),
                unknown("Outcomes are not known: the store was not asked.", because="broker.reachable"),
                unknown(
                    "What workers that vanished ran is not known: the store was not asked.",
                    because="broker.reachable",
                ),
            ),
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
    # Messages ---------------------------------------------------------------------------------------
    "the broker refuses writes, and workers still report": (
        {"broker": full(), "store": replace(STORE, url="redis://elsewhere:6379/0")},
        {
            "broker.writable": fails(
                f"The broker at {URL} answers and refuses writes: {FULL}. Nothing can be sent."
            ),
            "store.reachable": passes("The store at redis://elsewhere:6379/0 answers."),
        },
    ),
    # One server, one cause: no worker is called gone for what it could not report.
    "the broker refuses writes, and is the store": (
        {
            "broker": full(),
            "store": replace(STORE, refuses_writes=FULL),
            "beats": (make_beat(state=BeatState.GONE, last_seen_seconds=200.0),),
            "workers": [make_worker(state=WorkerState.GONE, last_seen_seconds=40.0)],
            "inspection": InspectionState(asked=True),
        },
        {
            "broker.writable": fails(
                f"The broker at {URL} answers and refuses writes: {FULL}. Nothing can be sent."
            ),
            "store.reachable": unknown(
                f"The store at {URL} is the broker's server, which refuses writes: no report arrives.",
                because="broker.writable",
            ),
            "workers.alive": unknown(
                f"Whether workers live is not known: the store takes no reports ({FULL}).",
                because="broker.writable",
            ),
            "tasks.lost": unknown(
                f"What is lost is not known: the store takes no reports ({FULL}).", because="broker.writable"
            ),
            **dict.fromkeys(
                ("beat.alive", "beat.on_time"),
                unknown(
                    f"Beats cannot be seen: the store takes no reports ({FULL}).", because="broker.writable"
                ),
            ),
            **NOBODY,
        },
    ),
    "the broker and the store are one server, which is away": (
        {
            "broker": away(False, "refused"),
            "store": replace(STORE, reachable=False, error="refused"),
            "queues": [UNREAD],
            "recent": None,
            "beats": (),
        },
        {
            "broker.reachable": REFUSED,
            "broker.writable": UNWRITTEN,
            "dead_letters.size": LETTERS_UNCOUNTED,
            **unread(unknown("No queue could be read: refused", because="broker.reachable")),
            **stored(
                unknown(
                    f"The store at {URL} is the broker's server, which does not answer.",
                    because="broker.reachable",
                ),
                unknown("Beats cannot be seen while the store is away: refused", because="store.reachable"),
                unknown("Outcomes are not known while the store is away: refused", because="store.reachable"),
                unknown(
                    "What workers that vanished ran is not known while the store is away: refused",
                    because="store.reachable",
                ),
            ),
        },
    ),
    # Store ------------------------------------------------------------------------------------------
    "there is no store": (
        {"store": NO_STORE, "recent": None, "beats": ()},
        stored(
            unsupported("No store: neither broker nor result backend is a Redis. Set STORE_URL to have one."),
            NO_BEATS_KEPT,
            NO_OUTCOMES_KEPT,
            NO_LOSSES_TOLD,
        ),
    ),
    "the store is away": (
        {"store": replace(STORE, reachable=False, error="refused"), "recent": None, "beats": ()},
        stored(
            warns(f"The store at {URL} cannot be read: refused"),
            unknown("Beats cannot be seen while the store is away: refused", because="store.reachable"),
            unknown("Outcomes are not known while the store is away: refused", because="store.reachable"),
            unknown(
                "What workers that vanished ran is not known while the store is away: refused",
                because="store.reachable",
            ),
        ),
    ),
    "the store was not asked": (
        {"store": replace(STORE, reachable=None), "recent": None, "beats": ()},
        stored(
            unknown("The store was not asked."),
            unknown("Beats cannot be seen: the store was not asked.", because="store.reachable"),
            unknown("Outcomes are not known: the store was not asked.", because="store.reachable"),
            unknown(
                "What workers that vanished ran is not known: the store was not asked.",
                because="store.reachable",
            ),
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
            **none_tells(
                unsupported("No worker can be asked, and none keeps a record.", because="workers.alive")
            ),
        },
    ),
    "no worker answers": (
        {
            "workers": [make_worker(state=WorkerState.UNKNOWN)],
            "inspection": InspectionState(asked=True, silent=("worker1@host",)),
        },
        {
            "workers.alive": unknown(
                "No worker has answered in time; worker1@host may be busy, stopped or gone."
            ),
            **UNTOLD,
        },
    ),
    # Records prove it, whoever could be asked besides.
    "every worker is gone": (
        {
            "workers": [make_worker(state=WorkerState.GONE, last_seen_seconds=4000.0)],
            "inspection": InspectionState(asked=True),
        },
        {"workers.alive": fails("No active Celery workers found."), **NOBODY},
    ),
    "workers keep no records, for there is no store": (
        {"store": NO_STORE, "recent": None, "beats": (), "workers": [make_worker()]},
        {
            "workers.consuming": unsupported(
                "Without a store, workers do not say when they last read.", because="store.reachable"
            ),
            **stored(
                unsupported(
                    "No store: neither broker nor result backend is a Redis. Set STORE_URL to have one."
                ),
                NO_BEATS_KEPT,
                NO_OUTCOMES_KEPT,
                NO_LOSSES_TOLD,
            ),
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


@pytest.mark.parametrize("check", [TasksFailing(), TasksUnknown()], ids=lambda check: check.id)
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
