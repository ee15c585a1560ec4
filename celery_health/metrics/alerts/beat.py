"""Alerts on beat and its schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.metrics.alerts.base import CRITICAL, MINUTE, TIME, WARNING, Alert, Makers, Project, subject
from celery_health.metrics.promql import number

#: Beat may sleep that long when nothing is due (celery/beat.py, ``max_interval``).
SLEEP_SECONDS: Final = 300.0


def dead(project: Project) -> Iterator[Alert]:
    """Yield the alert that no beat looks at the schedule any more."""
    settings, scope = project.settings, project.scope
    if settings.expect_beat is False:
        return
    limit = (settings.limits.beat_lost_seconds + SLEEP_SECONDS) * scope.pace
    yield Alert(
        name="CeleryBeatDead",
        expr=f"time() - {scope.gauge('celery_beat_last_tick_timestamp_seconds')} > {number(limit)}",
        hold_seconds=MINUTE,
        severity=CRITICAL,
        summary=f"Beat last looked at its schedule {TIME} ago: nothing that is scheduled is sent.",
        check="beat.alive",
    )


def overdue(project: Project) -> Iterator[Alert]:
    """Yield the alert that an entry of the schedule was not sent when it was due."""
    settings = project.settings
    if settings.expect_beat is False:
        return
    late = project.scope.gauge("celery_beat_overdue_seconds", by=("schedule",))
    yield Alert(
        name="CeleryScheduleOverdue",
        expr=f"{late} > {number(settings.limits.overdue_seconds)}",
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"The schedule entry {subject('schedule')} is overdue by {TIME}.",
        check="beat.on_time",
    )


ALERTS: Final[Makers] = (
    ("celery_beat_last_tick_timestamp_seconds", dead),
    ("celery_beat_overdue_seconds", overdue),
)
