"""Fold what the checks found into one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from celery_health import reading
from celery_health.conf import Settings, get_settings
from celery_health.deadline import Deadline
from celery_health.health.base import Check
from celery_health.health.beat import BeatAlive, BeatOnTime
from celery_health.health.broker import BrokerReachable, BrokerWritable
from celery_health.health.consumers import QueuesConsumed, QueuesStalled
from celery_health.health.consuming import WorkersConsuming
from celery_health.health.failing import TasksFailing
from celery_health.health.lost import TasksLost
from celery_health.health.pools import WorkersPool
from celery_health.health.queues import QueuesAge, QueuesDepth
from celery_health.health.results import ResultsReachable
from celery_health.health.stores import DeadLettersSize, StoreReachable
from celery_health.health.tasks import TasksStuck, TasksUnknown
from celery_health.health.workers import WorkersAlive
from celery_health.reading import get_reading
from celery_health.records import CheckResult, CheckStatus, HealthReport, Snapshot, Status

#: In the order in which they are shown: what explains the others comes first.
CHECKS: Final[Sequence[Check]] = (
    BrokerReachable(),
    BrokerWritable(),
    StoreReachable(),
    ResultsReachable(),
    WorkersAlive(),
    WorkersConsuming(),
    WorkersPool(),
    QueuesConsumed(),
    QueuesStalled(),
    QueuesDepth(),
    QueuesAge(),
    BeatAlive(),
    BeatOnTime(),
    TasksUnknown(),
    TasksFailing(),
    TasksStuck(),
    TasksLost(),
    DeadLettersSize(),
)


def judge(snapshot: Snapshot, settings: Settings, *, age_seconds: float = 0.0) -> HealthReport:
    """Return the verdict on `snapshot`. Pure: the same snapshot and settings give the same report."""
    results: list[CheckResult] = []
    off: set[str] = set()
    for check in CHECKS:
        severity = settings.checks.get(check.id)
        if severity == "off":
            results.append(check.result(CheckStatus.OFF, "Off by choice (CHECKS)."))
            continue
        found = [*_with_severity(check.judge(snapshot, settings), severity)]
        if any(result.status is CheckStatus.OFF for result in found):
            off.add(check.id)
        # What nobody wants to be told of explains why others have nothing to look at.
        results += (
            replace(result, status=CheckStatus.OFF)
            if result.status is CheckStatus.UNKNOWN and result.because in off
            else result
            for result in found
        )
    status = fold(results)
    if status is Status.HEALTHY and snapshot.broker.late and settings.checks.get(BrokerReachable.id) != "off":
        # Nothing was found wrong because nothing was looked at: that is no "healthy", and no fault either.
        status = Status.DEGRADED
    if status is Status.HEALTHY and snapshot.tasks_error:
        # Nor where it is not known what should be.
        status = Status.DEGRADED
    return HealthReport(status=status, checks=tuple(results), snapshot=snapshot, age_seconds=age_seconds)


def _with_severity(results: Iterable[CheckResult], severity: str | None) -> Iterable[CheckResult]:
    """Turn every fault into one of the severity that ``CHECKS`` gives, if it gives one."""
    faults = (CheckStatus.WARN, CheckStatus.FAIL)
    for result in results:
        if severity is None or result.status not in faults:
            yield result
        else:
            yield replace(result, status=CheckStatus(severity))


def fold(results: Iterable[CheckResult]) -> Status:
    """Return the verdict: a fail is unhealthy, a warn degraded; what is unknown worsens nothing."""
    found = {result.status for result in results}
    if CheckStatus.FAIL in found:
        return Status.UNHEALTHY
    return Status.DEGRADED if CheckStatus.WARN in found else Status.HEALTHY


def with_tasks(report: HealthReport, deadline: Deadline) -> HealthReport:
    """Return `report`, its workers with each task that they hold: for people; it was judged without."""
    snapshot = reading.with_tasks(report.snapshot, report.age_seconds, deadline)
    return replace(report, snapshot=snapshot)


_judged: tuple[Snapshot, Settings, HealthReport] | None = None


def get_report(deadline: Deadline | None = None, *, is_one_shot: bool = False) -> HealthReport:
    """Return the verdict on Celery now, at most a second old, within `deadline` or the ``DEADLINE`` setting.

    Args:
        deadline: for reading and judging.
        is_one_shot: this process looks once and ends, as a command does. It will never have watched anything
            for long, so what may be a fault and cannot be told from one reading is a ``warn``, and says so.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    global _judged
    settings = get_settings()
    snapshot, age_seconds = get_reading(deadline)
    if is_one_shot:
        snapshot = replace(snapshot, is_one_shot=True)
        return judge(snapshot, settings, age_seconds=age_seconds)
    judged = _judged
    # Judging is pure: whoever shares a reading shares its verdict.
    if judged is None or judged[0] is not snapshot or judged[1] is not settings:
        judged = _judged = (snapshot, settings, judge(snapshot, settings))
    return replace(judged[2], age_seconds=age_seconds)
