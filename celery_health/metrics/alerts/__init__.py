"""The alerts: what is worth waking somebody for, with a project's own limits, queues and names filled in.

Everything is written for replicas that serve the same totals (``max by``), and names its subject. What the
metrics of the project's METRICS_DIALECTS do not show has no alert.
"""

from __future__ import annotations

from celery_health.metrics.alerts import beat, fleet, itself, queues, tasks
from celery_health.metrics.alerts.base import Alert, Project, Recording

__all__ = ["Alert", "Project", "Recording", "alerts_of", "recordings_of"]


def alerts_of(project: Project) -> tuple[Alert, ...]:
    """Return the alerts of a project, those that its settings switch off left out."""
    shown = project.metrics
    return tuple(
        project.as_set(alert)
        for room in (itself, fleet, queues, tasks, beat)
        for metric, make in room.ALERTS
        if metric is None or metric in shown
        for alert in make(project)
        if project.wants(alert)
    )


def recordings_of(project: Project) -> tuple[Recording, ...]:
    """Return the recording rules, which go before the alerts that stand on them."""
    return tasks.recordings(project)
