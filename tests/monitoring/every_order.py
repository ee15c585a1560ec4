"""Tasks decorated in every order; loaded by workers only, which tell what they see of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import celery
from celery import shared_task
from celery.worker.control import inspect_command

from celery_health import MonitoredTask, monitor_task
from celery_health.conf import get_settings
from celery_health.monitoring import is_monitored, options_of
from tests.project.celery import app

monitored = monitor_task(expected=timedelta(minutes=2), labels=["tier"], dead_letter=ValueError)


def own_decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@shared_task
@monitored
def shared_over(tier: str) -> str:
    return tier


@monitored
@shared_task
def shared_under(tier: str) -> str:
    return tier


@app.task
@monitored
def app_over(tier: str) -> str:
    return tier


@monitored
@app.task
def app_under(tier: str) -> str:
    return tier


@shared_task(bind=True)
@monitored
def bound_over(self: Any, tier: str) -> str:
    return tier if self.request.id else "not bound"


@monitored
@shared_task(bind=True)
def bound_under(self: Any, tier: str) -> str:
    return tier if self.request.id else "not bound"


@shared_task(bind=True, autoretry_for=(OSError,), max_retries=5, default_retry_delay=0)
@monitored
def retried_over(self: Any, tier: str) -> str:
    if self.request.retries < 2:
        raise OSError("again")
    return f"{tier} at attempt {self.request.retries}"


@monitored
@shared_task(bind=True, autoretry_for=(OSError,), max_retries=5, default_retry_delay=0)
def retried_under(self: Any, tier: str) -> str:
    if self.request.retries < 2:
        raise OSError("again")
    return f"{tier} at attempt {self.request.retries}"


@shared_task
@own_decorator
@monitored
def wrapped(tier: str) -> str:
    return tier


@shared_task(base=MonitoredTask, expected=120, labels=["tier"], dead_letter=ValueError)
def based(tier: str) -> str:
    return tier


class ClassBased(MonitoredTask):
    name = "tests.monitoring.every_order.class_based"
    expected = 120
    labels = ("tier",)
    dead_letter = ValueError

    def run(self, tier: str) -> str:
        return tier


app.register_task(ClassBased())


@shared_task
def plain(tier: str) -> str:
    return tier


@inspect_command()
def monitoring_seen(state: Any) -> dict[str, Any]:
    """Tell what the worker's main process finds, and that it is the main process."""
    settings = get_settings()
    seen: dict[str, Any] = {"pid": os.getpid(), "monitors_all": settings.monitor_all_tasks}
    for name, task in state.app.tasks.items():
        if name.startswith(__name__):
            options = options_of(task)
            seen[name.removeprefix(f"{__name__}.")] = {
                "monitored": is_monitored(task, settings),
                "is_task": isinstance(task, celery.Task),
                "options": None
                if options is None
                else [options.expected_seconds, dict(options.labels), repr(options.dead_letter)],
            }
    return seen
