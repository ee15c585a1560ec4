"""What the end of a run says beyond its outcome: whose fault it was, and whether the last ones ended well.

Only runs that did not simply succeed come here, once each. Relies on `celery/app/autoretry.py` and on
the tracebacks that billiard hands over; tests pin both on each supported minor version.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.serialization import UnpickleableExceptionWrapper
from celery.worker import state

from celery_health.counters import clean

#: Words for how a run ended where there is no exception to name.
EXPIRED: Final = "expired"
REJECTED: Final = "rejected"
KILLED: Final = "killed"

_AUTORETRY: Final = "celery.app.autoretry"
_RETRY: Final = ("celery.app.task", "retry")
#: Frames of a traceback beyond are not looked at.
_MOST_FRAMES: Final = 500
_MOST_SECONDS: Final = 7 * 86400.0


def unwrapped(error: Any) -> Any:
    """Return the exception that a pool's child has wrapped to keep its traceback."""
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def class_name(error: Any) -> str:
    """Return the name of an exception's class, wherever it was raised."""
    error = unwrapped(error)
    if isinstance(error, UnpickleableExceptionWrapper):  # the original could not leave the child
        return str(error.exc_cls_name)
    return type(error).__name__


def attempts_of(request: Any) -> int:
    """Return which attempt of a run this is; 1 where the message says something else than a number."""
    retries = request._request_dict.get("retries")
    return 1 + max(0, retries) if isinstance(retries, int) else 1


def failed(request: Any, exception: str, failure: Any) -> None:
    """Tell the series of a run that failed for good; `failure` is an ExceptionInfo, or None."""
    series = request._message.celery_health_origin.series
    error = None if failure is None else unwrapped(failure.exception)
    if (attempts := attempts_of(request)) > 1:
        series.retries_ended(attempts)
    if exception == "Terminated" or is_ending():
        return  # given up by the worker at its end: no fault of the task
    if error is not None and _is_declared(request._task, error):
        series.expected()
        series.proved()
    elif exception == "WorkerLostError":
        series.killed()
        series.broke(KILLED)
    else:
        series.broke(clean(exception))


def rejected(request: Any, failure: Any) -> None:
    """Tell the series of a message that was rejected, by the task or by Celery, or given up by its worker."""
    series = request._message.celery_health_origin.series
    error = None if failure is None else unwrapped(failure.exception)
    if error is None or isinstance(error, Reject):
        has_run = request.health_accepted_at is not None
        if request.health_requeued or (error is None and has_run):
            return  # it comes again, as it was asked for, or another worker takes it
        series.turned_down()
        if has_run:
            series.broke(REJECTED)
    else:
        lost(request)


def lost(request: Any) -> None:
    """Tell the series of a run whose process ended under it, and whose message will be delivered again."""
    if is_ending():
        return
    series = request._message.celery_health_origin.series
    series.killed()
    series.redelivered()
    series.broke(KILLED)


def expired(request: Any) -> None:
    """Tell the series of a task that had expired before it began."""
    series = request._message.celery_health_origin.series
    series.expired()
    series.broke(EXPIRED)


def ignored(request: Any, failure: Any) -> None:
    """Tell the series of a run that asked to be ignored; of others Celery says so, and they say nothing."""
    if failure is not None and isinstance(unwrapped(failure.exception), Ignore):
        series = request._message.celery_health_origin.series
        series.ignored()
        series.proved()


def retried(request: Any, failure: Any) -> None:
    """Tell the series of a run that is tried again."""
    error = None if failure is None else unwrapped(failure.exception)
    if not isinstance(error, Retry):
        return lost(request)  # Celery itself sent it again (retry_on_worker_lost)
    attempts, task = attempts_of(request), request._task
    if attempts < 2 or not is_by_autoretry(failure):
        return None
    if error.exc is not None and _is_declared(task, error.exc):
        return None
    series, by = request._message.celery_health_origin.series, clean(class_name(error.exc))
    series.retried_in_vain(by)
    if has_no_limit(task):
        series.retries_without_end(attempts, _seconds_until(error.when), by)
    return None


def is_by_autoretry(failure: Any) -> bool:
    """Say whether Celery's ``autoretry_for`` asked for a retry, and no line of the task.

    It is proven by the traceback: ``Task.retry`` was called by ``celery/app/autoretry.py``. A task that
    overrides ``retry``, or asks for one itself, is not known to want no end.
    """
    caller = ""
    for frame in _frames(failure):
        module = frame.f_globals.get("__name__")
        if (module, frame.f_code.co_name) == _RETRY:
            return caller == _AUTORETRY
        caller = module
    return False


def is_ending() -> bool:
    """Say whether the worker ends without waiting for what runs, and kills its processes."""
    return state.should_terminate not in (None, False)


def has_no_limit(task: Any) -> bool:
    """Say whether autoretry may go on for ever: neither ``retry_kwargs`` nor ``max_retries`` has a number."""
    given = getattr(task, "retry_kwargs", None) or {}
    return given.get("max_retries") is None and task.max_retries is None


def _is_declared(task: Any, error: BaseException) -> bool:
    """Say whether a task declares an exception as one that it may raise, as Celery's tracer does."""
    throws = task.throws
    return bool(throws) and isinstance(error, throws)


def _frames(failure: Any) -> Iterator[Any]:
    traceback = getattr(failure, "tb", None)
    for _ in range(_MOST_FRAMES):
        if traceback is None:
            return
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _seconds_until(when: Any) -> float:
    """Return how long it is until a retry: ``Retry.when`` is seconds or a moment."""
    if isinstance(when, datetime):
        now = datetime.now(UTC) if when.tzinfo is not None else datetime.now()
        when = (when - now).total_seconds()
    seconds = float(when) if isinstance(when, (int, float)) else 0.0
    return min(max(seconds, 0.0), _MOST_SECONDS) if seconds == seconds else 0.0
