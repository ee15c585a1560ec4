"""Where work waits, who takes it, and whether they live."""

from __future__ import annotations

from typing import Final

from celery_health.metrics.dashboards.expressions import QUEUE, VARIABLES, gauge, rate, share
from celery_health.metrics.dashboards.grafana import Dashboard, Panel, Query, Row, Variable

_BY: Final = ("queue_name",)
_HOST: Final = ("hostname",)
_WORKER: Final = 'hostname=~"$worker"'


def _queue(metric: str) -> str:
    return gauge(metric, QUEUE, by=_BY)


def _per_queue(
    title: str, description: str, expr: str, *, unit: str = "short", stacked: bool = False
) -> Panel:
    queries = (Query(expr=expr, legend="{{queue_name}}"),)
    return Panel(title=title, description=description, queries=queries, unit=unit, stacked=stacked)


_ACTIVE: Final = _queue("celery_queue_tasks_active")
_RESERVED: Final = _queue("celery_queue_tasks_reserved")
_SLOTS: Final = _queue("celery_active_process_count")

_ALL: Final = Panel(
    title="Queues",
    description="One row a queue. An empty cell is not known.",
    queries=(
        Query(expr=_queue("celery_queue_length"), legend="waiting"),
        Query(expr=_queue("celery_queue_tasks_held"), legend="held"),
        Query(expr=_RESERVED, legend="reserved"),
        Query(expr=_ACTIVE, legend="running"),
        Query(expr=_queue("celery_queue_oldest_message_age_seconds"), legend="oldest, s"),
        Query(expr=_queue("celery_active_worker_count"), legend="workers"),
        Query(expr=_SLOTS, legend="slots"),
        Query(expr=_queue("celery_held_back_process_count"), legend="held back"),
    ),
    kind="table",
    width=24,
)

_QUEUES: Final = (
    _per_queue("Waiting", "Messages that nobody has taken.", _queue("celery_queue_length"), stacked=True),
    _per_queue(
        "Oldest message",
        "How long the oldest has waited that could run, in the queue or in a worker that took it.",
        _queue("celery_queue_oldest_message_age_seconds"),
        unit="s",
    ),
    _per_queue(
        "Work",
        "Waiting, reserved and running: what autoscaling counts.",
        f"{_queue('celery_queue_length')} + {_RESERVED} + {_ACTIVE}",
        stacked=True,
    ),
    _per_queue("Consumers", "Who takes from the queue; 0 is nobody.", _queue("celery_active_consumer_count")),
    _per_queue("Slots", "Tasks that the queue's workers can run at once.", _SLOTS),
    _per_queue(
        "Slots in use",
        "Share of the slots that run a task from this queue; workers may serve several.",
        share(_ACTIVE, _SLOTS),
        unit="percentunit",
    ),
    _per_queue(
        "Taken per second",
        "Messages that workers took.",
        rate("celery_task_received_total", QUEUE, by=_BY),
        unit="ops",
    ),
    _per_queue(
        "Sent per second",
        "Tasks sent by processes outside worker pools, best effort.",
        rate("celery_task_sent_total", QUEUE, by=_BY),
        unit="ops",
    ),
    _per_queue(
        "Dead letters",
        "Messages kept of tasks that failed for good.",
        _queue("celery_dead_letter_queue_size"),
    ),
    _per_queue(
        "Held by nobody",
        "Messages taken long ago, not acknowledged, and held by no worker.",
        _queue("celery_queue_tasks_orphaned"),
    ),
)

_WORKERS: Final = (
    Panel(
        title="Workers",
        description="A worker that was lost is shown for 30 minutes; one that said goodbye leaves at once.",
        queries=(Query(expr=gauge("celery_worker_up", _WORKER, by=_HOST), legend="{{hostname}}"),),
        kind="state-timeline",
        width=12,
        texts={"0": ("lost", "red"), "1": ("up", "green")},
    ),
    Panel(
        title="Live workers",
        description="How many report.",
        queries=(Query(expr=gauge("celery_workers"), legend="workers"),),
        width=12,
    ),
    Panel(
        title="Running, by worker",
        description="Tasks that each worker runs.",
        queries=(Query(expr=gauge("celery_worker_tasks_active", _WORKER, by=_HOST), legend="{{hostname}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        title="Restarts in the last hour",
        description="Processes of each worker's name that ended without having been told to.",
        queries=(
            Query(expr=gauge("celery_worker_restarts_last_hour", _WORKER, by=_HOST), legend="{{hostname}}"),
        ),
        width=12,
    ),
    Panel(
        title="Lost with a worker",
        description="Tasks that a worker ran, at most, when it vanished, or gave up when it was stopped.",
        queries=(Query(expr=gauge("celery_worker_tasks_lost", _WORKER, by=_HOST), legend="{{hostname}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        title="Last heartbeat",
        description="How long ago each worker was last seen; every 5 s by default.",
        queries=(
            Query(
                expr="time() - " + gauge("celery_worker_last_heartbeat_timestamp_seconds", _WORKER, by=_HOST),
                legend="{{hostname}}",
            ),
        ),
        unit="s",
        width=12,
    ),
)

_BEAT: Final = (
    Panel(
        title="Beat's last look",
        description="How long ago beat looked at its schedule; it may sleep for 5 minutes.",
        queries=(
            Query(
                expr=f"time() - {gauge('celery_beat_last_tick_timestamp_seconds')}", legend="since last look"
            ),
        ),
        unit="s",
        width=12,
    ),
    Panel(
        title="Overdue",
        description="How late each entry of the schedule is.",
        queries=(Query(expr=gauge("celery_beat_overdue_seconds", by=("schedule",)), legend="{{schedule}}"),),
        unit="s",
        width=12,
    ),
)

QUEUES_AND_WORKERS: Final = Dashboard(
    uid="celery-health-queues",
    title="Celery / Queues and workers",
    description="Where work waits, who takes it, and whether they live.",
    variables=(
        *VARIABLES,
        Variable(name="queue", label="Queue", metric='celery_queue_length{job=~"$job"}', of="queue_name"),
        Variable(name="worker", label="Worker", metric='celery_worker_up{job=~"$job"}', of="hostname"),
    ),
    rows=(
        Row(title="Queues", panels=(_ALL, *_QUEUES)),
        Row(title="Workers", panels=_WORKERS),
        Row(title="Beat", panels=_BEAT),
    ),
)
