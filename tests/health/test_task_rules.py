"""tasks.*, store and dead letters: a row is a situation, its comment says why the verdict is right."""

from __future__ import annotations

from typing import Any

import pytest

from celery_health.conf import DeadLetterSettings, Settings
from celery_health.health.failing import TasksFailing
from celery_health.health.stores import DeadLettersSize, StoreReachable
from celery_health.health.tasks import TasksStuck, TasksUnknown
from celery_health.records import LettersLack, ObservedRuntime, RunningTask, StoreState, TaskOutcomes
from celery_health.testing import make_snapshot, make_worker

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
