"""The names that dashboards know the facts by: one table, three dialects, any of them together.

A row says which metric is shown, and from which family of totals or which fact about the present it comes.
Labels of a family that a row does not show are summed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from celery_health import counters
from celery_health.counters import Family

Kind = Literal["counter", "histogram", "gauge"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A family of totals that a metric is made of."""

    family: Family
    labels: tuple[str, ...]
    """Its labels that are shown, in the order of the metric's."""
    constants: tuple[str, ...] = ()
    """Values of the metric's remaining labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric."""

    name: str
    """A counter's with its ``_total``; ``{namespace}`` stands for METRICS_NAMESPACE."""
    kind: Kind
    labels: tuple[str, ...]
    help: str
    sources: tuple[Source, ...] = ()
    """What counters and histograms are the sum of."""
    fact: str | None = None
    """What a gauge shows: a key of `celery_health.metrics.gauges.facts_of`."""
    takes_custom: bool = False
    """Shows the labels that the project opted in behind its own: of the counters, and of one dialect only.

    Rules and dashboards for the others match their labels one by one.
    """


def _counter(name: str, labels: tuple[str, ...], text: str, *sources: Source) -> Row:
    return Row(name=name, kind="counter", labels=labels, help=text, sources=sources)


def _histogram(name: str, labels: tuple[str, ...], text: str, source: Source) -> Row:
    return Row(name=name, kind="histogram", labels=labels, help=text, sources=(source,))


def _gauge(name: str, labels: tuple[str, ...], text: str, fact: str | None = None) -> Row:
    return Row(name=name, kind="gauge", labels=labels, help=text, fact=fact or name)


def _of(family: Family, *constants: str, labels: tuple[str, ...] | None = None) -> Source:
    return Source(family=family, labels=family.labels if labels is None else labels, constants=constants)


# exporter ----------------------------------------------------------------------------------------------

_TASK: Final = ("name", "queue_name")
_QUEUE: Final = ("queue_name",)
_HOST: Final = ("hostname",)


def _task_counter(family: Family, *more: str) -> Row:
    return _counter(f"celery_task_{family.name}_total", (*_TASK, *more), family.help, _of(family))


DEAD_LETTER_SIZE: Final = _gauge(
    "celery_dead_letter_queue_size", _QUEUE, "Letters in the dead letter queue of this queue."
)

EXPORTER: Final = (
    _task_counter(counters.RECEIVED),
    _task_counter(counters.STARTED),
    _task_counter(counters.SUCCEEDED),
    _task_counter(counters.FAILED, "exception"),
    _task_counter(counters.RETRIED),
    _task_counter(counters.REJECTED),
    _task_counter(counters.REVOKED),
    _task_counter(counters.EXPIRED),
    _task_counter(counters.KILLED),
    _task_counter(counters.SENT),
    _counter(
        "celery_task_publish_failed_total",
        counters.PUBLISH_FAILED.labels,
        counters.PUBLISH_FAILED.help,
        _of(counters.PUBLISH_FAILED),
    ),
    _counter(
        "celery_task_result_failed_total",
        counters.RESULT_FAILED.labels,
        counters.RESULT_FAILED.help,
        _of(counters.RESULT_FAILED),
    ),
    _counter("celery_task_unknown_total", ("name",), counters.UNKNOWN.help, _of(counters.UNKNOWN)),
    _gauge(
        "celery_task_failure_streak",
        ("name",),
        "Runs of the task in a row that ended badly; absent once one has ended well.",
    ),
    _gauge(
        "celery_task_last_failure_timestamp_seconds",
        ("name",),
        "When the last of these ended, Unix time.",
    ),
    _histogram("celery_task_runtime", _TASK, counters.RUNTIME.help, _of(counters.RUNTIME)),
    _histogram("celery_task_queue_wait_time", _TASK, counters.QUEUE_WAIT.help, _of(counters.QUEUE_WAIT)),
    _gauge("celery_worker_up", _HOST, "1 while the worker lives; 0 for 30 minutes after it was lost."),
    _gauge(
        "celery_worker_restarts_last_hour",
        _HOST,
        "Processes of this name that ended in the last hour without having been told to; at most 20, and 0 "
        "once that is over.",
    ),
    _gauge("celery_worker_tasks_active", _HOST, "Tasks that the worker runs now."),
    _gauge(
        "celery_worker_tasks_lost",
        _HOST,
        "Tasks that the worker ran, at most, when it vanished, or gave up at its end.",
    ),
    _gauge(
        "celery_worker_last_heartbeat_timestamp_seconds", _HOST, "When the worker was last seen, Unix time."
    ),
    _gauge("celery_workers", (), "Live workers."),
    _gauge("celery_health_up", (), "1 if the verdict behind these metrics could be made, else 0."),
    _gauge("celery_health_store_up", (), "1 if the store of totals answered, else 0."),
    _gauge("celery_broker_writable", (), "1 if the broker takes messages, 0 if it answers and refuses them."),
    _gauge(
        "celery_result_backend_up", (), "1 if results can be stored, 0 if not; absent where nobody knows."
    ),
    _gauge("celery_queue_length", _QUEUE, "Messages waiting in the queue."),
    _gauge("celery_queue_tasks_active", _QUEUE, "Tasks from the queue that run now."),
    _gauge(
        "celery_queue_tasks_reserved", _QUEUE, "Tasks from the queue that workers took and did not start yet."
    ),
    _gauge(
        "celery_queue_tasks_orphaned",
        _QUEUE,
        "Messages taken from the queue long ago, not acknowledged, and held by no worker.",
    ),
    _gauge(
        "celery_queue_tasks_held",
        _QUEUE,
        "Tasks from the queue that workers hold and could run now: no ETA ahead, no rate limit.",
    ),
    _gauge(
        "celery_queue_oldest_message_age_seconds",
        _QUEUE,
        "How long the oldest has waited that could run, in the queue or in workers; 0 if none.",
    ),
    _gauge("celery_active_consumer_count", _QUEUE, "Consumers of the queue."),
    _gauge("celery_active_worker_count", _QUEUE, "Live workers that consume the queue."),
    _gauge("celery_active_process_count", _QUEUE, "Tasks that the queue's workers can run at once."),
    _gauge(
        "celery_held_back_process_count",
        _QUEUE,
        "Of those, of workers that take nothing now, for all they hold waits for a limit.",
    ),
    DEAD_LETTER_SIZE,
    _counter(
        "celery_dead_letters_total",
        ("queue_name", "cause"),
        counters.DEAD_LETTERED.help,
        _of(counters.DEAD_LETTERED),
    ),
    _counter(
        "celery_dead_letters_dropped_total",
        ("queue_name", "reason"),
        counters.DEAD_LETTERS_DROPPED.help,
        _of(counters.DEAD_LETTERS_DROPPED),
    ),
    _gauge(
        "celery_beat_last_tick_timestamp_seconds", (), "When beat last looked at its schedule, Unix time."
    ),
    _gauge("celery_beat_overdue_seconds", ("schedule",), "How long the schedule entry is overdue; 0 if not."),
    _gauge("celery_health_status", ("status",), "1 for the present verdict, 0 for the other two."),
    _counter(
        "celery_health_label_overflow_total",
        ("label",),
        counters.LABEL_OVERFLOW.help,
        _of(counters.LABEL_OVERFLOW),
    ),
    _counter(
        "celery_health_internal_errors_total",
        ("where",),
        counters.INTERNAL_ERRORS.help,
        _of(counters.INTERNAL_ERRORS),
    ),
)

