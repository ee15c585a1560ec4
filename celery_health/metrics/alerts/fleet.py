"""Alerts on workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.metrics.alerts.base import (
    CRITICAL,
    FOUND,
    MINUTE,
    WARNING,
    Alert,
    Makers,
    Project,
    subject,
)
from celery_health.metrics.promql import number


def none_alive(project: Project) -> Iterator[Alert]:
    """Yield the alert that there is no worker; with MIN_WORKERS 0 only if there is work."""
    scope = project.scope
    expr = f"{scope.gauge('celery_workers')} == 0"
    if project.settings.min_workers == 0:
        kept = scope.names()
        waiting = f"sum by ({kept}) ({scope.gauge('celery_queue_length', by=('queue_name',))}) > 0"
        expr = f"{expr}\nand on ({kept})\n{waiting}"
    yield Alert(
        name="CeleryNoWorkers",
        expr=expr,
        hold_seconds=max(MINUTE, project.settings.limits.restart_grace_seconds),
        severity=CRITICAL,
        summary="No Celery worker is alive.",
        check="workers.alive",
    )


def lost(project: Project) -> Iterator[Alert]:
    """Yield the alert that a worker fell silent: by the store's clock, not by this one."""
    after = number(project.settings.limits.worker_lost_seconds)
    yield Alert(
        name="CeleryWorkerHeartbeatStale",
        expr=f"{project.scope.gauge('celery_worker_up', by=('hostname',))} == 0",
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"Worker {subject('hostname')} sent no heartbeat for over {after} s, and no goodbye.",
        check="workers.alive",
    )


def tasks_lost(project: Project) -> Iterator[Alert]:
    """Yield the alert that a worker took with it what it ran."""
    yield Alert(
        name="CeleryTasksLost",
        expr=f"{project.scope.gauge('celery_worker_tasks_lost', by=('hostname',))} > 0",
        hold_seconds=0,
        severity=WARNING,
        summary=f"Worker {subject('hostname')} took up to {FOUND} tasks with it when it ended.",
        check="tasks.lost",
    )


def restarting(project: Project) -> Iterator[Alert]:
    """Yield the alert that a worker starts again and again."""
    most = number(project.settings.limits.restarts_per_hour)
    yield Alert(
        name="CeleryWorkerRestarting",
        expr=f"{project.scope.gauge('celery_worker_restarts_last_hour', by=('hostname',))} > {most}",
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"Worker {subject('hostname')} ended over {most} times in an hour, and was not told to.",
        check="workers.alive",
    )


ALERTS: Final[Makers] = (
    ("celery_workers", none_alive),
    ("celery_worker_up", lost),
    ("celery_worker_tasks_lost", tasks_lost),
    ("celery_worker_restarts_last_hour", restarting),
)
