"""The native thread that writes dead letters, with confirmation, again and again while the broker is away.

A task never waits for it: what failed is put on a bounded heap, and what has no room there is counted.
"""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from celery_health.counters import DEAD_LETTERED, DEAD_LETTERS_DROPPED
from celery_health.dead_letters.boxes import Batch, Box, UnwritableError
from celery_health.dead_letters.capture import Captured
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, UnsupportedError
from celery_health.reporting import forks
from celery_health.reporting.faults import Faults
from celery_health.reporting.native import Bell, allocate_lock, start_daemon
from celery_health.reporting.totals import Totals
from celery_health.worker.letters.heap import Heap

logger = logging.getLogger("celery_health")

WRITE_SECONDS: Final = 5.0
MAX_BACKOFF_SECONDS: Final = 5.0
#: What the end of a process may cost while letters wait; nothing when none do.
MAX_FINISH_SECONDS: Final = 3.0
#: In a storm, letters are written together: each turn takes the interpreter from the worker's own loop.
TURN_SECONDS: Final = 0.1
#: A connection that nothing was written on for so long is closed.
IDLE_SECONDS: Final = 30.0
#: A queue whose letters go for want of room is said again no sooner.
SAY_AGAIN_SECONDS: Final = 60.0

_WHY: Final = {
    "memory": "Too many wait to be written, or one is too large to wait in memory; the oldest go.",
    "length": "The queue holds DEAD_LETTERS['max_length'] of them; the oldest go.",
    "shutdown": "The worker ends, and the broker did not take them in time.",
    "refused": "They cannot be written.",
}


