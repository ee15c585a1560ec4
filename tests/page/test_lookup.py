"""What a search finds: a table of questions over one system made by hand. Pure."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from celery_health.dead_letters.records import Cause, DeadLetter
from celery_health.page.lookup import LONGEST_QUERY, MOST_HITS, Found, cleaned, find, may_be_letter
from celery_health.records import (
    BrokerState,
    LettersLack,
    ReservedTask,
    RunningTask,
    ScheduledTask,
    Snapshot,
    StoreState,
    TaskOutcomes,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker

RUNNING = "7b6d1a52-58a4-4d6e-9a61-0f2a4c6e8b10"
WAITING = "7b6d9999-0000-4000-8000-000000000001"
DUE = "e1e1e1e1-0000-4000-8000-000000000002"
LETTER = "9f0c3b7ad1e24c0f8f0e6f1d2c3b4a59"
DOWN = BrokerState(transport="redis", url="redis://b/0", reachable=False, error="refused")
HOSTILE = "</script><b>\x1b[31m\u202e{{ x }}/../%2F?&#='\"\n"


def letter(**changes: Any) -> DeadLetter:
    defaults: dict[str, Any] = {
        "id": LETTER,
        "task_id": "5d0c1f9e-1111-4222-8333-444455556666",
        "task_name": "shop.tasks.charge",
        "cause": Cause.EXCEPTION,
        "exception": "PaymentError",
        "message": "declined",
        "traceback": None,
        "failed_at": 1.0,
        "first_failed_at": 1.0,
        "worker": "celery@w1",
        "attempts": 1,
        "queue": "payments",
        "exchange": "",
        "routing_key": "payments",
        "priority": None,
        "size_bytes": 10,
        "content_type": "application/json",
    }
    return DeadLetter(**{**defaults, **changes})


def system(**changes: Any) -> Snapshot:
    """Return a shop with a queue of each kind of name."""
    names = {"worker": "celery@w1", "queue": "emails"}
    worker = make_worker(
        "celery@w1",
        queues=("emails", "Emails-slow"),
        registered=frozenset({"shop.tasks.charge", "shop.tasks.send_receipt", "celery.chord"}),
        active=(RunningTask(task_id=RUNNING, task_name="shop.tasks.charge", **names),),
        reserved=(ReservedTask(task_id=WAITING, task_name="shop.tasks.charge", **names),),
        scheduled=(ScheduledTask(task_id=DUE, task_name="crm.sync", **names),),
    )
    gone = make_worker("reports@batch-7", state=WorkerState.GONE, queues=())
    defaults: dict[str, Any] = {
        "workers": [worker, gone],
        "queues": [make_queue("emails"), make_queue("payments"), make_queue(HOSTILE)],
        "recent": {"shop.tasks.refund": TaskOutcomes(failed=1)},
        "beats": [make_beat(entries=(make_entry("Nightly report", task="shop.reports.nightly"),))],
        "dead_letters": {"payments": 3, "attic": 2, "emptied": 0, "locked": None},
    }
    return make_snapshot(**{**defaults, **changes})


def names(found: Found) -> list[tuple[str, str]]:
    return [(hit.kind.value, hit.name) for hit in found.hits]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The exact name first, whatever its case; a queue that only a worker names is there too.
        ("emails", [("queue", "emails"), ("queue", "Emails-slow")]),
        ("EMAILS-", [("queue", "Emails-slow")]),
        ("  payments ", [("queue", "payments")]),
        # A task by its whole name, its last part, any of its parts where dots say so.
        ("shop.tasks.charge", [("task", "shop.tasks.charge")]),
        ("charge", [("task", "shop.tasks.charge")]),
        ("send_r", [("task", "shop.tasks.send_receipt")]),
        ("tasks.re", [("task", "shop.tasks.refund")]),
        ("nightly", [("schedule entry", "Nightly report"), ("task", "shop.reports.nightly")]),
        ("asks", []),
        # One that nobody registers, known from somebody's totals.
        ("legacy", [("task", "legacy.import")]),
        # A worker by its node name or its host.
        ("celery@", [("worker", "celery@w1")]),
        ("w1", [("worker", "celery@w1")]),
        ("batch", [("worker", "reports@batch-7")]),
        ("Nightly R", [("schedule entry", "Nightly report")]),
        # What workers hold: by four characters of its id.
        ("7b6d1", [("task id", RUNNING)]),
        ("7B6D", [("task id", RUNNING), ("task id", WAITING)]),
        ("e1e", []),
        (DUE, [("task id", DUE)]),
        # A queue that is known for its dead letters alone, by either name; none for one that has none.
        ("attic", [("dead letters", "attic")]),
        ("attic.dead", [("dead letters", "attic")]),
        ("locked", [("dead letters", "locked")]),
        ("emptied", []),
        ("payments.d", [("dead letters", "payments")]),
        # A name that was cut where it was shown.
        ("shop.tasks.send...", [("task", "shop.tasks.send_receipt")]),
        # Hostile names, as they are and as they are shown.
        (HOSTILE, [("queue", HOSTILE)]),
        ("</script><b>\\x1b[31m\\u202e{{", [("queue", HOSTILE)]),
        # Nothing means nothing.
        ("", []),
        ("   ", []),
        ("*", []),
        (".*", []),
        ("\x00", []),
        ("x" * 5000, []),
    ],
)
def test_find__by_prefix(query: str, expected: list[tuple[str, str]]) -> None:
    found = find(query, system(), tasks=["legacy.import", ""])

    assert sorted(names(found)) == sorted(expected)
    if len(expected) == 1:
        assert found.only == found.hits[0]
    else:
        assert found.only is None


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("emails", ("queue", "emails")),
        # Of two exact names the one that is spelt so.
        ("Celery", ("queue", "Celery")),
        ("celery", ("queue", "celery")),
        # The last part of a task is as good as a name.
        ("celery_", ("task", "proj.celery_")),
    ],
)
def test_find__the_best_comes_first(query: str, first: tuple[str, str]) -> None:
    queues = [make_queue(name) for name in ("celery_slow", "Celery", "celery", "emails2", "emails")]
    found = find(query, make_snapshot(queues=queues), tasks=["proj.celery_", "proj.celery_x"])

    assert names(found)[0] == first


def test_find__cuts_the_query_and_the_hits() -> None:
    queues = [make_queue(f"{'q' * 300}{number:03}") for number in range(120)]
    found = find("q" * 1000, make_snapshot(queues=queues))

    assert (len(found.query), found.was_cut) == (LONGEST_QUERY, True)
    assert (len(found.hits), found.more, found.only) == (MOST_HITS, 70, None)
    assert found.hits[0].name.endswith("000")


def test_find__letters_are_those_that_were_handed_in() -> None:
    found = find(LETTER[:9], system(), letters=[letter()])

    assert names(found) == [("dead letter", LETTER)]
    assert (found.hits[0].queue, found.hits[0].about) == ("payments", "shop.tasks.charge, PaymentError")
    # The same task may be held and have failed before: both are told.
    same = letter(task_id=RUNNING)
    assert names(find(RUNNING, system(), letters=[same])) == [("dead letter", LETTER), ("task id", RUNNING)]


@pytest.mark.parametrize(
    ("query", "looks"),
    [
        (LETTER, True),
        ("7b6d1a52", True),  # an id, though a worker holds a task of that id
        ("7b6d1a5", False),
        ("order-2024-17", True),  # an id of the project's own, for all we know
        ("shop.tasks.charge", False),  # a name: nobody's letters are looked through for that
        ("Nightly report", False),
        ("payment service", False),
        ("", False),
    ],
)
def test_letters__are_looked_through_for_ids_alone(query: str, looks: bool) -> None:
    assert may_be_letter(query, find(query, system())) is looks


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Dead letters were not looked through"),
        ({"dead_letters": {"payments": 0}}, None),
        ({"dead_letters": None, "dead_letters_lack": LettersLack.OFF}, None),
        ({"dead_letters": None, "dead_letters_lack": None}, "Whether there are dead letters is not known."),
        ({"beats": [], "schedule_exists": None, "dead_letters": {}}, "no beat has told"),
        ({"beats": [], "schedule_exists": False, "dead_letters": {}}, None),
        (
            {"beats": [make_beat(entries_total=2000)], "dead_letters": {}},
            "Beat does not list 1,999 more entries",
        ),
        ({"broker": DOWN, "dead_letters": {}}, "What the broker knows could not be read"),
        (
            {"store": StoreState(configured=True, reachable=False), "dead_letters": {}},
            "What the store knows could not be read",
        ),
        ({"task_notes": ("Too many.",), "dead_letters": {}}, "Too many."),
        (
            {"workers": [make_worker(state=WorkerState.UNKNOWN)], "dead_letters": {}},
            None,  # its inspection was complete
        ),
    ],
)
def test_find__says_what_it_could_not_look_at(changes: dict[str, Any], said: str | None) -> None:
    unsearched = " ".join(find("emails", system(**changes)).unsearched)

    assert unsearched == "" if said is None else said in unsearched


def test_find__says_where_it_looked() -> None:
    assert find("zebra", system(), tasks=["legacy.import"]).searched == (
        "4 queues, 6 tasks, 2 workers, 1 schedule entry, and the ids of 3 tasks that workers hold"
    )
    roster = replace(system().inspection, complete=False)
    found = find("zebra", system(inspection=roster, dead_letters={}), unread=["Queue x: late."])
    assert found.unsearched == (
        "Perhaps there are other workers: not every one has answered.",
        "Queue x: late.",
    )


def test_find__of_a_system_of_which_nothing_is_known() -> None:
    nothing = make_snapshot(workers=[], queues=[], store=StoreState(configured=False))

    assert find("emails", nothing).hits == ()
    assert cleaned("...") == "..."


def test_find__is_quick_in_a_large_system() -> None:
    """200 workers that hold 300 tasks each, and 1,000 queues."""
    tasks = tuple(
        ReservedTask(worker="w", task_id=f"{number:08x}-0000", task_name="t.t") for number in range(300)
    )
    workers = [make_worker(f"celery@w{number}", reserved=tasks) for number in range(200)]
    large = make_snapshot(workers=workers, queues=[make_queue(f"q{number}") for number in range(1000)])

    started = time.process_time()
    found = find("0000012b", large)
    took = time.process_time() - started

    assert found.hits[0].name == "0000012b-0000"
    assert took < 0.5  # 0.03 on a quiet core
