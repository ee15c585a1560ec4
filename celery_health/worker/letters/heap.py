"""Letters that wait to be written: bounded in number and in bytes, whatever fails how fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery_health.dead_letters.capture import Captured
from celery_health.reporting.native import allocate_lock

#: What waits in memory at most, while the broker is away or slow. The oldest goes first, and is counted.
MAX_WAITING: Final = 5000
MAX_WAITING_BYTES: Final = 50 * 1024 * 1024
#: What is written at once; a larger letter goes alone.
BATCH_LETTERS: Final = 100
BATCH_BYTES: Final = 4 * 1024 * 1024


class Heap:
    """Letters in the order of their failures. Safe in threads and greenlets; nothing here blocks for long."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._letters: deque[Captured] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Captured) -> list[Captured]:
        """Add a letter, and return those that went for it: the oldest, or itself if it alone is too large."""
        dropped = []
        with self._held():
            self._letters.append(letter)
            self._bytes += letter.size_bytes
            while len(self._letters) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
                # One that is too large for the heap must not first push out all the others.
                alone = letter.size_bytes > MAX_WAITING_BYTES
                dropped.append(self._take(last=alone))
        return dropped

    def take(self) -> tuple[Captured, ...]:
        """Remove and return the oldest letters that can be written together: those of one queue."""
        taken: list[Captured] = []
        size = 0
        with self._held():
            while self._letters and len(taken) < BATCH_LETTERS:
                first = self._letters[0]
                if taken and (first.queue != taken[0].queue or size + first.size_bytes > BATCH_BYTES):
                    break
                taken.append(self._take())
                size += first.size_bytes
        return tuple(taken)

    def _take(self, *, last: bool = False) -> Captured:
        letter = self._letters.pop() if last else self._letters.popleft()
        self._bytes -= letter.size_bytes
        return letter

    @contextmanager
    def _held(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()
