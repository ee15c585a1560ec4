"""Is all well, and if not, where to look: the page to open first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from celery_health.metrics.dashboards.expressions import (
    VARIABLES,
    gauge,
    or_none,
    quantile,
    rate,
    share,
    summed,
)
from celery_health.metrics.dashboards.grafana import Dashboard, Panel, Query, Row

_QUEUE: Final = ("queue_name",)
_SUCCEEDED: Final = rate("celery_task_succeeded_total")
_FAILED: Final = rate("celery_task_failed_total", of=("name", "queue_name", "exception"))
_ENDED: Final = f"{_SUCCEEDED} + ({or_none(_FAILED)})"


def _stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    limits: tuple[float, float] | None = None,
    texts: Mapping[str, tuple[str, str]] | None = None,
) -> Panel:
    return Panel(
        title=title,
        description=description,
        queries=(Query(expr=expr),),
        kind="stat",
        unit=unit,
        limits=limits,
        texts=texts,
        width=4,
        height=4,
    )


_NOW: Final = (
    Panel(
        title="Verdict",
        description="What celery_health says of the whole. `manage.py celery_health` says why.",
        queries=(Query(expr=f"{gauge('celery_health_status', by=('status',))} == 1", legend="{{status}}"),),
        kind="stat",
        width=4,
        height=4,
        shows_name=True,
    ),
    _stat("Live workers", "Workers that report.", gauge("celery_workers")),
    _stat("Waiting", "Messages in all queues.", summed("celery_queue_length", of=_QUEUE)),
    _stat("Running", "Tasks that run now.", summed("celery_worker_tasks_active", of=("hostname",))),
    _stat(
        "Oldest message",
        "How long the oldest message has waited, tasks with an ETA left out.",
        gauge("celery_queue_oldest_message_age_seconds"),
        unit="s",
        limits=(300, 600),
    ),
    _stat(
        "Failing",
        "Share of runs that failed for good.",
        share(or_none(_FAILED), _ENDED),
        unit="percentunit",
        limits=(0.1, 0.5),
    ),
    _stat(
        "Beat looked",
        "How long ago beat last looked at its schedule; it may sleep for 5 minutes.",
        f"time() - {gauge('celery_beat_last_tick_timestamp_seconds')}",
        unit="s",
        limits=(330, 420),
    ),
    _stat(
        "Latest entry",
        "How long the entry of the schedule that is latest is overdue.",
        gauge("celery_beat_overdue_seconds"),
        unit="s",
        limits=(60, 600),
    ),
    _stat(
        "Dead letters",
        "Messages kept of tasks that failed for good; unknown while none are kept.",
        summed("celery_dead_letter_queue_size", of=_QUEUE),
        limits=(1, 100),
    ),
    _stat(
        "Store",
        "Whether the store of heartbeats and totals answers.",
        gauge("celery_health_store_up"),
        texts={"0": ("down", "red"), "1": ("up", "green")},
    ),
    _stat(
        "Broker",
        "Whether the broker takes messages, by its own word.",
        gauge("celery_broker_writable"),
        texts={"0": ("refuses writes", "red"), "1": ("takes messages", "green")},
    ),
    _stat(
        "Results",
        "Whether results can be stored; unknown where nobody tells, or nobody keeps any.",
        gauge("celery_result_backend_up"),
        texts={"0": ("down", "red"), "1": ("up", "green")},
    ),
    _stat(
        "Not sent",
        "Tasks that were to be sent in the last hour, and were not: best effort.",
        or_none(
            rate(
                "celery_task_publish_failed_total",
                of=("name", "exception"),
                window="1h",
                function="increase",
            )
        ),
        limits=(1, 100),
    ),
    _stat(
        "Scraped from",
        "Targets that serve these metrics. More than one is no fault: every panel counts each thing once.",
        'count(celery_health_up{job=~"$job",namespace=~"$namespace"})',
    ),
    _stat(
        "Errors of celery_health",
        "Errors of its own that it caught in the last hour; its logs say what.",
        or_none(rate("celery_health_internal_errors_total", of=("where",), window="1h", function="increase")),
        limits=(1, 100),
    ),
)

_FLOW: Final = (
    Panel(
        title="Tasks per second",
        description="How runs begin and end.",
        queries=(
            Query(expr=rate("celery_task_received_total"), legend="received"),
            Query(expr=rate("celery_task_started_total"), legend="started"),
            Query(expr=_SUCCEEDED, legend="succeeded"),
            Query(expr=or_none(_FAILED), legend="failed"),
            Query(expr=rate("celery_task_retried_total"), legend="retried"),
            Query(expr=rate("celery_task_rejected_total"), legend="rejected"),
            Query(expr=rate("celery_task_revoked_total"), legend="revoked"),
        ),
        unit="ops",
        width=12,
    ),
    Panel(
        title="Waiting, by queue",
        description="Messages that nobody has taken.",
        queries=(Query(expr=gauge("celery_queue_length", by=_QUEUE), legend="{{queue_name}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        title="Runtime",
        description="How long runs take, failed ones included.",
        queries=tuple(
            Query(expr=quantile(q, "celery_task_runtime"), legend=f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)
        ),
        unit="s",
        width=12,
    ),
    Panel(
        title="Wait before the start",
        description="From publishing to start, tasks with an ETA left out.",
        queries=tuple(
            Query(expr=quantile(q, "celery_task_queue_wait_time"), legend=f"p{q * 100:g}")
            for q in (0.5, 0.95, 0.99)
        ),
        unit="s",
        width=12,
    ),
)

_TROUBLE: Final = (
    Panel(
        title="Most failures",
        description="Runs that failed for good, in the time shown.",
        queries=(
            Query(
                expr="topk(10, {})".format(
                    rate(
                        "celery_task_failed_total",
                        by=("name", "exception"),
                        of=("name", "queue_name", "exception"),
                        window="$__range",
                        function="increase",
                    )
                ),
                legend="failures",
            ),
        ),
        kind="table",
        width=12,
    ),
    Panel(
        title="Names that nobody registers",
        description="Messages that workers threw away, since no task has their name.",
        queries=(
            Query(
                expr=or_none(rate("celery_task_unknown_total", of=("name",))),
                legend="a second",
            ),
        ),
        unit="ops",
        width=6,
    ),
    Panel(
        title="Label values over their caps",
        description="What counts as `other`, by label.",
        queries=(
            Query(
                expr=rate("celery_health_label_overflow_total", by=("label",), of=("label",)),
                legend="{{label}}",
            ),
        ),
        unit="ops",
        width=6,
    ),
)

OVERVIEW: Final = Dashboard(
    uid="celery-health-overview",
    title="Celery / Overview",
    description="Is all well with Celery, and if not, where to look.",
    variables=VARIABLES,
    rows=(
        Row(title="Now", panels=_NOW),
        Row(title="Flow", panels=_FLOW),
        Row(title="Trouble", panels=_TROUBLE),
    ),
)
