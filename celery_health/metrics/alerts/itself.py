"""Alerts on the whole: that nobody looks, that the verdict is bad, that something cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.metrics.alerts.base import (
    CRITICAL,
    FOUND,
    HOUR,
    INFO,
    MINUTE,
    WARNING,
    Alert,
    Makers,
    Project,
    subject,
)
from celery_health.metrics.promql import equals


def absent(project: Project) -> Iterator[Alert]:
    """Yield the alert that no metrics come, or that they come without a verdict."""
    yield Alert(
        name="CeleryMetricsAbsent",
        expr=f"absent({project.scope.select('celery_health_up')} == 1)",
        hold_seconds=5 * MINUTE,
        severity=CRITICAL,
        summary="No Celery metrics are scraped, or they come without a verdict: nobody watches Celery.",
    )


def verdict(project: Project) -> Iterator[Alert]:
    """Yield the alerts on the verdict itself, which knows more than the metrics show."""
    for status, hold, severity in (("unhealthy", 2 * MINUTE, CRITICAL), ("degraded", 15 * MINUTE, WARNING)):
        yield Alert(
            name=f"Celery{status.title()}",
            expr=f"{project.scope.gauge('celery_health_status', equals('status', status))} == 1",
            hold_seconds=hold,
            severity=severity,
            summary=f"The verdict on Celery is '{status}': python manage.py celery_health says why.",
        )


def store(project: Project) -> Iterator[Alert]:
    """Yield the alert that the store does not answer."""
    yield Alert(
        name="CeleryStoreDown",
        expr=f"{project.scope.gauge('celery_health_store_up')} == 0",
        hold_seconds=2 * MINUTE,
        severity=WARNING,
        summary="The store of Celery's heartbeats and totals does not answer: silence proves nothing now.",
        check="store.reachable",
    )


def broker(project: Project) -> Iterator[Alert]:
    """Yield the alert that the broker takes no messages."""
    yield Alert(
        name="CeleryBrokerRefusesWrites",
        expr=f"{project.scope.gauge('celery_broker_writable')} == 0",
        hold_seconds=MINUTE,
        severity=CRITICAL,
        summary="The broker answers and refuses writes: no task can be sent. Workers take what waits.",
        check="broker.writable",
    )


def results(project: Project) -> Iterator[Alert]:
    """Yield the alert that results cannot be stored."""
    yield Alert(
        name="CeleryResultBackendDown",
        expr=f"{project.scope.gauge('celery_result_backend_up')} == 0",
        hold_seconds=2 * MINUTE,
        severity=WARNING,
        summary="Results cannot be stored: whoever sends, ends or reads a task waits for that, and fails.",
        check="results.reachable",
    )


def unsent(project: Project) -> Iterator[Alert]:
    """Yield the alert that tasks were to be sent, and were not."""
    labels = ("name", "exception")
    grown = project.increase("celery_task_publish_failed_total", seconds=10 * MINUTE, by=("name",), of=labels)
    yield Alert(
        name="CeleryTasksNotSent",
        expr=f"{grown} > 0",
        hold_seconds=0,
        severity=WARNING,
        summary=f"{FOUND} tasks {subject('name')} were to be sent lately, and were not.",
    )


def overflow(project: Project) -> Iterator[Alert]:
    """Yield the alert that values of a label are folded into "other"."""
    grown = project.increase("celery_health_label_overflow_total", seconds=HOUR, by=("label",), of=("label",))
    yield Alert(
        name="CeleryLabelOverflow",
        expr=f"{grown} > 0",
        hold_seconds=0,
        severity=INFO,
        summary=f"The metric label {subject('label')} has more values than its cap: the rest is 'other'.",
    )


def errors(project: Project) -> Iterator[Alert]:
    """Yield the alert that celery_health itself has an error."""
    grown = project.increase(
        "celery_health_internal_errors_total", seconds=HOUR, by=("where",), of=("where",)
    )
    yield Alert(
        name="CeleryHealthInternalErrors",
        expr=f"{grown} > 0",
        hold_seconds=0,
        severity=INFO,
        summary=f"celery_health had an error of its own at {subject('where')}: what it shows may be short.",
    )


ALERTS: Final[Makers] = (
    ("celery_health_up", absent),
    ("celery_health_status", verdict),
    ("celery_health_store_up", store),
    ("celery_broker_writable", broker),
    ("celery_result_backend_up", results),
    ("celery_task_publish_failed_total", unsent),
    ("celery_health_label_overflow_total", overflow),
    ("celery_health_internal_errors_total", errors),
)
