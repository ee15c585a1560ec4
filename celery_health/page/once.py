"""Make a page once for each reading: whoever shares a reading shares what was made of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from celery_health.deadline import Deadline

_Made = TypeVar("_Made")
#: Pages of one reading that are kept: those of the few who look at the same time.
MOST_KEPT: Final = 16


@dataclass(slots=True)
class _Place(Generic[_Made]):
    made: _Made | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


class OncePerReading(Generic[_Made]):
    """Keeps what was made of the last reading, and has each made by one thread while others wait for it.

    Only for what follows from the reading and the key alone.
    """

    def __init__(self) -> None:
        self._reading: object = None
        self._places: dict[Hashable, _Place[_Made]] = {}
        self._lock = threading.Lock()

    def get(self, reading: object, key: Hashable, make: Callable[[], _Made], deadline: Deadline) -> _Made:
        """Return what was made of this very `reading` under `key`; else make it now.

        Args:
            reading: compared by identity: each reading is an object of its own.
            key: everything else that `make` depends on: the page, and what its reader may do.
            make: what it raises is raised here, and nothing is kept.
            deadline: for the wait for another thread; after it this one makes its own.
        """
        place = self._place(reading, key)
        is_mine = place.turn.acquire(timeout=max(0.0, deadline.remaining()))
        try:
            if place.made is None:
                place.made = make()
            return place.made
        finally:
            if is_mine:
                place.turn.release()

    def _place(self, reading: object, key: Hashable) -> _Place[_Made]:
        with self._lock:
            if reading is not self._reading:
                self._reading, self._places = reading, {}
            if key not in self._places and len(self._places) >= MOST_KEPT:
                # The oldest: a page that is asked for all the time is soon there again.
                del self._places[next(iter(self._places))]
            return self._places.setdefault(key, _Place())
