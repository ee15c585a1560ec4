"""How far this host's clock is from the store's: stamps that hosts compare are by the store's.

A process learns it from each answer of the store to what it flushes. Pool children, which have no connection,
share what their worker knows, where they are forked. Who seldom sends knows it for long: once its host's
clock is set anew, that is believed until the next answer.
"""

from __future__ import annotations

import time
from mmap import mmap
from struct import Struct
from typing import Final

#: What a host's clock may be off without anything being corrected: the way to the store takes time as well.
LEAST_SECONDS: Final = 1.0
#: An answer that took longer says too little.
MOST_SECONDS: Final = 2.0
_NUMBERS: Final = Struct("dd")


class StoreClock:
    """What one process knows of the store's clock. Set in the agent's thread, read in any."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds by which the store's clock is ahead of this host's; 0 where little, or not known."""
        self._base = 0.0
        """What this host's clock was ahead of the monotonic one when that was so, in seconds."""
        self._shared: mmap | None = None
        self._is_told = False

    def share(self) -> None:
        """Have the processes that this one forks from now on know what it knows, as it learns it."""
        if self._shared is None:
            self._shared = mmap(-1, _NUMBERS.size)

    def answered(self, server_time: float, took_seconds: float) -> None:
        """Take in the store's clock, Unix seconds, as it was in the last `took_seconds`."""
        if took_seconds > MOST_SECONDS:
            return
        now = time.time()
        ahead = server_time - (now - took_seconds / 2)
        self.ahead = ahead if abs(ahead) > LEAST_SECONDS + took_seconds / 2 else 0.0
        self._base = now - time.monotonic()
        self._is_told = True
        if self._shared is not None:
            _NUMBERS.pack_into(self._shared, 0, self.ahead, self._base)

    def time(self) -> float:
        """Return Unix seconds by the store's clock, as far as it is known."""
        now = time.time()
        return now + self.ahead_at(now)

    def ahead_at(self, now: float) -> float:
        """Return by how many seconds the store's clock is ahead of this host's, which says `now`."""
        ahead, base = self.ahead, self._base
        if not self._is_told and self._shared is not None:
            ahead, base = _NUMBERS.unpack_from(self._shared)
        if ahead and abs(now - time.monotonic() - base) > LEAST_SECONDS:
            return 0.0  # it was set since: as a rule right
        return ahead

    def forked(self) -> None:
        """Begin anew in a process that was forked: its worker tells it, or its own agent will."""
        self._is_told = False
