"""The registered tasks as facts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from celery import Task as CeleryTask
from kombu import Queue

from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.static.options import plain, rate_limit, sending_attributes, task_error
from celery_health.doctor.static.queues import queue_facts
from celery_health.monitoring import options_of
from celery_health.text.masking import describe_error
from celery_health.topology import (
    Carrier,
    Destination,
    Expectations,
    Owner,
    Ownership,
    Resolver,
    carriers,
    configured_schedule,
    is_own_path,
)

if TYPE_CHECKING:
    from celery import Celery

#: Where a task goes, or why nobody can say.
_Sent: TypeAlias = tuple[Destination | None, str | None]


class _Defaults(NamedTuple):
    """What the app has for tasks without their own; as it is configured."""

    hard: Any
    soft: Any
    priority: Any
    is_rate_off: bool
    resolver: Resolver | None


def task_facts(app: Celery, resolver: Resolver | None, ownership: Ownership) -> dict[str, TaskFacts]:
    """Return the facts of every registered task, by name; without `resolver`, routes cannot be read."""
    conf: Any = app.conf
    # Read once: each reading goes through all of Django's settings.
    defaults = _Defaults(
        hard=conf.task_time_limit,
        soft=conf.task_soft_time_limit,
        priority=conf.task_default_priority,
        is_rate_off=bool(conf.worker_disable_rate_limits),
        resolver=resolver,
    )
    expectations = None if resolver is None else Expectations(app, resolver)
    carrying = carriers(app, ownership)
    scheduled = {entry.get("task") for entry in configured_schedule(app).values()}
    found = {}
    for name, owner in ownership.of_tasks(app).items():
        task = app.tasks[name]
        carrier = carrying.get(name)
        if carrier is None:
            expects = _expects(expectations, name, owner)
            sent = (None, None) if name.startswith("celery.") else route(resolver, name, {})
        else:
            owner, expects = carrier.owner, bool(carrier.expected)
            sent = _carried(resolver, name, carrier)
        is_used = carrier is None and (expects or name in scheduled) and not name.startswith("celery.")
        if owner is Owner.OTHER and not is_used:
            found[name] = _others(name, task, sent, expects=expects)
        else:
            found[name] = _facts(app, name, task, sent, defaults, expects=expects)
    return found


def _expects(expectations: Expectations | None, name: str, owner: Owner) -> bool:
    if expectations is None:
        return False
    try:
        return expectations.expects(name, owner)
    except Exception:  # a project's router may raise anything: it is told of own tasks
        return False


def _carried(resolver: Resolver | None, name: str, carrier: Carrier) -> _Sent:
    """Return where a backend of Django's tasks sends one: none for one that it sends to several queues."""
    found = [route(resolver, name, options) for options in (*carrier.expected, *carrier.optional)]
    return found[0] if found and all(one == found[0] for one in found) else (None, None)


def _others(name: str, task: Any, sent: _Sent, *, expects: bool) -> TaskFacts:
    """Return what is said of other people's tasks: their names, and where they would go."""
    return TaskFacts(
        name=name,
        module=type(task).__module__,
        is_own=False,
        expects_consumer=expects,
        destination=sent[0],
    )


def route(resolver: Resolver | None, name: str, options: Mapping[str, Any]) -> _Sent:
    """Return where a task goes, or why nobody can say."""
    if resolver is None:
        return None, None
    try:
        return resolver.resolve(name, options), None
    except Exception as error:  # a project's router may raise anything
        return None, describe_error(error)


def _facts(
    app: Celery, name: str, task: Any, sent: _Sent, defaults: _Defaults, *, expects: bool
) -> TaskFacts:
    destination, error = sent
    options = options_of(task)
    queue = getattr(task, "queue", None)
    sending = sending_attributes(task, defaults.priority)
    return TaskFacts(
        name=name,
        module=type(task).__module__,
        is_own=True,
        is_editable=is_editable(type(task).__module__),
        expects_consumer=expects,
        destination=destination,
        routing_error=error,
        priority=task.priority,
        serializer=task.serializer,
        acks_late=bool(task.acks_late),
        survives_lost_worker=bool(task.reject_on_worker_lost or getattr(task, "retry_on_worker_lost", False)),
        time_limit_seconds=_seconds(task.time_limit or defaults.hard),
        soft_time_limit_seconds=_seconds(task.soft_time_limit or defaults.soft),
        ignores_result=bool(task.ignore_result),
        keeps_errors=bool(task.store_errors_even_if_ignored),
        acks_on_timeout=_acks_on_timeout(task),
        rejects_on_lost=bool(task.reject_on_worker_lost),
        retries_on_lost=bool(getattr(task, "retry_on_worker_lost", False)),
        retry_delay_seconds=_retry_delay(task),
        longest_retry_seconds=_longest_retry(task),
        expected_seconds=None if options is None else options.expected_seconds,
        queue_declaration=queue_facts(app, queue, f"task {name!r}") if isinstance(queue, Queue) else None,
        options=sending,
        route=_route(defaults.resolver, name),
        call_error=task_error(task),
        expires_seconds=_seconds(task.expires),
        rate_limit_per_second=None if defaults.is_rate_off else rate_limit(task),
    )


def is_editable(module: str) -> bool:
    """Say whether a module's file is the project's to change: it lies outside installed packages."""
    path = getattr(sys.modules.get(module), "__file__", None)
    return path is None or is_own_path(path)


def _route(resolver: Resolver | None, name: str) -> Mapping[str, Any]:
    """Return what the app's routers give a task, whatever its own options are."""
    try:
        return {} if resolver is None else plain(resolver.route_options(name))
    except Exception:  # a project's router may raise anything; where the task goes says so
        return {}


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


def _retry_delay(task: Any) -> float | None:
    """Return how long each retry by ``autoretry_for`` waits; None where there is none, or waits grow."""
    if not getattr(task, "autoretry_for", ()) or getattr(task, "retry_backoff", False):
        return None
    if task.max_retries == 0:
        return None
    arguments = getattr(task, "retry_kwargs", None) or {}
    if "eta" in arguments or "expires" in arguments or arguments.get("max_retries") == 0:
        return None
    countdown = arguments.get("countdown")
    return _seconds(task.default_retry_delay if countdown is None else countdown)


def _acks_on_timeout(task: Any) -> bool:
    value = getattr(task, "acks_on_timeout", None)  # from Celery 5.7 on
    return (task.acks_on_failure_or_timeout if value is None else value) is not False


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
