"""What a verdict says of what it does not know: in its headline, and in its notes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import Settings
from celery_health.health.body import report_body
from celery_health.health.gaps import WATCHED, notes_of
from celery_health.health.headline import reason
from celery_health.health.verdict import CHECKS, judge
from celery_health.records import BrokerState, HealthReport, InspectionState, StoreState, WorkerState
from celery_health.testing import make_queue, make_snapshot, make_worker

URL = "redis://localhost:6379/0"
NO_STORE = "No store: neither broker nor result backend is a Redis. Set STORE_URL to have one."
STORED: dict[str, Any] = {"store": StoreState(configured=True, reachable=True, url=URL), "recent": {}}
READING = make_worker(read_age_seconds=0.2)
NO_BEAT = Settings(expect_beat=False)


def report(settings: Settings = NO_BEAT, **changes: Any) -> HealthReport:
    return judge(make_snapshot(**{"workers": [READING], **STORED, **changes}), settings)


def no_store(settings: Settings = NO_BEAT, **changes: Any) -> HealthReport:
    return report(settings, store=StoreState(configured=False), recent=None, **changes)


#: What there is, and what the headline says.
HEADLINES = [
    # Everything is watched; what is off by choice is no gap.
    (report(), "1 worker alive, 0 tasks waiting."),
    (
        report(Settings(expect_beat=False, checks={"workers.consuming": "off"}), workers=[make_worker()]),
        "1 worker alive, 0 tasks waiting.",
    ),
    (report(Settings(expect_beat=False, min_workers=0), workers=[]), "no worker alive, 0 tasks waiting."),
    # What a store would tell.
    (
        no_store(),
        "as far as is known: 1 worker alive, 0 tasks waiting. "
        "Not watched without a store: unknown names, failures, lost tasks.",
    ),
    (
        no_store(Settings()),
        "as far as is known: 1 worker alive, 0 tasks waiting. "
        "Not watched without a store: beat, unknown names, failures, lost tasks.",
    ),
    # What no setting can change, and what the next reading may know.
    (
        report(
            broker=BrokerState(transport="sqs", url="sqs://", error="SQS cannot be asked."),
            workers=[make_worker()],
            queues=[make_queue(ready=None)],
        ),
        "as far as is known: 1 worker alive, waiting tasks unknown. Not watched on this transport: "
        "the broker, whether it takes messages, queues without consumers, stalled queues, queue depths, "
        "waiting times. "
        "Not known: workers that stop reading.",
    ),
    # Why it is not known is for the rows to say.
    (
        report(
            workers=[make_worker(state=WorkerState.UNKNOWN)],
            inspection=InspectionState(asked=True, silent=("worker1@host",)),
        ),
        "as far as is known: no worker alive, 0 tasks waiting. "
        "Not known: workers, workers that stop reading, pool processes, stuck tasks.",
    ),
    # A fault is the headline: the notes say the rest.
    (no_store(queues=[make_queue(ready=1001)]), "Queue 'celery' holds 1001 tasks (limit 1000)."),
]


@pytest.mark.parametrize(("given", "expected"), HEADLINES)
def test_headline__says_what_is_not_watched(given: HealthReport, expected: str) -> None:
    assert reason(given) == expected


NOTES: list[tuple[HealthReport, tuple[str, ...]]] = [
    (report(), ()),
    (no_store(), (f"Not watched without a store: unknown names, failures, lost tasks. {NO_STORE}",)),
    # Also where something is wrong.
    (
        report(workers=[], beats=()),
        (
            "Not known because of workers.alive: workers that stop reading, pool processes. "
            "No active Celery workers found.",
        ),
    ),
    # One gap, however many queues.
    (
        report(
            queues=[make_queue("a"), *(make_queue(f"q{n}", ready=None, error="denied") for n in range(30))]
        ),
        ("Not known: queue depths. The depth of queue 'q0' could not be read: denied (and 29 more)",),
    ),
]


@pytest.mark.parametrize(("given", "expected"), NOTES)
def test_notes__say_what_is_not_watched_and_why(given: HealthReport, expected: tuple[str, ...]) -> None:
    assert notes_of(given) == expected


def test_notes__what_the_reading_skipped_comes_last() -> None:
    given = no_store()
    skipped = replace(given, snapshot=replace(given.snapshot, notes=("One record was skipped.",)))

    assert report_body(skipped)["notes"] == [*report_body(given)["notes"], "One record was skipped."]
    assert len(report_body(skipped)["notes"]) == 2


def test_notes__are_for_those_who_may_see_details() -> None:
    assert "notes" not in report_body(no_store(), details=False)


def test_words__every_check_has_some() -> None:
    assert [check.id for check in CHECKS if check.id not in WATCHED] == []
