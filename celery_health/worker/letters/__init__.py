"""What decides in a worker's main process which messages become dead letters.

Kept is what is gone: a message that was acknowledged or rejected, and whose task will not run again by
itself. What goes back to its queue, is retried, revoked or ignored is none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.exceptions import Reject, TimeLimitExceeded, WorkerLostError
from celery.utils.serialization import UnpickleableExceptionWrapper

from celery_health.conf import Settings
from celery_health.dead_letters.capture import Failure, capture
from celery_health.dead_letters.opening import open_box
from celery_health.dead_letters.records import Cause
from celery_health.monitoring import options_of
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.worker.letters.redeliveries import Redeliveries
from celery_health.worker.letters.writer import LetterWriter

if TYPE_CHECKING:
    from celery import Celery

#: Whether a task's messages are kept: always, never, or when they fail with one of these.
_Policy = bool | tuple[type[BaseException], ...]

#: How an exit of the child shows, depending on Celery's version.
_LOST: Final = (WorkerLostError, SystemExit, KeyboardInterrupt)
_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class DeadLetters:
    """Decides what becomes a dead letter in one worker. Called in its main process; never raises."""

    def __init__(
        self, app: Celery, *, settings: Settings, hostname: str, totals: Totals, faults: Faults
    ) -> None:
        self._settings = settings.dead_letters
        self._hostname = hostname
        self._default_queue = str(app.conf.task_default_queue)
        self._faults = faults
        self._policies: dict[str, _Policy] = {}
        self._redeliveries = Redeliveries(settings.dead_letters.max_redeliveries)
        self.writer = LetterWriter(open_box=lambda: open_box(app, settings), totals=totals, faults=faults)

    def ended(self, request: Any, exception: str, failure: Any) -> None:
        """Keep the message of a request that failed for good.

        `exception` is the class name that is counted, `failure` an ExceptionInfo, or None when there is none.
        """
        try:
            if not request.acknowledged or request.health_requeued:
                return  # goes back to its queue, or stays there
            policy = self._policy(request.task)
            if policy is False:
                return
            error = _unwrap(getattr(failure, "exception", None))
            if not _chosen(policy, error, exception):
                return
            self._keep(
                request.message,
                Failure(
                    cause=Cause.POISON if request.health_is_poison else _cause(error, exception),
                    exception=exception or _name(error),
                    message=_message(error),
                    traceback=_traceback(failure),
                    ran=request.health_accepted_at is not None,
                ),
                queue=request.message.celery_health_origin.queue,
            )
        except Exception as problem:
            self._faults.caught("letters.ended", problem)

    def refused(self, message: Any, cause: Cause, queue: str, error: object, task: Any = None) -> None:
        """Keep a message that never became a request; `task` is the one it names, if there is one."""
        try:
            # A rejection that could not be sent leaves it in the queue.
            if not message.acknowledged:
                return
            policy = self._settings.enabled if task is None else self._policy(task)
            exception = _name(error) if isinstance(error, BaseException) else ""
            if policy is False or not _chosen(policy, error, exception):
                return
            text = _message(error) if isinstance(error, BaseException) else ""
            failure = Failure(cause=cause, exception=exception, message=text, ran=False)
            self._keep(message, failure, queue=queue)
        except Exception as problem:
            self._faults.caught("letters.refused", problem)

    def held_back(self, request: Any, failure: Any) -> AbstractContextManager[None]:
        """Return in what to have Celery deal with a failure: a poison message does not go back in it."""
        try:
            task = request.task
            if not (task.acks_late and task.reject_on_worker_lost):
                return _NOTHING
            error = _unwrap(failure.exception)
            if not isinstance(error, _LOST) or not _chosen(self._policy(task), error, _name(error)):
                return _NOTHING
            if not self._redeliveries.is_one_too_many(request):
                return _NOTHING
            request.health_is_poison = True
            return _without_requeue(task)
        except Exception as problem:
            self._faults.caught("letters.poison", problem)
            return _NOTHING

    def _keep(self, message: Any, failure: Failure, *, queue: str) -> None:
        # A queue that is not known must not lose the letter: it goes to the default queue's.
        self.writer.put(capture(message, failure, queue=queue or self._default_queue, worker=self._hostname))

    def _policy(self, task: Any) -> _Policy:
        policy = self._policies.get(task.name)
        if policy is None:
            options = options_of(task)
            said = None if options is None else options.dead_letter
            policy = self._policies[task.name] = self._settings.enabled if said is None else said
        return policy


@contextmanager
def _without_requeue(task: Any) -> Iterator[None]:
    """Have Celery take a lost child for a failure, with its result, its signal and its event.

    Its main process deals with one failure at a time, and only pools with processes lose children.
    """
    own = vars(task).get("reject_on_worker_lost")
    task.reject_on_worker_lost = False
    try:
        yield
    finally:
        if own is None:
            del task.reject_on_worker_lost
        else:
            task.reject_on_worker_lost = own


def _chosen(policy: _Policy, error: object, exception: str) -> bool:
    if isinstance(policy, bool):
        return policy
    # What could not leave the child as it was is known by its name alone.
    return isinstance(error, policy) or exception in {kind.__name__ for kind in policy}


def _cause(error: object, exception: str) -> Cause:
    if exception == "TimeLimitExceeded" or isinstance(error, TimeLimitExceeded):
        return Cause.TIME_LIMIT
    if isinstance(error, Reject):
        return Cause.REJECTED
    if isinstance(error, _LOST):
        return Cause.WORKER_LOST
    if exception == "Terminated":
        return Cause.ABANDONED
    # Celery rejects without a failure only what it cannot make sense of: an ETA out of range.
    return Cause.EXCEPTION if exception else Cause.INVALID


def _unwrap(error: Any) -> Any:
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _name(error: Any) -> str:
    if isinstance(error, UnpickleableExceptionWrapper):
        return str(error.exc_cls_name)
    return "" if error is None else type(error).__name__


def _message(error: Any) -> str:
    try:
        if error is None:
            return ""
        if isinstance(error, UnpickleableExceptionWrapper):
            return ", ".join(map(str, error.exc_args or ()))
        return str(getattr(error, "reason", "")) if isinstance(error, Reject) else str(error)
    except Exception as problem:  # the project's own __str__
        return f"<its text cannot be made: {type(problem).__name__}>"


def _traceback(failure: Any) -> str | None:
    text = getattr(failure, "traceback", None)
    return text if isinstance(text, str) and text else None
