"""What the totals of tasks are called in each dialect: rules and dashboards follow METRICS_DIALECTS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskNames:
    """The metrics of one dialect that say how runs of tasks end."""

    task: str
    """The label with the name of the task."""
    succeeded: tuple[str, ...]
    """A counter, and matchers."""
    failed: tuple[str, ...]
    retried: tuple[str, ...] | None
    """None where the dialect does not tell."""
    labels: tuple[str, ...]
    """Every label that one of the counters may have."""
    runtime: str
    """A histogram."""
    runtime_labels: tuple[str, ...]


_EXPORTER: Final = TaskNames(
    task="name",
    succeeded=("celery_task_succeeded_total",),
    failed=("celery_task_failed_total",),
    retried=("celery_task_retried_total",),
    labels=("name", "queue_name", "exception"),
    runtime="celery_task_runtime",
    runtime_labels=("name", "queue_name"),
)
_TASK_STATUS: Final = TaskNames(
    task="task_name",
    succeeded=("celery_task_total", 'status="success"'),
    failed=("celery_task_total", 'status="failure"'),
    retried=("celery_task_total", 'status="retry"'),
    labels=("task_name",),
    runtime="celery_task_duration_seconds",
    runtime_labels=("task_name",),
)


def task_names(dialects: Sequence[str], namespace: str, more: Sequence[str] = ()) -> TaskNames:
    """Return the names to use of those that `dialects` show; `more` are labels that are opted in."""
    if "exporter" in dialects:
        return _EXPORTER
    if "task_status" in dialects:
        return _TASK_STATUS
    return TaskNames(
        task="task_name",
        succeeded=(f"{namespace}_background_job_completed_total",),
        failed=(f"{namespace}_background_job_failed_total",),
        retried=None,
        labels=("task_name", "error_type", *more),
        runtime=f"{namespace}_background_job_duration_seconds",
        runtime_labels=("task_name",),
    )
