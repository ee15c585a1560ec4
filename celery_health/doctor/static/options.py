"""Options of tasks, routes and entries: as plain values, and why Celery raises when it gets them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from celery.utils.time import rate
from dateutil.parser import isoparse  # type: ignore[import-untyped]
from kombu import Exchange, Queue

from celery_health.connections.shared_names import shared_name
from celery_health.text.masking import describe_error

#: Attributes of a task that say how it is sent, and that Celery 5.7 calls old (``Task.bind``).
SENDING: Final = ("queue", "exchange", "exchange_type", "routing_key", "delivery_mode", "priority")
#: What ``Task.apply_async`` gets from beat already, or gives to ``Celery.send_task`` by itself.
_TAKEN_BY_CALLS: Final = ("args", "kwargs", "producer", "name", "task_type", "result_cls")


def plain(options: Mapping[Any, Any]) -> dict[str, Any]:
    """Return those of `options` that are numbers, texts, or have a name: no value that may hold a secret."""
    named = {
        str(option): _name(value) if isinstance(value, Queue | Exchange) else value
        for option, value in options.items()
    }
    return {
        option: value
        for option, value in named.items()
        if isinstance(value, str | int | float) and value != ""
    }


def _name(value: Queue | Exchange) -> str:
    return shared_name(value) if isinstance(value, Queue) else str(value.name)


def sending_attributes(task: Any, default_priority: object) -> dict[str, Any]:
    """Return the attributes of `task` that say how it is sent, as far as they are its own."""
    found = plain({name: getattr(task, name, None) for name in SENDING})
    if found.get("priority") == default_priority:
        found.pop("priority", None)  # Celery gives the app's to those without
    return found


def rate_limit(task: Any) -> float | None:
    """Return how many of `task` one worker starts in a second; None without a limit, or where it is none."""
    try:
        return float(rate(task.rate_limit)) or None
    except (KeyError, TypeError, ValueError):
        return None


def task_error(task: Any) -> str | None:
    """Return why each call of `task` raises, by its own options (``Task.apply_async``)."""
    soft, hard = task.soft_time_limit, task.time_limit
    try:
        # Celery 5.7 has the app's limits here where the task has none; 5.5 and 5.6 compare its own alone.
        if soft and hard and soft > hard:
            return "ValueError: soft_time_limit must be less than or equal to time_limit"
    except TypeError as error:
        return describe_error(error)
    return _moment_error("expires", task.expires)


def call_error(options: Mapping[Any, Any]) -> str | None:
    """Return why beat's sending raises with `options` of an entry; None when it does not."""
    for option in _TAKEN_BY_CALLS:
        if option in options:
            return f"TypeError: got multiple values for argument {option!r}"
    errors = (_moment_error(option, options.get(option)) for option in ("countdown", "eta", "expires"))
    return next((error for error in errors if error is not None), None)


def _moment_error(option: str, value: Any) -> str | None:
    """Return what Celery makes of a moment or a time that it cannot read."""
    if isinstance(value, timedelta) and value:
        return f"TypeError: {option} is a timedelta, and Celery wants seconds"
    if not isinstance(value, str) or option == "eta":  # which workers read, and nobody before them
        return None
    if option == "countdown":
        return f"TypeError: countdown is {value!r}, a text, and Celery wants seconds"
    try:
        isoparse(value)
    except ValueError:
        return f"ValueError: {option} is {value!r}, and Celery wants seconds or a date"
    return None
