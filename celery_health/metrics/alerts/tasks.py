"""Alerts on how tasks end, and the recording rules that they stand on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.counters import DURATION_BUCKETS
from celery_health.health.failing import NEXT_RUN_SECONDS
from celery_health.metrics.alerts.base import (
    FOUND,
    MINUTE,
    SHARE,
    TIME,
    WARNING,
    Alert,
    Makers,
    Project,
    Recording,
    any_of,
    subject,
)
from celery_health.metrics.promql import equals, none_of, number

#: Retries for each run that ended, and the fewest that say anything in times of ``failure_floor``.
STORM_RETRIES: Final = 2
STORM_FLOORS: Final = 3
#: The quantile that is slow.
SLOW: Final = 0.95

_PREFIX: Final = "celery_health:task_{}:increase"
FAILED: Final = _PREFIX.format("failed")
SUCCEEDED: Final = _PREFIX.format("succeeded")
RETRIED: Final = _PREFIX.format("retried")
RUNS: Final = _PREFIX.format("runs")


def recordings(project: Project) -> tuple[Recording, ...]:
    """Return what is reckoned once for several alerts: how runs ended in the last ``recent_seconds``."""
    names, scope = project.tasks, project.scope
    selectors = {SUCCEEDED: names.succeeded, FAILED: names.failed}
    if names.retried:
        selectors[RETRIED] = names.retried
    seconds = project.settings.limits.recent_seconds
    rules = [
        Recording(
            name=name, expr=project.increase(*selector, seconds=seconds, by=(names.task,), of=names.labels)
        )
        for name, selector in selectors.items()
    ]
    failed, succeeded = scope.select(FAILED), scope.select(SUCCEEDED)
    # A task that never failed has no series of failures, and one that only fails none of successes.
    runs = f"({succeeded} or {failed} * 0) + ({failed} or {succeeded} * 0)"
    return (*rules, Recording(name=RUNS, expr=runs))


def failing(project: Project) -> Iterator[Alert]:
    """Yield the alert on the share of failures, above a floor of runs."""
    settings, scope, task = project.settings, project.scope, project.tasks.task
    limits = {"failure_ratio", "failure_floor"}
    own = sorted(name for name, given in settings.tasks.items() if limits & given.keys())

    def over(matcher: str, name: str | None) -> str:
        runs = scope.select(RUNS, matcher)
        ratio = settings.limit("failure_ratio", task=name)
        floor = settings.limit("failure_floor", task=name)
        return f"({scope.select(FAILED, matcher)} / {runs} > {number(ratio)}\nand\n{runs} >= {number(floor)})"

    yield Alert(
        name="CeleryTaskFailing",
        expr=any_of([over(none_of(task, own), None), *(over(equals(task, name), name) for name in own)]),
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"{SHARE} of the last runs of {subject(task)} failed for good.",
        check="tasks.failing",
    )


def in_a_row(project: Project) -> Iterator[Alert]:
    """Yield the alert on the last few runs, whenever they were: a nightly task has no share of failures."""
    settings, scope = project.settings, project.scope
    limits = {"failure_streak", "streak_memory_seconds"}
    own = sorted(name for name, given in settings.tasks.items() if limits & given.keys())

    def over(matcher: str, name: str | None) -> str:
        streak = scope.gauge("celery_task_failure_streak", matcher, by=("name",))
        last = scope.gauge("celery_task_last_failure_timestamp_seconds", matcher, by=("name",))
        memory = settings.limit("streak_memory_seconds", task=name) + NEXT_RUN_SECONDS
        least = settings.limit("failure_streak", task=name)
        return f"({streak} >= {number(least)}\nand\ntime() - {last} <= {number(memory)})"

    yield Alert(
        name="CeleryTaskFailingInARow",
        expr=any_of([over(none_of("name", own), None), *(over(equals("name", name), name) for name in own)]),
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"The last {FOUND} runs of {subject('name')} ended badly, one after the other.",
        check="tasks.failing",
    )


def slow(project: Project) -> Iterator[Alert]:
    """Yield the alert on slow runs: over what a task is expected to take, or ``stuck_floor_seconds``."""
    settings, scope, names = project.settings, project.scope, project.tasks
    own = {**project.expected}
    own |= {name: given["expected"] for name, given in settings.tasks.items() if given.get("expected")}

    def over(matcher: str, limit: float) -> str:
        p95 = scope.quantile(
            SLOW, names.runtime, matcher,
            seconds=settings.limits.recent_seconds, by=(names.task,), of=names.runtime_labels,
        )  # fmt: skip
        # One long run in the night is no "one in twenty".
        enough = f"{scope.select(RUNS, matcher)} >= {number(settings.limits.failure_floor)}"
        return f"({p95} > {number(limit)}\nand\n{enough})"

    limits = [(none_of(names.task, own), settings.limits.stuck_floor_seconds)]
    limits += [(equals(names.task, name), own[name]) for name in sorted(own)]
    # No quantile is ever above the last edge of a bucket: a rule that cannot fire would look like a watch.
    told = [over(matcher, limit) for matcher, limit in limits if limit < DURATION_BUCKETS[-1]]
    if not told:
        return
    yield Alert(
        name="CeleryTaskSlow",
        expr=any_of(told),
        hold_seconds=5 * MINUTE,
        severity=WARNING,
        summary=f"One in twenty runs of {subject(names.task)} takes over {TIME}.",
        check="tasks.stuck",
    )


def retry_storm(project: Project) -> Iterator[Alert]:
    """Yield the alert that a task is tried again and again instead of ending."""
    scope, names = project.scope, project.tasks
    if not names.retried:
        return
    floor = STORM_FLOORS * project.settings.limits.failure_floor
    retried, runs = scope.select(RETRIED), scope.select(RUNS)
    yield Alert(
        name="CeleryTaskRetryStorm",
        expr=f"{retried} >= {number(floor)}\nand\n{retried} > {STORM_RETRIES} * ({runs} or {retried} * 0)",
        hold_seconds=5 * MINUTE,
        severity=WARNING,
        summary=f"{subject(names.task)} was retried {FOUND} times lately, and seldom ended.",
        check="tasks.failing",
    )


def unknown(project: Project) -> Iterator[Alert]:
    """Yield the alert that a worker threw a task away whose name it does not know."""
    grown = project.increase(
        "celery_task_unknown_total",
        seconds=project.settings.limits.recent_seconds, by=("name",), of=("name",),
    )  # fmt: skip
    yield Alert(
        name="CeleryTaskUnknown",
        expr=f"{grown} > 0",
        hold_seconds=0,
        severity=WARNING,
        summary=f"Workers received {subject('name')}, which they do not register, and threw it away.",
        check="tasks.unknown",
    )


ALERTS: Final[Makers] = (
    (None, failing),
    ("celery_task_failure_streak", in_a_row),
    (None, slow),
    (None, retry_storm),
    ("celery_task_unknown_total", unknown),
)
