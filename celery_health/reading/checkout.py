"""Connections that one run at a time has to itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from celery_health.reading.flight import Run

C = TypeVar("C")


class Checkout(Generic[C]):
    """Keeps a set of connections between runs, and hands it to one run at a time.

    A run that was given up closes its own when it ends, and others are opened for the next: two that speak on
    one connection would take each other's replies. No lock, so that nothing is left locked by a fork.
    """

    def __init__(self, open_: Callable[[], C], close: Callable[[C], None]) -> None:
        self._open = open_
        self._close = close
        self._idle: deque[C] = deque()
        self._closed = False

    @contextmanager
    def checked_out(self, run: Run) -> Iterator[C]:
        """Hand out the set that is idle, or a new one, until the block ends."""
        try:
            connections = self._idle.pop()
        except IndexError:
            connections = self._open()
        try:
            yield connections
        finally:
            self._give_back(connections, run)

    def _give_back(self, connections: C, run: Run) -> None:
        if not run.is_current or self._idle:
            self._close(connections)
            return
        self._idle.append(connections)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close what is idle now, and what is checked out when it comes back."""
        self._closed = True
        while self._idle:
            try:
                connections = self._idle.pop()
            except IndexError:  # another thread took it
                return
            self._close(connections)
