"""tasks.*, store and dead letters: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_health.conf import DeadLetterSettings, Settings
from celery_health.health.failing import TasksFailing
from celery_health.health.stores import DeadLettersSize, StoreReachable
from celery_health.health.tasks import TasksStuck, TasksUnknown
from celery_health.records import (
    CheckResult,
    CheckStatus,
    LettersLack,
    ObservedRuntime,
    ResultsState,
    RunningTask,
    StoredResults,
    StoreState,
    TaskOutcomes,
    TaskStreak,
)
from celery_health.testing import make_queue, make_snapshot, make_worker

STORE = StoreState(configured=True, reachable=True, url="redis://localhost:6379/0")


def statuses(check: Any, settings: Settings | None = None, **changes: Any) -> list[tuple[str | None, str]]:
    snapshot = make_snapshot(**{"store": STORE, **changes})
    return [(r.subject, r.status.value) for r in check.judge(snapshot, settings or Settings())]


def test_tasks_unknown__is_never_green() -> None:
    recent = {"ghost": TaskOutcomes(unknown=1), "well": TaskOutcomes(succeeded=9)}

    assert statuses(TasksUnknown(), recent=recent) == [("ghost", "warn")]
    assert statuses(TasksUnknown(), recent={"well": TaskOutcomes(succeeded=9)}) == [(None, "pass")]


@pytest.mark.parametrize("check", [TasksUnknown(), TasksFailing()])
def test_tasks_recent__without_a_store(check: Any) -> None:
    down = StoreState(configured=True, reachable=False, error="refused")

    assert statuses(check, recent=None, store=StoreState(configured=False)) == [(None, "unsupported")]
    assert statuses(check, recent=None, store=down) == [(None, "unknown")]


def test_tasks_failing__for_results_that_cannot_be_stored() -> None:
    """The task is well, and its exception the backend's: another check says what is to be done."""

    def judged(told: StoredResults) -> CheckResult:
        snapshot = make_snapshot(
            store=STORE,
            recent={"t": TaskOutcomes(failed=20)},
            streaks={"t": TaskStreak(failures=5, failed_by="OutOfMemoryError")},
            results=ResultsState(backend="redis", told=told),
        )
        (result,) = TasksFailing().judge(snapshot, Settings())
        assert result.status is CheckStatus.WARN
        return result

    unstored = judged(StoredResults(unstored={"t": 20}))
    assert unstored.because == "results.reachable"
    assert "see to the result backend first" in str(unstored.recommendation)
    # Most of its failures are its own, it is another task's, or it is over.
    others = StoredResults(unstored={"t": 5}), StoredResults(unstored={"u": 20})
    for told in (*others, StoredResults(unstored={"t": 20}, is_over=True)):
        assert judged(told).because is None


FAILING = [
    # Always.
    (TaskOutcomes(failed=10), Settings(), "warn"),
    # Too few runs to judge.
    (TaskOutcomes(failed=9), Settings(), "pass"),
    # Half is not over half.
    (TaskOutcomes(failed=5, succeeded=5), Settings(), "pass"),
    (TaskOutcomes(failed=6, succeeded=5), Settings(), "warn"),
    # Retries to come are not failures for good.
    (TaskOutcomes(retried=100, succeeded=10), Settings(), "pass"),
    # Its own limits.
    (TaskOutcomes(failed=2, succeeded=18), Settings(tasks={"t": {"failure_ratio": 0.05}}), "warn"),
    (TaskOutcomes(failed=3), Settings(tasks={"t": {"failure_floor": 3}}), "warn"),
    (TaskOutcomes(), Settings(tasks={"t": {"failure_floor": 0}}), "pass"),
]


@pytest.mark.parametrize(("outcomes", "settings", "expected"), FAILING)
def test_tasks_failing__table(outcomes: TaskOutcomes, settings: Settings, expected: str) -> None:
    ((_, status),) = statuses(TasksFailing(), settings, recent={"t": outcomes})

    assert status == expected


DAY = 86_400.0
NIGHTLY = TaskStreak(failures=5, failed_by="ValueError", failed_seconds=3 * 3600.0)

