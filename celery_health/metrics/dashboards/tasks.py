"""What each task does: how often, how long, and how it ends."""

from __future__ import annotations

from typing import Final

from celery_health.metrics.dashboards.expressions import (
    QUEUE,
    SCOPE,
    SHOWN,
    TASK,
    VARIABLES,
    quantile,
    rate,
    share,
)
from celery_health.metrics.dashboards.grafana import Dashboard, Panel, Query, Row, Variable
from celery_health.metrics.promql import names

_NAME: Final = ("name",)
_FAILED_LABELS: Final = ("name", "queue_name", "exception")


def _by_name(event: str, window: str = "", function: str = "rate") -> str:
    labels = _FAILED_LABELS if event == "failed" else ("name", "queue_name")
    return rate(
        f"celery_task_{event}_total",
        TASK,
        QUEUE,
        by=_NAME,
        of=labels,
        **({"window": window, "function": function} if window else {}),
    )


def _total(event: str) -> str:
    return _by_name(event, SHOWN, "increase")


def _event(title: str, description: str, event: str) -> Panel:
    return Panel(
        title=title,
        description=description,
        queries=(Query(expr=_by_name(event), legend="{{name}}"),),
        unit="ops",
    )


# A task that never failed has no series of failures, and one that only fails none of successes.
_ENDED: Final = (
    f"({_by_name('succeeded')} + ({_by_name('failed')} or {_by_name('succeeded')} * 0))"
    f" or {_by_name('failed')}"
)


def _mean(metric: str) -> str:
    total, count = (
        f"sum by ({names(_NAME)}) (max by ({names(('name', 'queue_name'))}) "
        f"(rate({SCOPE.select(f'{metric}_{part}', TASK, QUEUE)}[$__rate_interval])))"
        for part in ("sum", "count")
    )
    return share(total, count)


_ALL: Final = Panel(
    title="Tasks",
    description="Everything in the time shown, one row a task.",
    queries=(
        Query(expr=_total("received"), legend="received"),
        Query(expr=_total("succeeded"), legend="succeeded"),
        Query(expr=_total("failed"), legend="failed"),
        Query(expr=_total("retried"), legend="retried"),
        Query(
            expr=quantile(0.95, "celery_task_runtime", TASK, QUEUE, by=_NAME, window=SHOWN),
            legend="runtime p95, s",
        ),
        Query(
            expr=quantile(0.95, "celery_task_queue_wait_time", TASK, QUEUE, by=_NAME, window=SHOWN),
            legend="wait p95, s",
        ),
    ),
    kind="table",
    width=24,
    height=10,
)

_ENDS: Final = (
    _event("Succeeded", "Runs that returned.", "succeeded"),
    _event("Failed", "Runs that failed for good.", "failed"),
    Panel(
        title="Share of failures",
        description="Of the runs that ended; retries are no end.",
        queries=(Query(expr=share(_by_name("failed"), f"({_ENDED})"), legend="{{name}}"),),
        unit="percentunit",
    ),
    Panel(
        title="Failures by exception",
        description="The class of what was raised.",
        queries=(
            Query(
                expr=rate(
                    "celery_task_failed_total", TASK, QUEUE, by=("name", "exception"), of=_FAILED_LABELS
                ),
                legend="{{name}} {{exception}}",
            ),
        ),
        unit="ops",
    ),
    _event("Retried", "Runs that asked for another try.", "retried"),
    _event("Revoked or expired", "Tasks that were called off, or came too late.", "revoked"),
    _event("Expired", "Tasks that had expired before they began.", "expired"),
    _event("Killed", "Runs whose process was killed under them.", "killed"),
    _event("Rejected", "Messages rejected, by the task or as unreadable.", "rejected"),
    _event("Received", "Messages that workers took.", "received"),
    _event("Sent", "Tasks sent by processes outside worker pools, best effort.", "sent"),
)

_TIMES: Final = (
    *(
        Panel(
            title=f"Runtime, p{q * 100:g}",
            description="How long runs take, failed ones included.",
            queries=(
                Query(expr=quantile(q, "celery_task_runtime", TASK, QUEUE, by=_NAME), legend="{{name}}"),
            ),
            unit="s",
        )
        for q in (0.5, 0.95)
    ),
    Panel(
        title="Runtime, mean",
        description="Times the rate of runs: how many slots the task keeps busy.",
        queries=(Query(expr=_mean("celery_task_runtime"), legend="{{name}}"),),
        unit="s",
    ),
    *(
        Panel(
            title=f"Wait before the start, p{q * 100:g}",
            description="From publishing to start, tasks with an ETA left out.",
            queries=(
                Query(
                    expr=quantile(q, "celery_task_queue_wait_time", TASK, QUEUE, by=_NAME),
                    legend="{{name}}",
                ),
            ),
            unit="s",
        )
        for q in (0.5, 0.95)
    ),
    Panel(
        title="Wait before the start, mean",
        description="From publishing to start, tasks with an ETA left out.",
        queries=(Query(expr=_mean("celery_task_queue_wait_time"), legend="{{name}}"),),
        unit="s",
    ),
)

TASKS: Final = Dashboard(
    uid="celery-health-tasks",
    title="Celery / Tasks",
    description="What each task does: how often, how long, and how it ends.",
    variables=(
        *VARIABLES,
        Variable(name="task", label="Task", metric='celery_task_received_total{job=~"$job"}', of="name"),
        Variable(
            name="queue", label="Queue", metric='celery_task_received_total{job=~"$job"}', of="queue_name"
        ),
    ),
    rows=(
        Row(title="All", panels=(_ALL,)),
        Row(title="How runs end", panels=_ENDS),
        Row(title="How long it takes", panels=_TIMES),
    ),
)
