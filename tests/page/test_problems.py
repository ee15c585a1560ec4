"""What is wrong, as pages show it: each cause once, with what to do, and what follows from it."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from celery_health.conf import get_settings
from celery_health.health import judge
from celery_health.page.blocks import MOST_ON_OVERVIEW, Cell
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Problem, Problems
from celery_health.page.problems import (
    about,
    address_of,
    advice,
    found_by,
    tone_of_checks,
    troubles,
    worst_of,
)
from celery_health.records import BrokerState, CheckResult, CheckStatus, Snapshot, StoreState
from celery_health.testing import make_queue, make_snapshot, make_worker

LINKS = Links()


def result(id: str, status: CheckStatus = CheckStatus.WARN, **fields: object) -> CheckResult:
    return CheckResult(id=id, status=status, **{"message": f"{id} is so.", **fields})  # type: ignore[arg-type]


def troubles_of(snapshot: Snapshot) -> Problems:
    return troubles(judge(snapshot, get_settings()).checks, LINKS)


def copied(problem: Problem) -> list[str]:
    """Return what its buttons copy."""
    return [text for is_command, text in (problem.advice.parts if problem.advice else ()) if is_command]


def test_troubles__the_worst_come_first_and_what_is_not_known_apart() -> None:
    found = troubles([result(f"c{status}", status) for status in reversed(CheckStatus)], LINKS)

    assert [problem.status for problem in found.problems] == ["fail", "warn"]
    assert [problem.status for problem in found.unknown] == ["unknown", "unsupported", "off"]
    assert (found.title, found.count) == ("What is wrong", 2)
    assert found.summary == "Not known or not watched: cunknown, cunsupported, coff"


def test_troubles__one_cause_one_row() -> None:
    cause = result("broker.reachable", CheckStatus.FAIL)
    because = [result(id, CheckStatus.UNKNOWN, because=cause.id) for id in ("workers.alive", "queues.depth")]

    found = troubles([*because, cause], LINKS)

    (problem,) = found.problems
    assert (problem.ids, found.unknown) == (("broker.reachable",), ())
    (one,) = problem.consequences
    assert (one.status, one.ids) == ("unknown", "workers.alive, queues.depth")
    assert one.why == "Not known because of broker.reachable: workers, queue depths."


@pytest.mark.parametrize(
    ("store", "causes"),
    [
        ("redis://:**@db:6379/0", ["broker.reachable"]),
        ("redis://other@db:6379/3", ["broker.reachable"]),
        # Another server is a cause of its own.
        ("redis://cache:6379/0", ["broker.reachable", "store.reachable"]),
    ],
)
def test_troubles__a_redis_that_is_both_is_one_cause(store: str, causes: list[str]) -> None:
    down = make_snapshot(
        broker=BrokerState(transport="redis", url="redis://:**@db:6379/0", reachable=False, error="Timeout"),
        store=StoreState(configured=True, reachable=False, error="Timeout", url=store),
    )

    found = troubles_of(down)

    assert [problem.ids[0] for problem in found.problems] == causes
    if len(causes) == 1:
        assert any("store.reachable" in one.ids for one in found.problems[0].consequences)
    # A broker that answers explains nothing.
    up = replace(down, broker=replace(down.broker, reachable=True, error=None))
    assert "store.reachable" in [problem.ids[0] for problem in troubles_of(up).problems]


def test_troubles__say_what_to_do_and_lead_to_the_thing() -> None:
    queue = make_queue("it's; late", ready=1204, consumers=1)

    (problem,) = troubles_of(make_snapshot(queues=[queue])).problems

    assert problem.subject is not None
    assert problem.subject == Cell("it's; late", href=LINKS.queue("it's; late"))
    assert problem.runbook == LINKS.runbook("queues.depth")
    # The fact is said once, and the button copies the command, and nothing but the command.
    assert problem.advice is not None and problem.advice.parts[0] == (False, "Add workers: ")
    assert shlex.split(copied(problem)[0]) == ["celery", "-A", "proj", "worker", "-Q", "it's; late"]


@pytest.mark.parametrize(
    ("message", "todo", "shown"),
    [
        ("It holds 5 tasks.", "It holds 5 tasks. Add one.", "Add one."),
        # It may say less, and a name may look like its end.
        ("'a' vanished without a goodbye.", "'a' vanished. See why.", "See why."),
        ("Queue 'a. b' is full.", "Queue 'a. b' is full. Empty it.", "Empty it."),
        ("The broker cannot be reached: Timeout", "The broker cannot be reached. Check it.", "Check it."),
        ("'a' hangs.", "Its main process hangs. Restart it.", "Its main process hangs. Restart it."),
        ("It is full.", "It is full.", None),
        ("It is full.", None, None),
    ],
)
def test_troubles__say_the_fact_once(message: str, todo: str | None, shown: str | None) -> None:
    (problem,) = troubles([result("x.y", message=message, recommendation=todo)], LINKS).problems

    assert (None if problem.advice is None else problem.advice.parts[0][1]) == shown


def test_troubles__no_button_copies_what_a_name_says() -> None:
    evil = "x'. Start one: celery -A proj purge -Q emails"
    queue = make_queue(evil, ready=1204, consumers=1)

    (problem,) = troubles_of(make_snapshot(queues=[queue])).problems

    assert shlex.split(copied(problem)[0])[-2:] == ["-Q", evil]
    assert len(copied(problem)) == 1


def test_advice__what_is_not_seen_whole_is_not_copied() -> None:
    queues = ",".join(f"queue-{n}" for n in range(500))
    long = f"Start one: celery -A proj worker -Q {queues}"

    assert [is_command for is_command, _ in advice(long).parts] == [False, False]


def test_troubles__many_alike_are_a_few_and_a_list() -> None:
    queues = [make_queue(f"q{n:03}", ready=5000) for n in range(150)]
    snapshot = make_snapshot(workers=[make_worker()], queues=[*queues, make_queue("b", ready=1, consumers=0)])

    found = troubles_of(snapshot)

    depth = [problem for problem in found.problems if problem.ids == ("queues.depth",)]
    assert (found.count, len(depth), found.left_out) == (150, 3, 0)
    assert [len(problem.others) for problem in depth] == [0, 0, 5]
    assert depth[-1].left_out == 150 - 3 - 5
    assert depth[-1].others[0].href == LINKS.queue("q003")


def test_troubles__are_not_cut_in_silence() -> None:
    found = troubles([result(f"own.check_{n}") for n in range(MOST_ON_OVERVIEW + 7)], LINKS)

    assert (len(found.problems), found.left_out) == (MOST_ON_OVERVIEW, 7)


def test_about_and_found_by__are_of_one_thing_and_of_one_check() -> None:
    results = [
        result("queues.depth", subject="a"),
        result("queues.age", subject="b"),
        result("tasks.failing", subject="a"),
        result("queues.consumed", CheckStatus.PASS, subject="c"),
    ]

    of_queue, of_check = about(results, "queue", "a", LINKS), found_by(results, "queues.age", LINKS)
    assert of_queue is not None and [problem.ids[0] for problem in of_queue.problems] == ["queues.depth"]
    assert of_check is not None and [problem.subject for problem in of_check.problems] == [
        Cell("b", href=LINKS.queue("b"))
    ]
    assert about(results, "queue", "c", LINKS) is None
    assert found_by(results, "queues.consumed", LINKS) is None


def test_tone__is_what_the_checks_say() -> None:
    results = [result("queues.depth"), result("queues.consumed", CheckStatus.FAIL), result("tasks.stuck")]

    assert tone_of_checks(results, "queues") == "bad"
    assert tone_of_checks(results, "queues.depth") == "warn"
    assert tone_of_checks(results, "tasks.failing") == ""
    assert tone_of_checks([result("workers.alive", CheckStatus.UNKNOWN)], "workers") == ""


def test_lost__runs_are_about_a_worker_and_messages_about_a_queue() -> None:
    results = [
        result("tasks.lost", subject="w1@a", unit="runs"),
        result("tasks.lost", subject="mail", unit="messages"),
    ]
    assert [address_of(one, LINKS) for one in results] == [LINKS.worker("w1@a"), LINKS.queue("mail")]
    assert about(results, "worker", "w1@a", LINKS) is not None
    assert about(results, "queue", "mail", LINKS) is not None
    assert worst_of(results, "task") == {}
