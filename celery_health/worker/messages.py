"""Messages that never become a Request: unknown names, unreadable bodies, untrusted content types."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from celery_health.worker.faults import Faults
from celery_health.worker.requests import Recording


def watch_messages(consumer: Any, recording: Recording) -> None:
    """Count what a Celery consumer turns away.

    Wraps the handlers of the one consumer rather than listen to ``task_unknown`` and ``task_rejected``: no
    signal is sent for a body that cannot be decoded, and none when the result backend fails just then.
    """

    def unknown(message: Any) -> None:
        recording.totals.unknown(_name_in(message))

    def rejected(message: Any) -> None:
        # Only a name that is registered becomes a label: the others are whatever somebody sent.
        name = _name_in(message)
        name = name if name in consumer.strategies else ""
        recording.totals.series(name, recording.queues.of(message)).rejected()

    wrap = partial(_counting, faults=recording.faults)
    # Called as (body, message, exc), (body, message), (body, message, exc) and (message, exc).
    consumer.on_unknown_task = wrap(consumer.on_unknown_task, unknown, position=1)
    consumer.on_unknown_message = wrap(consumer.on_unknown_message, rejected, position=1)
    consumer.on_invalid_task = wrap(consumer.on_invalid_task, rejected, position=1)
    consumer.on_decode_error = wrap(consumer.on_decode_error, rejected, position=0)


def _counting(
    handler: Callable[..., Any], count: Callable[[Any], None], *, position: int, faults: Faults
) -> Callable[..., Any]:
    """Wrap `handler`, whose argument at `position` is the message."""

    @wraps(handler)
    def counting(*args: Any, **kwargs: Any) -> Any:
        try:
            count(args[position])
        except Exception as error:
            faults.caught("messages.counted", error)
        return handler(*args, **kwargs)

    return counting


def _name_in(message: Any) -> str:
    """Return the task name that a message carries; "" when it carries none that can be read."""
    headers = message.headers
    name = headers.get("task") if isinstance(headers, dict) else None
    if name is None:
        try:
            name = message.payload["task"]  # protocol 1 has it in the body, decoded by now or never
        except Exception:
            return ""
    return name if isinstance(name, str) else ""
