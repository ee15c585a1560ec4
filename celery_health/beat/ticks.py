"""What a scheduler does, noted in beat's own thread by functions wrapped around the instance's methods.

The instance's, so that it works for every class of scheduler (``Service.start`` in celery/beat.py calls
``self.scheduler.tick()``). A note is a few attributes: other threads read them one at a time, without locks.
Nothing here raises, waits or does I/O; what the scheduler raises and returns passes through unchanged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Final

from celery_health.reporting.faults import Faults
from celery_health.text.masking import describe_error

#: Entries whose sending is remembered; a schedule of one-off entries names new ones for ever.
MAX_ENTRIES: Final = 5000
#: Error texts end here.
MAX_ERROR: Final = 300


@dataclass(kw_only=True, slots=True)
class Sending:
    """What has become of one entry in this process. Stamps are ``time.monotonic`` seconds."""

    task: str
    sent_at: float | None = None
    """When the broker last took a message of it; None when it never did."""
    sent_wall: float | None = None
    """The same in unix seconds: to show."""
    settled_at: float | None = None
    """When it was last done with, sent or left out on purpose."""
    failing_since: float | None = None
    """Start of the first of the attempts that failed since it was last done with."""
    error: str | None = None
    """The last failure, masked; None once it was done with."""
    uncomputable: bool = False
    """It failed by a schedule that cannot say when it is due."""


@dataclass(kw_only=True, slots=True)
class _Attempt:
    """One entry being sent now."""

    name: str
    task: str
    thread: int
    began: float
    published: int = 0
    error: BaseException | None = None


class Ticks:
    """The notes on one scheduler."""

    def __init__(self, scheduler: Any, faults: Faults, *, on_close: Callable[[], None]) -> None:
        self.scheduler = scheduler
        self.began: float | None = None
        """When the tick that runs now began; None between two."""
        self.ended: float | None = None
        """When the last tick ended; None before the first did."""
        self.due: float | None = None
        """When the next tick has to begin, as the last one said."""
        self.last_sent_at: float | None = None
        """When any entry was last sent."""
        self.sending_since: float | None = None
        """Since when beat is busy with the broker; None while it is not."""
        self.current: str | None = None
        """The entry being sent now."""
        self.entries: dict[str, Sending] = {}
        """By name, the least recently handled first."""
        self.postponed: dict[str, float] = {}
        """Entries that were looked at and not due → when they will be looked at again."""
        self._attempt: _Attempt | None = None
        self._faults = faults
        self._on_close = on_close

    def attach(self) -> None:
        """Wrap the methods of the scheduler that say what it does; one that it lacks is left alone."""
        for name, wrapper in (
            ("tick", self._tick),
            ("is_due", self._is_due),
            ("apply_entry", self._sending),
            # RedBeat sends by this one, and Celery's own apply_entry swallows its errors.
            ("apply_async", self._sending),
            ("_ensure_connected", self._connecting),
            ("close", self._close),
        ):
            original = getattr(self.scheduler, name, None)
            if callable(original):
                setattr(self.scheduler, name, partial(wrapper, original))

    def published(self, **kwargs: Any) -> None:
        """Note a message that the broker took: a receiver of ``after_task_publish``."""
        attempt = self._attempt
        if attempt is not None and attempt.thread == get_ident():
            attempt.published += 1

    # Around the scheduler's methods

    def _tick(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.began = monotonic()
        try:
            wait = original(*args, **kwargs)
        finally:
            now = self.ended = monotonic()
            self.due, self.began = now, None
        if isinstance(wait, int | float) and wait > 0:
            self.due = now + wait
        return wait

    def _is_due(self, original: Callable[..., Any], entry: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            state = original(entry, *args, **kwargs)
        except Exception as error:
            self._guarded("beat.is_due", self._not_computed, entry, error)
            raise
        self._guarded("beat.is_due", self._looked_at, entry, state)
        return state

    def _sending(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        attempt = self._guarded("beat.send", self._begin, args[0] if args else kwargs.get("entry"))
        try:
            return original(*args, **kwargs)
        except BaseException as error:
            if self._attempt is not None:
                self._attempt.error = error
            raise
        finally:
            # apply_entry calls apply_async: the outer one concludes.
            if attempt is not None:
                self._guarded("beat.send", self._conclude, attempt)

    def _connecting(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outer = self.sending_since
        self.sending_since = outer or monotonic()
        try:
            return original(*args, **kwargs)
        finally:
            self.sending_since = outer

    def _close(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            # The schedule that it writes matters more than what we have to say.
            return original(*args, **kwargs)
        finally:
            self._guarded("beat.close", self._on_close)

    # The notes

    def _begin(self, entry: Any) -> _Attempt | None:
        if self._attempt is not None or entry is None:
            return None
        now = monotonic()
        attempt = _Attempt(name=str(entry.name), task=str(entry.task), thread=get_ident(), began=now)
        self._attempt, self.current, self.sending_since = attempt, attempt.name, now
        return attempt

    def _conclude(self, attempt: _Attempt) -> None:
        self._attempt, self.current, self.sending_since = None, None, None
        error = attempt.error
        if error is not None and not isinstance(error, Exception):
            return  # beat was told to end in the middle of it
        now = monotonic()
        sending = self._sending_of(attempt.name, attempt.task)
        if attempt.published:
            sending.sent_at = self.last_sent_at = now
            sending.sent_wall = time.time()
        if attempt.published or error is None:
            # Nothing published and nothing raised: a task that declines, or runs in place, is no failure.
            sending.settled_at, sending.failing_since = now, None
        elif sending.failing_since is None:
            sending.failing_since = attempt.began
        sending.error = None if error is None else _describe(error)

    def _looked_at(self, entry: Any, state: Any) -> None:
        is_due, wait = state
        name = str(entry.name)
        sending = self.entries.get(name)
        if sending is not None and sending.uncomputable:
            sending.uncomputable, sending.failing_since, sending.error = False, None, None
        if is_due or not isinstance(wait, int | float):
            self.postponed.pop(name, None)
        else:
            if len(self.postponed) >= MAX_ENTRIES:
                self.postponed.clear()
            self.postponed[name] = monotonic() + wait

    def _not_computed(self, entry: Any, error: Exception) -> None:
        sending = self._sending_of(str(entry.name), str(entry.task))
        sending.uncomputable = True
        sending.error = f"Its next run cannot be computed: {_describe(error)}"[:MAX_ERROR]
        if sending.failing_since is None:
            sending.failing_since = monotonic()

    def _sending_of(self, name: str, task: str) -> Sending:
        sending = self.entries.pop(name, None)
        if sending is None:
            sending = Sending(task=task)
            if len(self.entries) >= MAX_ENTRIES:
                self.entries.pop(next(iter(self.entries)))
        sending.task = task
        self.entries[name] = sending
        return sending

    def _guarded(self, where: str, note: Callable[..., Any], *args: Any) -> Any:
        try:
            return note(*args)
        except Exception as error:
            self._faults.caught(where, error)
            return None


def is_ending_by_error() -> bool:
    """Say whether an error is what ends beat: ``Service.start`` closes the scheduler in its ``finally``."""
    return isinstance(sys.exc_info()[1], Exception)


def _describe(error: BaseException) -> str:
    # Celery wraps what went wrong in a SchedulingError.
    cause = error.__cause__ or error.__context__
    named = type(error).__name__ == "SchedulingError" and cause is not None
    return describe_error(cause if named and cause is not None else error)[:MAX_ERROR]
