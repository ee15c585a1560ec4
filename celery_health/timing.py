"""Where the time of one deadline goes: into waiting for a broker or a store, or by in this process itself.

A time-out says that time ran out, and not whose fault that is. A peer that was asked and said nothing for a
good part of the time is silent. Where the time went by before it was asked, because this process was still
importing, or got no processor, nothing is proven of anybody.

Only a reply shows that a peer runs: its system takes connections and commands also for one that hangs.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

#: A peer that was silent for this part of the time is silent, whatever else the time went into.
PROOF_SHARE: Final = 0.25
#: So much of the time went by here before anybody says that this process was late.
OWN_SHARE: Final = 0.5
#: So much of the time makes one thing the reason why.
REASON_SHARE: Final = 0.25


class Spent(NamedTuple):
    """Seconds of one thread, and of all its process."""

    delayed: float | None
    """Ready to run, and no processor was free; None where the system does not tell."""
    of_process: float
    """All threads together, on a processor: the others may have kept this one from running (the GIL)."""


def spent_by(thread_id: int) -> Spent:
    """Return what a thread of this process has spent; by Linux' ``schedstat``, where there is one."""
    delayed = None
    with contextlib.suppress(OSError, ValueError, IndexError):
        # In three system calls: this is done at each reading.
        file = os.open(f"/proc/self/task/{thread_id}/schedstat", os.O_RDONLY)
        try:
            delayed = int(os.read(file, 100).split()[1]) / 1e9
        finally:
            os.close(file)
    return Spent(delayed, time.process_time())


class Timing:
    """What became of the time since it was made. One thread works; any other may look."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[int], Spent] = spent_by,
    ) -> None:
        self.started_at = clock()
        self._clock = clock
        self._spent = spent
        self._thread_id: int | None = None
        self._before = Spent(None, 0.0)
        self._waited = 0.0
        """Over the waits that have ended."""
        self._waiting: float | None = None
        """Since when (by the clock) somebody is waited for."""
        self._listening: tuple[float, float] | None = None
        """The same of the innermost wait, and how long that may take at most."""
        self._silent = 0.0
        """How long nothing was said in all the waits that were given up since the last reply."""
        self._doing: str | None = None

    def begin(self) -> None:
        """Note that the work is done in the thread that calls: what it spends from now on counts."""
        thread_id = threading.get_native_id()
        self._before = self._spent(thread_id)
        self._thread_id = thread_id

    @contextmanager
    def waiting(self, at_most: float, *, for_reply: bool = False) -> Iterator[None]:
        """Count what happens in the block as waiting for a peer, which may take `at_most` seconds.

        Args:
            at_most: how long the wait was allowed to be.
            for_reply: the block ends well only by the peer's own word, which ends all silence before.
        """
        outer, outer_listening, silent_before = self._waiting, self._listening, self._silent
        began = self._clock()
        if outer is None:
            self._waiting = began
        self._listening = began, at_most
        try:
            yield
        except BaseException:
            # A wait that woke up late because nobody ran it proves no more than it was told to wait.
            # A wait within this one has counted itself already.
            if self._silent <= silent_before:
                self._silent += min(at_most, self._clock() - began)
            raise
        else:
            if for_reply:
                self._silent = 0.0
        finally:
            now = self._clock()
            self._listening = None if outer_listening is None else (now, outer_listening[1])
            if outer is None:
                self._waited += now - began
                self._waiting = None

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Count the block as this process's own work: ``"importing the project's task modules"``."""
        self._doing = what
        yield
        self._doing = None  # not after an error: then it was not done

    def own_delay(self) -> str | None:
        """Return why this process is late, where it is that by itself: what follows "this process ".

        None where the time went into waiting for others.
        """
        now, waiting, listening = self._clock(), self._waiting, self._listening
        elapsed = now - self.started_at
        waited, silent = self._waited, self._silent
        if waiting is not None:
            waited += now - waiting
        if listening is not None:
            silent += min(now - listening[0], listening[1])
        if self._doing is not None:
            return f"is still {self._doing} (for {elapsed:.1f} s)"
        if silent >= PROOF_SHARE * elapsed:
            return None
        delayed, busy = self._spent_since()
        own = elapsed - waited + min(waited, delayed)
        if max(own, busy) < OWN_SHARE * elapsed:
            return None
        of_all = f"of {_seconds(elapsed)} s"
        if delayed > 0 and delayed >= REASON_SHARE * elapsed:
            return f"got too little processor time (it waited {_seconds(delayed)} {of_all} for a processor)"
        if busy >= REASON_SHARE * elapsed:
            return f"was too busy itself ({_seconds(min(busy, elapsed))} {of_all} went into its own work)"
        return f"was late itself ({_seconds(own)} {of_all} went by before it had asked)"

    def _spent_since(self) -> tuple[float, float]:
        """Return how long the thread waited for a processor, and how long this process had one."""
        if self._thread_id is None:
            return 0.0, 0.0
        before, now = self._before, self._spent(self._thread_id)
        delayed = 0.0
        if before.delayed is not None and now.delayed is not None:
            delayed = max(0.0, now.delayed - before.delayed)
        return delayed, now.of_process - before.of_process


def _seconds(seconds: float) -> str:
    """Return a time to be read, never ``0.0`` for one that is more than that."""
    return f"{seconds:.1f}" if seconds >= 0.05 else f"{seconds:.2g}"
