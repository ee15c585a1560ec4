"""The registered tasks as facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from celery import Task as CeleryTask
from kombu import Queue

from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.static.options import sending_attributes, task_error
from celery_health.doctor.static.queues import queue_facts
from celery_health.monitoring import options_of
from celery_health.text.masking import describe_error
from celery_health.topology import Destination, Resolver, own_tasks

if TYPE_CHECKING:
    from celery import Celery


class _Defaults(NamedTuple):
    """What the app has for tasks without their own; as it is configured."""

    hard: Any
    soft: Any
    priority: Any


def task_facts(app: Celery, resolver: Resolver | None) -> Mapping[str, TaskFacts]:
    """Return the facts of every registered task, by name; without `resolver`, routes cannot be read."""
    own = frozenset(own_tasks(app))
    conf: Any = app.conf
    # Read once: each reading goes through all of Django's settings.
    defaults = _Defaults(
        hard=conf.task_time_limit, soft=conf.task_soft_time_limit, priority=conf.task_default_priority
    )
    return {
        str(name): _facts(app, str(name), task, resolver, defaults)
        if name in own
        # Nothing is said of other people's tasks but their names.
        else TaskFacts(name=str(name), module=type(task).__module__, is_own=False)
        for name, task in app.tasks.items()
    }


def route(
    resolver: Resolver | None, name: str, options: Mapping[str, Any]
) -> tuple[Destination | None, str | None]:
    """Return where a task goes, or why nobody can say."""
    if resolver is None:
        return None, None
    try:
        return resolver.resolve(name, options), None
    except Exception as error:  # a project's router may raise anything
        return None, describe_error(error)


def _facts(app: Celery, name: str, task: Any, resolver: Resolver | None, defaults: _Defaults) -> TaskFacts:
    destination, error = route(resolver, name, {})
    options = options_of(task)
    queue = getattr(task, "queue", None)
    return TaskFacts(
        name=name,
        module=type(task).__module__,
        is_own=True,
        destination=destination,
        routing_error=error,
        priority=task.priority,
        serializer=task.serializer,
        acks_late=bool(task.acks_late),
        survives_lost_worker=bool(task.reject_on_worker_lost or getattr(task, "retry_on_worker_lost", False)),
        time_limit_seconds=_seconds(task.time_limit or defaults.hard),
        soft_time_limit_seconds=_seconds(task.soft_time_limit or defaults.soft),
        ignores_result=bool(task.ignore_result),
        longest_retry_seconds=_longest_retry(task),
        expected_seconds=None if options is None else options.expected_seconds,
        queue_declaration=queue_facts(app, queue, f"task {name!r}") if isinstance(queue, Queue) else None,
        options=sending_attributes(task, defaults.priority),
        call_error=task_error(task),
        expires_seconds=_seconds(task.expires),
    )


def _longest_retry(task: Any) -> float | None:
    """Return the longest wait before a retry that the task's options ask for (celery/app/autoretry.py)."""
    delays = []
    if task.default_retry_delay != CeleryTask.default_retry_delay:
        delays.append(_seconds(task.default_retry_delay))
    if getattr(task, "autoretry_for", ()):
        factor = float(getattr(task, "retry_backoff", False) or 0)
        if factor:
            longest = float(getattr(task, "retry_backoff_max", 600))
            retries = task.max_retries
            if isinstance(retries, int) and retries < 30:
                longest = min(longest, max(1.0, factor) * 2.0 ** max(0, retries - 1))
            delays.append(longest)
        countdown = getattr(task, "retry_kwargs", {}).get("countdown")
        delays.append(_seconds(countdown))
    return max((delay for delay in delays if delay is not None), default=None)


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
