"""What arrives: each message is counted as received, and those that never become a Request as turned away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from kombu.exceptions import ContentDisallowed

from celery_health.dead_letters.records import Cause
from celery_health.reporting.faults import Faults
from celery_health.worker.composer import Composer
from celery_health.worker.requests import Origin, Recording


def watch_strategies(consumer: Any, composer: Composer, is_monitored: Callable[[Any], bool]) -> None:
    """Have the tasks of a Celery consumer recorded, whenever it builds their strategies.

    It does so at each (re)connect and when its tasks are loaded again. A strategy is the function that turns
    a message into a Request (celery/worker/strategy.py); the Request that it will make is decided before it
    is built, and it is wrapped after that, to count what it is given.
    """
    update, recording = consumer.update_strategies, composer.recording

    @wraps(update)
    def update_strategies() -> None:
        monitored: list[str] = []
        try:
            monitored = composer.apply([task for task in consumer.app.tasks.values() if is_monitored(task)])
        except Exception as error:
            recording.faults.caught("messages.compose", error)
        update()
        for name in monitored:
            strategy = consumer.strategies.get(name)
            if strategy is not None:
                consumer.strategies[name] = _receiving(name, strategy, recording)

    consumer.update_strategies = update_strategies


def _receiving(name: str, strategy: Callable[..., Any], recording: Recording) -> Callable[..., Any]:
    """Wrap the strategy of a task: count the message, and write on it where it came from."""
    origins: dict[str, Origin] = {}
    totals, queues, faults = recording.totals, recording.queues, recording.faults

    def learn(queue: str) -> Origin:
        series = totals.series(name, queue)
        origin = Origin(queue=queue, series=series)
        # Over a cap the series is another one's, and is asked for each time, so that each time is counted.
        if (series.name, series.queue) == (name, queue):
            origins[queue] = origin
        return origin

    def receive(message: Any, *rest: Any) -> Any:
        try:
            queue = queues.of(message)
            message.celery_health_origin = origin = origins.get(queue) or learn(queue)
            origin.series.received()
        except Exception as error:
            faults.caught("messages.received", error)
        return strategy(message, *rest)

    return receive


def watch_refusals(consumer: Any, recording: Recording) -> None:
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
        series = recording.totals.series(name, recording.queues.of(message))
        series.rejected()
        series.turned_down()

    def kept(cause: Cause, message: Any, error: object) -> None:
        if recording.letters is not None:
            task = consumer.app.tasks.get(_name_in(message))
            recording.letters.refused(message, cause, recording.queues.of(message), error, task)

    wrap = partial(_counting, kept=kept, faults=recording.faults)
    # Called as (body, message, exc), (body, message), (body, message, exc) and (message, exc).
    for name, count, cause, position in (
        ("on_unknown_task", unknown, Cause.UNREGISTERED, 1),
        ("on_unknown_message", rejected, Cause.INVALID, 1),
        ("on_invalid_task", rejected, Cause.INVALID, 1),
        ("on_decode_error", rejected, Cause.UNDECODABLE, 0),
    ):
        setattr(consumer, name, wrap(getattr(consumer, name), count, cause, position))


def _counting(
    handler: Callable[..., Any],
    count: Callable[[Any], None],
    cause: Cause,
    position: int,
    *,
    kept: Callable[[Cause, Any, object], None],
    faults: Faults,
) -> Callable[..., Any]:
    """Wrap `handler`, whose argument at `position` is the message, and the next one the error if any."""

    @wraps(handler)
    def counting(*args: Any, **kwargs: Any) -> Any:
        try:
            count(args[position])
        except Exception as error:
            faults.caught("messages.counted", error)
        try:
            return handler(*args, **kwargs)
        finally:
            # Only now is it known whether the message is gone.
            try:
                why = args[position + 1] if len(args) > position + 1 else None
                kept(Cause.UNDECODABLE if isinstance(why, ContentDisallowed) else cause, args[position], why)
            except Exception as error:
                faults.caught("messages.kept", error)

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
