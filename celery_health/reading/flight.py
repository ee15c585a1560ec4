"""One reading at a time, shared by every thread that asks, and never waited for past a deadline.

The work runs in a thread of its own, which the caller can leave behind: socket timeouts do not cover
everything that blocks (a name look-up, a broken library), and an answer is due all the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError, DeadlineExceeded, LateDeadlineError, ThreadError
from celery_health.text.masking import describe_error

T = TypeVar("T")

#: How many threads may hang in a broken call before no more are started, per flight.
MAX_ABANDONED = 3


class RunAbandonedError(DeadlineExceeded):
    """The run came back after its deadline, when another had taken its place."""


class Run:
    """One run of a function: its own deadline, and whether what it brings is still wanted."""

    def __init__(self, deadline: Deadline, memory_lock: threading.Lock | None = None) -> None:
        self.deadline = deadline
        self._memory_lock = memory_lock or threading.Lock()
        self._abandoned = False

    @property
    def is_current(self) -> bool:
        """Say whether no other run has taken the place of this one."""
        return not self._abandoned

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Have what is remembered from run to run to oneself; not to be held over a wait.

        Raises:
            RunAbandonedError: another run has taken the place of this one, which may change nothing more.
        """
        with self._memory_lock:
            if self._abandoned:
                raise RunAbandonedError("This run was given up at its deadline.")
            yield

    def abandon(self) -> None:
        """Let it change nothing more; the next run takes its place."""
        self._abandoned = True


class _Flying(Run, Generic[T]):
    """A run in its thread, and whoever waits for it."""

    def __init__(self, deadline: Deadline, memory_lock: threading.Lock) -> None:
        super().__init__(deadline, memory_lock)
        self.done = threading.Event()
        self.landed: tuple[float, T]
        self.error: Exception | None = None
        self.late: str | None = None
        """Why it had not ended when it was given up, where that is this process's own doing."""


class SharedFlight(Generic[T]):
    """Runs one function for many callers: at most once per `max_age_seconds`, at most once at a time.

    A run has `run_seconds`, or what the caller that starts it has if that is more, however little the others
    can wait. It is given up when somebody needs a value and its own deadline is past: the next run starts
    beside it, and `Run.updating` keeps it from changing what they share. An error is handed to everyone who
    waited for that run, and is not kept.
    """

    def __init__(
        self, function: Callable[[Run], T], *, name: str, run_seconds: float, max_age_seconds: float = 1.0
    ) -> None:
        self._function = function
        self._name = name
        self._run_seconds = run_seconds
        self._max_age_seconds = max_age_seconds
        self._reset()
        _flights.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._memory_lock = threading.Lock()
        self._landed: tuple[float, T] | None = None
        self._run: _Flying[T] | None = None
        self._abandoned: list[_Flying[T]] = []

    def get(self, deadline: Deadline) -> tuple[T, float]:
        """Return the value and its age in seconds.

        Raises:
            DeadlineExceeded: no value came within `deadline`; a run goes on, for a later call.
            LateDeadlineError: the same, and who was asked may be well: another's run is under way, or this
                process used the time up itself.
            ThreadError: this process could not start a thread to run in.
            CeleryHealthError: the function raised what is no `Exception`.
            Exception: whatever else it raised.
        """
        while True:
            with self._lock:
                landed = self._landed
                if landed is not None and time.monotonic() - landed[0] < self._max_age_seconds:
                    return landed[1], time.monotonic() - landed[0]
                before, run = self._run, self._join(deadline)
                hung = self._abandoned[-1].late if run is None else None
            # Not past the end of the run: from then on another may be started in its place.
            if run is not None and run.done.wait(min(deadline.remaining(), run.deadline.remaining())):
                if run.is_current:
                    return self._value(run)
            elif run is None or deadline.expired:
                if run is None:
                    raise _no_answer(deadline, hung)
                raise _overdue(run, deadline, is_joined=run is before)

    def _value(self, run: _Flying[T]) -> tuple[T, float]:
        if run.error is not None:
            raise run.error
        read_at, value = run.landed
        return value, time.monotonic() - read_at

    def refresh(self) -> tuple[T, float] | None:
        """Return the last value and its age whatever that is, and have a newer one fetched if it is due.

        Waits for nothing; None when no value ever came.
        """
        with self._lock:
            landed = self._landed
            if landed is None or time.monotonic() - landed[0] >= self._max_age_seconds:
                with contextlib.suppress(ThreadError):  # the next call tries again
                    self._join(Deadline.after(0.0))
        return None if landed is None else (landed[1], time.monotonic() - landed[0])

    def _join(self, deadline: Deadline) -> _Flying[T] | None:
        """Return the run to wait for, started if need be; None when too many already hang."""
        running = self._run
        if running is not None and not running.done.is_set():
            if not running.deadline.expired:
                return running
            running.late = running.deadline.own_delay()
            running.abandon()
            self._abandoned.append(running)
        self._run = None
        self._abandoned = [run for run in self._abandoned if not run.done.is_set()]
        if len(self._abandoned) >= MAX_ABANDONED:
            return None
        seconds = max(self._run_seconds, deadline.remaining())
        run = _Flying[T](Deadline.after(seconds), self._memory_lock)
        thread = threading.Thread(target=self._fly, args=(run,), name=self._name, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            raise ThreadError(
                f"This process cannot start a thread to read in ({error}). Raise its limit of threads "
                "(ulimit -u, pids.max, TasksMax=), or look for what uses them up."
            ) from error
        self._run = run
        return run

    def _fly(self, run: _Flying[T]) -> None:
        run.deadline.timing.begin()
        try:
            value = self._function(run)
        except Exception as error:
            run.error = error
        except BaseException as error:
            # Whoever waits may be a request: what ends this thread must not end that one.
            run.error = CeleryHealthError(f"The thread {self._name} was ended ({describe_error(error)}).")
            run.error.__cause__ = error
        else:
            run.landed = (time.monotonic(), value)
            with self._lock:
                if run.is_current:
                    self._landed = run.landed
        finally:
            run.done.set()

    def forget(self) -> None:
        """Drop the kept value, so that the next call reads anew."""
        with self._lock:
            self._landed = None


def _overdue(run: Run, deadline: Deadline, *, is_joined: bool) -> DeadlineExceeded:
    """Return what to raise when `deadline` is past and `run` goes on; `is_joined`: another started it."""
    late = run.deadline.own_delay()
    if late is None and is_joined and not run.deadline.expired:
        seconds = time.monotonic() - run.deadline.timing.started_at
        return LateDeadlineError(
            f"No answer within {deadline.budget_seconds:.3g} s: a reading is still under way "
            f"(for {seconds:.1f} s). Ask again."
        )
    return _no_answer(deadline, late)


def _no_answer(deadline: Deadline, late: str | None) -> DeadlineExceeded:
    none = f"No answer within {deadline.budget_seconds:.3g} s"
    return LateDeadlineError(f"{none}: this process {late}.") if late else DeadlineExceeded(f"{none}.")


_flights: weakref.WeakSet[SharedFlight[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    # A lock held by another thread at the fork stays locked for ever in the child.
    for flight in list(_flights):
        flight._reset()


os.register_at_fork(after_in_child=_after_fork)
