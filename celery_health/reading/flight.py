"""One reading at a time, shared by every thread that asks, and never waited for past a deadline.

The work runs in a thread of its own, which the caller can leave behind: socket timeouts do not cover
everything that blocks (a name look-up, a broken library), and an answer is due all the same.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from celery_health.deadline import Deadline
from celery_health.exceptions import DeadlineExceeded

T = TypeVar("T")

#: How many threads may hang in a broken call before no more are started, per flight.
MAX_ABANDONED = 3


class _Attempt(Generic[T]):
    """One run of the function, and whoever waits for it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.started_at = time.monotonic()
        self.landed: tuple[float, T]
        self.error: BaseException | None = None


class SharedFlight(Generic[T]):
    """Runs one function for many callers: at most once per `max_age_seconds`, at most once at a time.

    `function` is handed the deadline of the caller that started it. An error is handed to everyone who
    waited for that run, and is not kept.
    """

    def __init__(self, function: Callable[[Deadline], T], *, name: str, max_age_seconds: float = 1.0) -> None:
        self._function = function
        self._name = name
        self._max_age_seconds = max_age_seconds
        self._reset()
        _flights.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._landed: tuple[float, T] | None = None
        self._attempt: _Attempt[T] | None = None
        self._abandoned: list[_Attempt[T]] = []

    def get(self, deadline: Deadline, *, run_deadline: Deadline | None = None) -> tuple[T, float]:
        """Return the value and its age in seconds.

        The run may go on until `run_deadline`, for a later call, where that is longer than the wait.

        Raises:
            DeadlineExceeded: no value came within `deadline`.
            Exception: whatever the function raised.
        """
        with self._lock:
            landed = self._landed
            if landed is not None and time.monotonic() - landed[0] < self._max_age_seconds:
                return landed[1], time.monotonic() - landed[0]
            attempt = self._join(run_deadline or deadline)
        if attempt is None or not attempt.done.wait(deadline.remaining()):
            raise DeadlineExceeded(f"No answer within {deadline.budget_seconds:.3g} s.")
        if attempt.error is not None:
            raise attempt.error
        read_at, value = attempt.landed
        return value, time.monotonic() - read_at

    def refresh(self, deadline: Deadline) -> tuple[T, float] | None:
        """Return the last value and its age whatever that is, and have a newer one fetched if it is due.

        Waits for nothing; None when no value ever came.
        """
        with self._lock:
            landed = self._landed
            if landed is None or time.monotonic() - landed[0] >= self._max_age_seconds:
                self._join(deadline)
        return None if landed is None else (landed[1], time.monotonic() - landed[0])

    def _join(self, deadline: Deadline) -> _Attempt[T] | None:
        """Return the run to wait for, started if need be; None when too many already hang."""
        running = self._attempt
        if running is not None and not running.done.is_set():
            if time.monotonic() - running.started_at < deadline.budget_seconds:
                return running
            self._abandoned.append(running)
        self._abandoned = [attempt for attempt in self._abandoned if not attempt.done.is_set()]
        if len(self._abandoned) >= MAX_ABANDONED:
            return None
        attempt = self._attempt = _Attempt[T]()
        threading.Thread(target=self._run, args=(attempt, deadline), name=self._name, daemon=True).start()
        return attempt

    def _run(self, attempt: _Attempt[T], deadline: Deadline) -> None:
        try:
            value = self._function(deadline)
        except BaseException as error:
            attempt.error = error
        else:
            attempt.landed = (time.monotonic(), value)
            # A run that was given up on may come back late: it must not replace a newer value.
            if self._attempt is attempt:
                self._landed = attempt.landed
        finally:
            attempt.done.set()

    @property
    def is_under_way(self) -> bool:
        """Say whether the function is running."""
        return self._attempt is not None and not self._attempt.done.is_set()

    def forget(self) -> None:
        """Drop the kept value, so that the next call reads anew."""
        with self._lock:
            self._landed = None


_flights: weakref.WeakSet[SharedFlight[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    # A lock held by another thread at the fork stays locked for ever in the child.
    for flight in list(_flights):
        flight._reset()


os.register_at_fork(after_in_child=_after_fork)