STREAKS = [
    # Each of the last five, whenever they were; four are a row that is too short.
    (NIGHTLY, {}, "warn"),
    (replace(NIGHTLY, failures=4), {}, "pass"),
    # The next night's run is due, and takes its time; after that it is forgotten.
    (replace(NIGHTLY, failed_seconds=DAY + 3500), {}, "warn"),
    (replace(NIGHTLY, failed_seconds=DAY + 3700), {}, "pass"),
    # Its own limits.
    (replace(NIGHTLY, failures=2), {"tasks": {"t": {"failure_streak": 2}}}, "warn"),
    (NIGHTLY, {"tasks": {"t": {"failure_streak": 6}}}, "pass"),
    (replace(NIGHTLY, failed_seconds=3 * DAY), {"tasks": {"t": {"streak_memory_seconds": 4 * DAY}}}, "warn"),
    (replace(NIGHTLY, failures=0), {"tasks": {"t": {"failure_streak": 0}}}, "pass"),
    # Retries by autoretry that led to no success; at the limit it is not over it.
    (TaskStreak(retries=51, retried_by="OSError", retried_seconds=60.0), {}, "warn"),
    (TaskStreak(retries=50, retried_by="OSError", retried_seconds=60.0), {}, "pass"),
    (TaskStreak(retries=446, retried_by="OSError", retried_seconds=2 * DAY), {}, "pass"),
    # Attempts of one run; one that is long overdue has ended, though nobody said so.
    (TaskStreak(attempts=51, retried_by="OSError", overdue_seconds=-3600.0), {}, "warn"),
    (TaskStreak(attempts=51, retried_by="OSError", overdue_seconds=500.0), {}, "warn"),
    (TaskStreak(attempts=51, retried_by="OSError", overdue_seconds=700.0), {}, "pass"),
    (TaskStreak(attempts=50, retried_by="OSError", overdue_seconds=0.0), {}, "pass"),
    (TaskStreak(attempts=51, overdue_seconds=0.0), {"tasks": {"t": {"autoretry_attempts": 500}}}, "pass"),
]


@pytest.mark.parametrize(("streak", "settings", "expected"), STREAKS)
def test_tasks_failing__in_a_row(streak: TaskStreak, settings: dict[str, Any], expected: str) -> None:
    ((_, status),) = statuses(TasksFailing(), Settings(**settings), recent={}, streaks={"t": streak})

    assert status == expected


def test_tasks_failing__a_task_that_may_fail_often_is_judged_by_its_share_where_that_can_be_told() -> None:
    may = Settings(tasks={"t": {"failure_ratio": 0.9}})
    both = Settings(tasks={"t": {"failure_ratio": 0.9, "failure_streak": 5}})
    often, row = {"t": TaskOutcomes(succeeded=4, failed=16)}, replace(NIGHTLY, failed_seconds=1.0)

    assert statuses(TasksFailing(), may, recent=often, streaks={"t": row}) == [(None, "pass")]
    assert statuses(TasksFailing(), both, recent=often, streaks={"t": row}) == [("t", "warn")]
    # Too few lately: the row is all there is.
    assert statuses(TasksFailing(), may, recent={}, streaks={"t": row}) == [("t", "warn")]


@pytest.mark.parametrize(
    ("outcomes", "streak", "expected"),
    [
        # Four of ten fail, as they may: five in a row come many times a day by themselves.
        (TaskOutcomes(succeeded=1200, failed=800), TaskStreak(failures=5, failed_seconds=1.0), "pass"),
        (TaskOutcomes(succeeded=1200, failed=800), TaskStreak(failures=16, failed_seconds=1.0), "warn"),
        # Hardly any failed before these.
        (TaskOutcomes(succeeded=1200, failed=5), TaskStreak(failures=5, failed_seconds=1.0), "warn"),
        # Too few to tell how many fail.
        (TaskOutcomes(succeeded=4, failed=5), TaskStreak(failures=5, failed_seconds=1.0), "warn"),
        # It has succeeded since, with workers of an earlier version, which tell of no rows.
        (TaskOutcomes(succeeded=1), TaskStreak(failures=5, failed_seconds=700.0), "pass"),
        (TaskOutcomes(succeeded=1), TaskStreak(retries=60, retried_seconds=700.0), "pass"),
        # Whether before or after is not known.
        (TaskOutcomes(succeeded=1), TaskStreak(failures=5, failed_seconds=300.0), "warn"),
        # No run has ended well since.
        (TaskOutcomes(failed=1), TaskStreak(failures=5, failed_seconds=700.0), "warn"),
    ],
)
def test_tasks_failing__a_row_that_is_chance_or_over(
    outcomes: TaskOutcomes, streak: TaskStreak, expected: str
) -> None:
    (result,) = TasksFailing().judge(make_snapshot(recent={"t": outcomes}, streaks={"t": streak}), Settings())

    assert result.status.value == expected


