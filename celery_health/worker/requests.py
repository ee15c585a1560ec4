"""The Request that records every execution exactly once.

It is mixed in before whatever Request a task brings, and lives in the worker's main process: the only place
that sees success, failure, retry, hard limits, killed children, revocation and rejection alike, each once.
What is recorded when: ``docs/reference/worker.md``. Relies on ``celery/worker/request.py``: its methods are
pinned by tests on each supported minor version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final

from celery.exceptions import Ignore, Reject, Retry, Terminated, TimeLimitExceeded

from celery_health.counters import IGNORED
from celery_health.headers import PUBLISHED_AT_HEADER
from celery_health.reporting.faults import Faults
from celery_health.reporting.process import CLOCK
from celery_health.reporting.series import TaskSeries
from celery_health.reporting.totals import Totals
from celery_health.reporting.troubles import Troubles
from celery_health.worker import ends, results
from celery_health.worker.given_up import GivenUp
from celery_health.worker.labelled import LabelledSeries
from celery_health.worker.queues import QueueNames
from celery_health.worker.restarts import Restarts

if TYPE_CHECKING:
    from celery.worker.request import Request as _Request

    from celery_health.worker.letters import DeadLetters
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
    faults: Faults
    letters: DeadLetters | None = None
    """What keeps messages that failed for good."""
    troubles: Troubles | None = None
    """What remembers results that could not be stored."""
    restarts: Restarts = field(default_factory=Restarts)
    """What notes runs that had begun before."""
    given_up: GivenUp = field(default_factory=GivenUp)
    """What notes runs that the worker gives up, and that come back to nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a message came from, and where it is counted: one object for all of a task from a queue."""

    queue: str
    """Its true name, even where the series is that of "other"."""
    series: TaskSeries | LabelledSeries


class MonitoredRequest(_Request):
    """Records one outcome per execution and changes nothing else. Nothing of it raises into Celery.

    The message carries its `Origin`, put there when it was received: a constructor of our own would cost
    more than everything else here together.
    """

    health: ClassVar[Recording]
    """Set by `Composer`."""
    _health_base: ClassVar[type]

    # Celery's own, which its stubs leave out.
    _message: Any
    _request_dict: Any
    _delivery_info: Any
    _eta: Any

    # Class attributes as defaults: an instance gets its own only when something happens to it.
    health_accepted_at: float | None = None
    """When its run started, ``time.monotonic`` seconds."""
    health_outcome: Outcome | None = None
    health_requeued = False
    """It was told to go back to its queue."""
    health_is_poison = False
    """It went back too often, and does not again."""
    _health_failing = False
    _health_is_expired = False
    _health_was_stored = False
    _health_was_resent = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # create_request_cls() subclasses each task's Request with an on_success that calls no super().
        own = cls.__dict__.get("on_success")
        if own is not None:
            cls.on_success = _recording(own)  # type: ignore[method-assign]

    # What Celery calls

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Record the start, and how long the message had waited."""
        # Celery's attributes rather than its properties: this runs for every task.
        try:
            self.health_accepted_at = time_accepted
            series = self._message.celery_health_origin.series
            series.started()
        except Exception as error:
            self.health.faults.caught("requests.started", error)
            return super().on_accepted(pid, time_accepted)
        super().on_accepted(pid, time_accepted)
        try:
            published_at = self._request_dict.get(PUBLISHED_AT_HEADER)
            is_redelivered = self._delivery_info["redelivered"]
            # A task with an ETA waits because it was told to; a redelivered one was held, or run before.
            if published_at.__class__ is float and self._eta is None and not is_redelivered:
                series.queue_wait((self.time_start or 0.0) + CLOCK.ahead - published_at)
            restarts = self.health.restarts
            if is_redelivered or (restarts.missing and self.id in restarts.missing):
                restarts.note(self.id)
        except Exception as error:
            self.health.faults.caught("requests.waited", error)

    def on_success(self, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        """Record success; Celery's own subclass of this one overrides it, see `__init_subclass__`."""
        self._health_return(failed__retval__runtime)
        return super().on_success(failed__retval__runtime, **kwargs)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Record any other end, after Celery has said what becomes of the message."""
        self._health_failing = True
        letters = self.health.letters
        try:
            if letters is None:
                return super().on_failure(exc_info, *args, **kwargs)
            with letters.held_back(self, exc_info):
                return super().on_failure(exc_info, *args, **kwargs)
        finally:
            self._health_fail(exc_info)
            if not kwargs.get("return_ok"):
                self._health_store_error(exc_info)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Record a hard limit where `on_failure` is not called for it: under gevent."""
        try:
            super().on_timeout(soft, timeout)
        finally:
            if not soft:
                self._health_end(Outcome.FAILED, "TimeLimitExceeded")

    def reject(self, requeue: bool = False) -> None:
        """Note whether the message goes back; record a rejection that nothing else will record."""
        # What was acknowledged before it ran is gone, whatever the task asks for.
        if requeue and not self.acknowledged:
            self.health_requeued = True
        try:
            super().reject(requeue)
        finally:
            if not self._health_failing and self.health_accepted_at is None:
                self._health_end(Outcome.REJECTED)

    def _announce_revoked(self, *args: Any, **kwargs: Any) -> Any:
        # Before Celery's own, which talks to the result backend: under gevent the killed greenlet would
        # come back in between, looking like a success. Called as (reason, terminated, signum, expired).
        self._health_is_expired = bool(args[3] if len(args) > 3 else kwargs.get("expired"))
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
            try:
                if self.health_outcome is None:
                    self.health.given_up.note(self.id, self.name, self.health_accepted_at)
            except Exception as error:
                self.health.faults.caught("requests.given_up", error)
            self._health_end(Outcome.FAILED, "Terminated")
        else:
            self._health_end(Outcome.REJECTED)

    def _health_return(self, result: Any) -> None:
        """Record what the pool hands to `on_success`: ``(failed, result, runtime)``, or an ExceptionInfo."""
        try:
            if result.__class__ is not tuple:
                # apply_target() of the pools without processes: something that is no Exception was raised,
                # such as SystemExit. It arrives inside a WorkerLostError; prefork names the thing itself.
                error = ends.unwrapped(result.exception)
                self._health_end(Outcome.FAILED, ends.class_name(error.__context__ or error), result)
                return
            failed, _, runtime = result
            if failed:
                return  # on_failure follows
            if runtime is None:
                # Not run to its end: a redelivery of what had succeeded before
                # (worker_deduplicate_successful_tasks), or a greenlet that was killed, already recorded.
                self._health_end(Outcome.IGNORED)
            elif self.health_outcome is None:
                self.health_outcome = Outcome.SUCCEEDED
                series = self._message.celery_health_origin.series
                series.succeeded()
                series.runtime(runtime)
                if self._request_dict.get("retries"):
                    series.retries_ended(ends.attempts_of(self))
            else:
                self.health.given_up.succeeded(self.id)
        except Exception as error:
            self.health.faults.caught("requests.succeeded", error)

    def _health_fail(self, exc_info: Any) -> None:
        try:
            error = ends.unwrapped(exc_info.exception)
            outcome = self._health_classify(error)
            self._health_end(outcome, ends.class_name(error), exc_info)
        except Exception as error:
            self.health.faults.caught("requests.failed", error)

    def _health_store_error(self, exc_info: Any) -> None:
        """Note that not the task failed, but the backend that was to keep its result."""
        try:
            if self.health.troubles is not None and results.is_unstored(exc_info.tb):
                results.note(self.health.troubles, self.name or "", exc_info.exception)
        except Exception as error:
            self.health.faults.caught("requests.result", error)

    def _health_classify(self, error: BaseException) -> Outcome:
        for kinds, outcome in _BY_EXCEPTION:
            if isinstance(error, kinds):
                return outcome
        if self._health_was_stored:
            return Outcome.SUCCEEDED
        if self._health_was_resent:
            return Outcome.RETRIED
        # A lost child whose message goes back ends in no result. A time limit does, requeued or not.
        if self.health_requeued and not isinstance(error, TimeLimitExceeded):
            return Outcome.REJECTED
        return Outcome.FAILED

    def _health_end(self, outcome: Outcome, exception: str = "", failure: Any = None) -> None:
        """Record the outcome, unless this execution has one."""
        if self.health_outcome is not None:
            return
        self.health_outcome = outcome
        try:
            series = self._message.celery_health_origin.series
            if outcome is Outcome.FAILED:
                series.failed(exception)
            elif outcome is Outcome.IGNORED:
                self.health.totals.count(IGNORED, series.name, series.queue)
            else:
                getattr(series, outcome.value)()
            if self.health_accepted_at is not None:
                series.runtime(monotonic() - self.health_accepted_at)
            self._health_tell(outcome, exception, failure)
        except Exception as error:
            self.health.faults.caught("requests.ended", error)
        letters = self.health.letters
        if letters is not None and outcome in _DEADLY:
            letters.ended(self, exception, failure)

    def _health_tell(self, outcome: Outcome, exception: str, failure: Any) -> None:
        """Say what the outcome alone does not."""
        if outcome is Outcome.FAILED:
            ends.failed(self, exception, failure)
        elif outcome is Outcome.REJECTED:
            ends.rejected(self, failure)
        elif outcome is Outcome.RETRIED:
            ends.retried(self, failure)
        elif outcome is Outcome.IGNORED:
            ends.ignored(self, failure)
        elif self._health_is_expired:
            ends.expired(self)


_DEADLY: Final = (Outcome.FAILED, Outcome.REJECTED)
_BY_EXCEPTION: Final[tuple[tuple[type[BaseException], Outcome], ...]] = (
    (Retry, Outcome.RETRIED),
    (Ignore, Outcome.IGNORED),
    (Reject, Outcome.REJECTED),
    (Terminated, Outcome.REVOKED),
)


def _recording(on_success: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(on_success)
    def recording(self: MonitoredRequest, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        self._health_return(failed__retval__runtime)
        return on_success(self, failed__retval__runtime, **kwargs)

    return recording