class LetterWriter:
    """Writes letters in a daemon thread of its own, which the first letter starts."""

    def __init__(self, *, open_box: Callable[[], Box], totals: Totals, faults: Faults) -> None:
        self._open_box = open_box
        self._losses = _Losses(totals)
        self._totals = totals
        self._faults = faults
        self._heap = Heap()
        self._bell = Bell()
        self._hurry = Bell()
        self._starting = allocate_lock()
        self._ended = allocate_lock()
        self._ended.acquire()
        self._pid: int | None = None
        self._stopping_by: float | None = None
        self._box: Box | None = None
        self._batches: deque[Batch] = deque()
        """Being written: the first may have been, and goes again as it is."""
        self._number = 0
        self._failures = 0
        self._used_at = 0.0

    # From other threads

    def put(self, letter: Captured) -> None:
        """Have a letter written soon. Never blocks."""
        if self._pid is None:
            self._start()
        for dropped in self._heap.put(letter):
            self._losses.note(dropped.queue, "memory", 1)
        self._bell.ring()

    def stop(self, seconds: float = MAX_FINISH_SECONDS) -> None:
        """Tell the thread to write what is left within `seconds`, and to end."""
        if self._stopping_by is None:
            self._stopping_by = monotonic() + seconds
            self._bell.ring()
            self._hurry.ring()

    def wait(self) -> None:
        """Wait until the thread has ended, no longer than it was given."""
        if self._pid != os.getpid() or self._stopping_by is None:
            return
        if self._ended.acquire(True, max(0.05, self._stopping_by - monotonic())):
            self._ended.release()

    def flush_rest(self) -> None:
        """Write what came after the end of the thread, in the calling one, once; count what is lost."""
        if self._pid != os.getpid() or not self._ended.acquire(False):
            return  # the thread still runs: the connection is its own
        try:
            self._stopping_by = monotonic() + 1.0
            self._guarded(self._turn)
            self._guarded(self._give_up)
            self._guarded(self._close)
        finally:
            self._ended.release()

    def _start(self) -> None:
        # Pools of threads report failures from several at once.
        if not self._starting.acquire(False):
            return
        self._pid = os.getpid()
        if self._stopping_by is not None:  # the process ends: flush_rest is about to be called
            self._ended.release()
            return
        try:
            start_daemon(self._run, "celery_health-letters", at_end=self._ended.release)
        except Exception as error:  # no threads left: flush_rest still tries
            self._stopping_by = monotonic()
            self._ended.release()
            self._faults.caught("letters.start", error)

    # In the thread

    def _run(self) -> None:
        while True:
            stopping_by, began = self._stopping_by, monotonic()
            self._guarded(self._turn)
            if stopping_by is not None and (self._is_done() or monotonic() >= stopping_by):
                break
            # While the broker is away, more failures are no reason to ask it sooner.
            (self._hurry if self._failures else self._bell).wait(self._pause())
            if self._stopping_by is None:
                self._hurry.wait(began + TURN_SECONDS - monotonic())
        self._guarded(self._close)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self._faults.caught("letters.turn", error)

    def _is_done(self) -> bool:
        return not self._batches and not len(self._heap)

    def _pause(self) -> float:
        if self._stopping_by is not None:
            return 0.05
        if not self._failures:
            return IDLE_SECONDS
        return float(min(0.1 * 2 ** min(self._failures, 8), MAX_BACKOFF_SECONDS))

    def _turn(self) -> None:
        """Write all that waits, until the broker fails."""
        while True:
            if not self._batches:
                letters = self._heap.take()
                if not letters:
                    break
                self._add_batch(letters)
            if not self._write(self._batches[0]):
                return
        if self._box is not None and monotonic() - self._used_at > IDLE_SECONDS / 2:
            self._close()

    def _add_batch(self, letters: tuple[Captured, ...]) -> None:
        self._number += 1
        self._batches.append(Batch(number=self._number, queue=letters[0].queue, letters=letters))

    def _write(self, batch: Batch) -> bool:
        """Write the first batch; False when it is to be tried again later."""
        left = WRITE_SECONDS if self._stopping_by is None else self._stopping_by - monotonic()
        try:
            if self._box is None:
                with forks.importing():  # what the box needs is imported with it
                    self._box = self._open_box()
            dropped = self._box.write(batch, Deadline.after(max(0.05, min(left, WRITE_SECONDS))))
        except BrokerError as error:
            self._failed(error)
            return False
        except UnsupportedError as error:
            self._refuse(batch, error)
            return True
        except Exception as error:
            self._divide(batch, error)
            return True
        self._batches.popleft()
        self._recovered()
        for cause, amount in Counter(letter.reason.cause for letter in batch.letters).items():
            self._totals.count(DEAD_LETTERED, batch.queue, cause.value, amount=amount)
        self._losses.note(batch.queue, "length", dropped)
        return True

    def _divide(self, batch: Batch, error: Exception) -> None:
        """Find the letter that cannot be written, and write the others: it is not the broker's fault."""
        if len(batch.letters) == 1:
            self._refuse(batch, error)
            return
        self._batches.popleft()
        for letter in batch.letters:
            self._add_batch((letter,))

    def _refuse(self, batch: Batch, error: Exception) -> None:
        self._batches.popleft()
        if not isinstance(error, UnwritableError | UnsupportedError):
            self._faults.caught("letters.write", error)
        self._losses.note(batch.queue, "refused", len(batch.letters), str(error))

    def _give_up(self) -> None:
        """Count what nobody will write any more."""
        left = Counter({batch.queue: len(batch.letters) for batch in self._batches})
        self._batches.clear()
        while letters := self._heap.take():
            left[letters[0].queue] += len(letters)
        for queue, count in left.items():
            self._losses.note(queue, "shutdown", count)

    def _failed(self, error: BrokerError) -> None:
        if self._failures == 0:
            logger.warning("Dead letters cannot be written now; they wait in memory. %s", error)
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            logger.info("Dead letters are written again.")
        self._failures = 0
        self._used_at = monotonic()

    def _close(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            box.close()


class _Losses:
    """Counts letters that are lost, and says so in the log: at once, and then now and then."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._said: dict[tuple[str, str], float] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()

    def note(self, queue: str, reason: str, count: int, detail: str = "") -> None:
        """Count `count` letters of `queue` that went for one of `_WHY`."""
        if count <= 0:
            return
        self._totals.count(DEAD_LETTERS_DROPPED, queue, reason, amount=count)
        key = queue, reason
        self._unsaid[key] += count
        now = monotonic()
        if now < self._said.get(key, -1e9) + SAY_AGAIN_SECONDS:
            return
        self._said[key] = now
        logger.warning(
            "%d dead letters of queue %r are lost. %s %s", self._unsaid.pop(key), queue, _WHY[reason], detail
        )