WORDS = [
    # As it ever was, where nothing else is in it; the exception is that of the last failure.
    (TaskOutcomes(failed=12, succeeded=3), TaskStreak(), "Task 't' failed in 12 of its last 15 runs."),
    (TaskOutcomes(failed=12), NIGHTLY, "Task 't' failed in 12 of its last 12 runs (ValueError)."),
    (
        TaskOutcomes(expired=60),
        TaskStreak(failures=60, failed_by="expired"),
        "Task 't' ended badly in 60 of its last 60 runs: 60 had expired before they began.",
    ),
    # What was killed for good stands among the failures, too, and is told once. The most frequent is first.
    (
        TaskOutcomes(failed=8, killed=9, redelivered=4, rejected=2, expired=1, succeeded=5),
        TaskStreak(),
        "Task 't' ended badly in 15 of its last 20 runs: 9 were killed with their process and their messages "
        "delivered again, 3 failed, 2 were rejected, 1 had expired before they began.",
    ),
    (
        TaskOutcomes(failed=10, killed=10),
        TaskStreak(failures=10, failed_by="killed"),
        "Task 't' ended badly in 10 of its last 10 runs: 10 were killed with their process.",
    ),
    # Declared exceptions are ends, and well; so is Ignore. Without them it would be a half.
    (
        TaskOutcomes(failed=30, expected=9, ignored=3, succeeded=2),
        TaskStreak(),
        "Task 't' failed in 21 of its last 35 runs.",
    ),
    (
        TaskOutcomes(),
        NIGHTLY,
        "Task 't' failed in each of its last 5 runs, the last 3 h ago (ValueError).",
    ),
    (
        TaskOutcomes(),
        TaskStreak(failures=7, failed_by="killed", failed_seconds=40.0),
        "Task 't' ended badly in each of its last 7 runs, the last 40 s ago (its process was killed).",
    ),
    (
        TaskOutcomes(retried=446),
        TaskStreak(retries=446, retried_by="OSError", retried_seconds=1.0),
        "Task 't' did not succeed in its last 446 retries by autoretry_for, the last 1.0 s ago (OSError).",
    ),
    (
        TaskOutcomes(succeeded=100),
        TaskStreak(attempts=60, retried_by="ConnectionError", overdue_seconds=-10.0),
        "A run of task 't' has failed in 60 attempts, autoretry_for asks for another each time, and nothing "
        "ends it (ConnectionError).",
    ),
]


@pytest.mark.parametrize(("outcomes", "streak", "words"), WORDS)
def test_tasks_failing__says_how(outcomes: TaskOutcomes, streak: TaskStreak, words: str) -> None:
    snapshot = make_snapshot(store=STORE, recent={"t": outcomes}, streaks={"t": streak})
    (result,) = TasksFailing().judge(snapshot, Settings())

    assert result.message == words
    assert str(result.recommendation).startswith(words)


def test_tasks_failing__says_what_to_do_about_the_most_frequent_end() -> None:
    queue = make_queue("slow", expected_by=("task:t",))

    def advice(queues: Any = (), **outcomes: int) -> str:
        snapshot = make_snapshot(store=STORE, recent={"t": TaskOutcomes(**outcomes)}, queues=queues)
        (result,) = TasksFailing().judge(snapshot, Settings())
        return str(result.recommendation).removeprefix(result.message).strip()

    assert "Let them expire later, or have more workers take that queue." in advice(expired=20, failed=2)
    assert advice([queue], expired=20).endswith(" start another worker: celery -A proj worker -Q slow")
    assert "dmesg" in advice(failed=20, killed=20)
    assert "Reject" in advice(rejected=11, failed=5)
    assert advice(failed=20) == "Read the worker's log for its exception."


TABLE = [
    # What is no fault: declared, ignored, revoked by somebody (no end at all), retried.
    (TaskOutcomes(failed=20, expected=20), "pass"),
    (TaskOutcomes(ignored=20), "pass"),
    (TaskOutcomes(failed=10, ignored=10), "pass"),
    (TaskOutcomes(retried=500), "pass"),
    # Each bad end alone.
    (TaskOutcomes(expired=10), "warn"),
    (TaskOutcomes(rejected=10), "warn"),
    (TaskOutcomes(redelivered=10, killed=10), "warn"),
    # All of them together, and half is not over half.
    (TaskOutcomes(expired=3, rejected=3, redelivered=3, killed=3, failed=3, succeeded=12), "pass"),
    (TaskOutcomes(expired=3, rejected=3, redelivered=3, killed=3, failed=3, succeeded=11), "warn"),
    # Too few.
    (TaskOutcomes(expired=9), "pass"),
]


