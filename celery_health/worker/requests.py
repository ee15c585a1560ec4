"""The Request that records every execution exactly once.

It is mixed in before whatever Request a task brings, and lives in the worker's main process: the only place
that sees success, failure, retry, hard limits, killed children, revocation and rejection alike, each once.
What is recorded when: ``docs/reference/worker.md``. Relies on ``celery/worker/request.py``: its methods are
pinned by tests on each supported minor version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.exceptions import Ignore, Reject, Retry, Terminated, WorkerLostError
from celery.utils.serialization import UnpickleableExceptionWrapper
from kombu.utils.imports import symbol_by_name

from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.metrics.families import IGNORED
from celery_health.worker.clocks import Clocks
from celery_health.worker.faults import Faults
from celery_health.worker.queues import QueueNames
from celery_health.worker.series import TaskSeries
from celery_health.worker.totals import Totals

if TYPE_CHECKING:
    from celery.worker.request import Request as _Request
else:
    _Request = object


class Outcome(Enum):
    """How an execution ended; the names are those of the counters."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    REJECTED = "rejected"
    REVOKED = "revoked"
    IGNORED = "ignored"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What the requests of one worker record into."""

    totals: Totals
    queues: QueueNames
    clocks: Clocks
    faults: Faults


class MonitoredRequest(_Request):
    """Records one outcome per execution and changes nothing else. Nothing of it raises into Celery."""

    health: ClassVar[Recording]
    """Set by `compose`."""

    _health_base: ClassVar[type]

    # Class attributes as defaults: an instance gets its own only when something happens to it.
    _health_series: TaskSeries | None = None
    _health_queue: str | None = None
    _health_accepted_at: float | None = None
    _health_outcome: Outcome | None = None
    _health_failing = False
    _health_requeued = False
    _health_was_stored = False
    _health_was_resent = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # create_request_cls() subclasses each task's Request with an on_success that calls no super().
        own = cls.__dict__.get("on_success")
        if own is not None:
            cls.on_success = _recording(own)  # type: ignore[method-assign]

    def __init__(self, message: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(message, *args, **kwargs)
        health = self.health
        try:
            self._health_queue = queue = health.queues.of(message)
            self._health_series = series = health.totals.series(self.type, queue)
            series.received()
        except Exception as error:
            health.faults.caught("requests.received", error)

    # What Celery calls

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Record the start, and how long the message had waited."""
        try:
            self._health_begin(time_accepted)
        except Exception as error:
            self.health.faults.caught("requests.started", error)
        super().on_accepted(pid, time_accepted)

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """Record success; Celery's own subclass of this one overrides it, see `__init_subclass__`."""
        self._health_return(failed__retval__runtime)
        return super().on_success(failed__retval__runtime, **kwargs)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Record any other end, after Celery has said what becomes of the message."""
        self._health_failing = True
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            self._health_fail(exc_info)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Record a hard limit where `on_failure` is not called for it: under gevent."""
        try:
            super().on_timeout(soft, timeout)
        finally:
            if not soft:
                self._health_end(Outcome.FAILED, "TimeLimitExceeded")

    def reject(self, requeue: bool = False) -> None:
        """Note whether the message goes back; record a rejection that nothing else will record."""
        if requeue:
            self._health_requeued = True
        try:
            super().reject(requeue)
        finally:
            if not self._health_failing and self._health_accepted_at is None:
                self._health_end(Outcome.REJECTED)

    def _announce_revoked(self, *args: Any, **kwargs: Any) -> Any:
        # Before Celery's own, which talks to the result backend: under gevent the killed greenlet would
        # come back in between, looking like a success.
        self._health_end(Outcome.REVOKED)
        return super()._announce_revoked(*args, **kwargs)  # type: ignore[misc]

    def _announce_cancelled(self, *args: Any, **kwargs: Any) -> Any:
        # Cancelled by Celery itself: at a lost connection or a cold shutdown.
        self.health_abandon()
        return super()._announce_cancelled(*args, **kwargs)  # type: ignore[misc]

    def _success_was_stored(self) -> Any:
        stored = super()._success_was_stored()  # type: ignore[misc]
        self._health_was_stored = bool(stored)
        return stored

    def _retry_worker_lost(self, *args: Any, **kwargs: Any) -> Any:
        resent = super()._retry_worker_lost(*args, **kwargs)  # type: ignore[misc]
        self._health_was_resent = bool(resent)
        return resent

    # What we record

    def health_abandon(self) -> None:
        """Record that the worker gives this run up. What is not acknowledged is delivered again.

        The rest is lost, though Celery marks it as a retry.
        """
        if self.acknowledged:
            self._health_end(Outcome.FAILED, "Terminated")
        else:
            self._health_end(Outcome.REJECTED)

    def _health_begin(self, accepted_at: float) -> None:
        self._health_accepted_at = self.health.clocks.progressed_at = accepted_at
        series = self._health_series
        if series is None:
            return
        series.started()
        published_at = self.request_dict.get(PUBLISHED_AT_HEADER)
        # A task with an ETA waits because it was told to, a redelivered one has already run or been held.
        if (
            published_at.__class__ in _NUMBERS
            and self.eta is None
            and not self.delivery_info.get("redelivered")
        ):
            series.queue_wait(time() - (monotonic() - accepted_at) - published_at)

    def _health_return(self, result: Any) -> None:
        """Record what the pool hands to `on_success`: ``(failed, result, runtime)``, or an ExceptionInfo."""
        try:
            if result.__class__ is not tuple:
                # apply_target() of the threads and solo pools: something that is no Exception was raised.
                self._health_end(Outcome.FAILED, _class_name(result.exception))
                return
            failed, _, runtime = result
            if failed:
                return  # on_failure follows
            if runtime is None:
                # Not run to its end: a redelivery of what had succeeded before
                # (worker_deduplicate_successful_tasks), or a greenlet that was killed, already recorded.
                self._health_end(Outcome.IGNORED)
            elif self._health_outcome is None:
                self._health_outcome = Outcome.SUCCEEDED
                self.health.clocks.progressed_at = monotonic()
                series = self._health_series
                if series is not None:
                    series.succeeded()
                    series.runtime(runtime)
        except Exception as error:
            self.health.faults.caught("requests.succeeded", error)

    def _health_fail(self, exc_info: Any) -> None:
        try:
            error = _unwrap(exc_info.exception)
            outcome = self._health_classify(error)
            self._health_end(outcome, _class_name(error))
        except Exception as error:
            self.health.faults.caught("requests.failed", error)

    def _health_classify(self, error: BaseException) -> Outcome:
        for kinds, outcome in _BY_EXCEPTION:
            if isinstance(error, kinds):
                return outcome
        if self._health_was_stored:
            return Outcome.SUCCEEDED
        if self._health_was_resent:
            return Outcome.RETRIED
        # A lost child whose message goes back ends in no result. A time limit does, requeued or not.
        if self._health_requeued and isinstance(error, WorkerLostError):
            return Outcome.REJECTED
        return Outcome.FAILED

    def _health_end(self, outcome: Outcome, exception: str = "") -> None:
        """Record the outcome, unless this execution has one."""
        if self._health_outcome is not None:
            return
        self._health_outcome = outcome
        try:
            series = self._health_series
            if series is None:
                return
            if outcome is Outcome.FAILED:
                series.failed(exception)
            elif outcome is Outcome.IGNORED:
                self.health.totals.count(IGNORED, series.name, series.queue)
            else:
                getattr(series, outcome.value)()
            if self._health_accepted_at is not None:
                now = self.health.clocks.progressed_at = monotonic()
                series.runtime(now - self._health_accepted_at)
        except Exception as error:
            self.health.faults.caught("requests.ended", error)