# background_job ----------------------------------------------------------------------------------------

_JOB: Final = "{namespace}_background_job"
_BY_NAME: Final = ("name",)


def _job_counter(name: str, labels: tuple[str, ...], text: str, source: Source) -> Row:
    return replace(_counter(name, labels, text, source), takes_custom=True)


BACKGROUND_JOB: Final = (
    _job_counter(
        f"{_JOB}_started_total",
        ("task_name",),
        "Background jobs started.",
        _of(counters.STARTED, labels=_BY_NAME),
    ),
    _job_counter(
        f"{_JOB}_completed_total",
        ("task_name",),
        "Background jobs that succeeded.",
        _of(counters.SUCCEEDED, labels=_BY_NAME),
    ),
    _job_counter(
        f"{_JOB}_failed_total",
        ("task_name", "error_type"),
        "Background jobs that failed for good.",
        _of(counters.FAILED, labels=("name", "exception")),
    ),
    _histogram(
        f"{_JOB}_duration_seconds",
        ("task_name",),
        "Seconds that background jobs took.",
        _of(counters.RUNTIME, labels=_BY_NAME),
    ),
)

# task_status -------------------------------------------------------------------------------------------

TASK_STATUS: Final = (
    _counter(
        "celery_task_total",
        ("task_name", "status"),
        "Task runs by how they ended.",
        _of(counters.SUCCEEDED, "success", labels=_BY_NAME),
        _of(counters.FAILED, "failure", labels=_BY_NAME),
        _of(counters.RETRIED, "retry", labels=_BY_NAME),
    ),
    _histogram(
        "celery_task_duration_seconds",
        ("task_name",),
        "Seconds that task runs took.",
        _of(counters.RUNTIME, labels=_BY_NAME),
    ),
    _counter(
        "celery_task_retries_total",
        ("task_name",),
        "Task runs that asked for a retry.",
        _of(counters.RETRIED, labels=_BY_NAME),
    ),
    DEAD_LETTER_SIZE,
    _gauge(
        "celery_active_tasks", _QUEUE, "Tasks from the queue that run now.", fact="celery_queue_tasks_active"
    ),
)

DIALECTS: Final = MappingProxyType(
    {"exporter": EXPORTER, "background_job": BACKGROUND_JOB, "task_status": TASK_STATUS}
)


def rows_of(dialects: Iterable[str], namespace: str = "celery") -> tuple[Row, ...]:
    """Return the metrics of some dialects, each name once, with the namespace filled in."""
    rows: dict[str, Row] = {}
    for dialect in dialects:
        for row in DIALECTS[dialect]:
            name = row.name.replace("{namespace}", namespace)
            rows.setdefault(name, replace(row, name=name))
    return tuple(rows.values())
