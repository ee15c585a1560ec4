"""How long something ought to have happened and has not, measured where it ought to happen."""

from __future__ import annotations

from typing import Final

from celery_health.reporting.native import allocate_lock

#: What a pause between two looks counts for at most. Who looks, looks every second: a longer pause means that
#: the whole process was stopped or starved, and what it watches with it.
MAX_STEP_SECONDS: Final = 5.0


class Overdue:
    """Adds up, look by look, the seconds in which something was due and did not happen."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._seconds: float | None = None
        """None while it is not due."""
        self._looked_at = 0.0
        self._happened_at: float | None = None

    def restart(self) -> None:
        """Begin anew at the next look, however long it has been due."""
        self._seconds = None

    def look(self, now: float, *, due: bool, happened_at: float | None) -> float:
        """Return the seconds that it has been due without happening; 0 while it is not.

        Args:
            now: monotonic seconds.
            due: it should happen now.
            happened_at: when it last did.
        """
        self._lock.acquire()
        try:
            pause, self._looked_at = now - self._looked_at, now
            happened, self._happened_at = happened_at != self._happened_at, happened_at
            if not due:
                self._seconds = None
            elif self._seconds is None:
                self._seconds = 0.0
            elif happened and happened_at is not None:
                self._seconds = _step(now - happened_at)
            else:
                self._seconds += _step(pause)
            return self._seconds or 0.0
        finally:
            self._lock.release()


def _step(seconds: float) -> float:
    return min(MAX_STEP_SECONDS, max(0.0, seconds))