_NUMBERS: Final = (float, int)
_BY_EXCEPTION: Final[tuple[tuple[type[BaseException], Outcome], ...]] = (
    (Retry, Outcome.RETRIED),
    (Ignore, Outcome.IGNORED),
    (Reject, Outcome.REJECTED),
    (Terminated, Outcome.REVOKED),
)


def _unwrap(error: Any) -> Any:
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _class_name(error: Any) -> str:
    error = _unwrap(error)
    if isinstance(error, UnpickleableExceptionWrapper):  # the original could not leave the child
        return str(error.exc_cls_name)
    return type(error).__name__


def _recording(on_success: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(on_success)
    def recording(self: MonitoredRequest, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        self._health_return(failed__retval__runtime)
        return on_success(self, failed__retval__runtime, **kwargs)

    return recording


class Composer:
    """Sets the Request of tasks to one that records, composed with the one they bring."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._composed: dict[type, type] = {}

    def apply(self, tasks: Iterable[Any]) -> list[Any]:
        """Compose the Request of each of `tasks` that does not record yet, and return those. Never raises.

        A task whose Request cannot be composed keeps it, runs as ever, and goes uncounted.
        """
        changed = []
        for task in tasks:
            try:
                composed = self.compose(symbol_by_name(task.Request))
                if task.Request is not composed:
                    task.Request = composed
                    changed.append(task)
            except Exception as error:
                self._recording.faults.caught("requests.compose", error)
        return changed

    def compose(self, request: type) -> type:
        """Return the class that records for this worker and is a `request` otherwise; one per class."""
        # In a process that runs one worker after another, the tasks still name the last one's classes.
        base = getattr(request, "_health_base", request)
        composed = self._composed.get(base)
        if composed is None:
            names = {"health": self._recording, "_health_base": base, "__module__": base.__module__}
            composed = type(base.__name__, (MonitoredRequest, base), names)
            self._composed[base] = composed
        return composed