@pytest.mark.parametrize(("outcomes", "expected"), TABLE)
def test_tasks_failing__all_ends(outcomes: TaskOutcomes, expected: str) -> None:
    ((_, status),) = statuses(TasksFailing(), recent={"t": outcomes})

    assert status == expected


SEEN = ObservedRuntime(samples=21, p50_seconds=1.0, p95_seconds=100.0, p99_seconds=200.0)
LONG = ObservedRuntime(
    samples=100, p50_seconds=None, p95_seconds=None, p99_seconds=None, measured_to_seconds=3600.0
)
FEW = ObservedRuntime(samples=20, p50_seconds=1.0, p95_seconds=100.0, p99_seconds=200.0)

STUCK = [
    # Under what it says.
    ({"runtime_seconds": 100.0, "limit_seconds": 120.0}, {}, Settings(), "pass"),
    ({"runtime_seconds": 121.0, "limit_seconds": 120.0}, {}, Settings(), "warn"),
    # The project's word is the last.
    (
        {"runtime_seconds": 100.0, "limit_seconds": 120.0},
        {},
        Settings(tasks={"t": {"expected": 60.0}}),
        "warn",
    ),
    # Nothing declared: three times its p99.
    ({"runtime_seconds": 599.0}, {"t": SEEN}, Settings(), "pass"),
    ({"runtime_seconds": 601.0}, {"t": SEEN}, Settings(), "warn"),
    # Too few samples.
    ({"runtime_seconds": 601.0}, {"t": FEW}, Settings(), "unknown"),
    # Its p99 is an hour or more: at three hours it cannot be stuck, at five nobody can say.
    ({"runtime_seconds": 10_000.0}, {"t": LONG}, Settings(), "pass"),
    ({"runtime_seconds": 18_000.0}, {"t": LONG}, Settings(), "unknown"),
    # Nothing known, and short: nobody would call it stuck.
    ({"runtime_seconds": 299.0}, {}, Settings(), "pass"),
    ({"runtime_seconds": 301.0}, {}, Settings(), "unknown"),
    ({"runtime_seconds": None}, {}, Settings(), "unknown"),
]


@pytest.mark.parametrize(("task", "observed", "settings", "expected"), STUCK)
def test_tasks_stuck__table(
    task: dict[str, Any], observed: dict[str, ObservedRuntime], settings: Settings, expected: str
) -> None:
    running = RunningTask(worker="worker1@host", task_id="1", task_name="t", **task)
    ((_, status),) = statuses(
        TasksStuck(), settings, workers=[make_worker(active=(running,))], observed=observed
    )

    assert status == expected


STORES = [
    (STORE, "pass"),
    (StoreState(configured=True, reachable=False, error="refused", url="redis://:**@db"), "warn"),
    (StoreState(configured=False), "unsupported"),
    (StoreState(configured=True), "unknown"),
]


@pytest.mark.parametrize(("store", "expected"), STORES)
def test_store_reachable__table(store: StoreState, expected: str) -> None:
    assert statuses(StoreReachable(), store=store) == [(None, expected)]


LETTERS = [
    (None, [(None, "off")]),
    ({}, [(None, "pass")]),
    ({"celery": 100}, [(None, "pass")]),
    ({"celery": 101, "emails": 3}, [("celery", "warn")]),
    ({"celery": None}, [("celery", "unknown")]),
]


@pytest.mark.parametrize(("letters", "expected"), LETTERS)
def test_dead_letters_size__table(
    letters: dict[str, int | None] | None, expected: list[tuple[str | None, str]]
) -> None:
    assert statuses(DeadLettersSize(), dead_letters=letters) == expected


LACKS = [
    (LettersLack.OFF, "off", "Dead letters are off (DEAD_LETTERS)."),
    (LettersLack.UNSUPPORTED, "unsupported", "This transport cannot keep dead letters."),
    (None, "unknown", "Dead letters were not counted; why is not known."),
]


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize(("lack", "status", "message"), LACKS)
def test_dead_letters_size__without_numbers_says_what_the_reading_said(
    lack: LettersLack | None, status: str, message: str, is_on: bool
) -> None:
    # The setting decides nothing here: a single task may ask for them too.
    settings = Settings(dead_letters=DeadLetterSettings(enabled=is_on))
    snapshot = make_snapshot(dead_letters=None, dead_letters_lack=lack)

    (found,) = DeadLettersSize().judge(snapshot, settings)

    assert (found.status.value, found.message) == (status, message)
