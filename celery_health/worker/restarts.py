"""Runs that began here though they had begun before: what a worker that vanished had lost is there again."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Final

from celery_health.store.base import MissingRuns
from celery_health.worker.held import copied, sane

#: Runs in a record, the latest: more are hardly lost at once.
MAX_RESTARTS: Final = 100


class Restarts:
    """Notes the runs of one worker that began again: `note` in its main thread, `rows` in the agent's."""

    __slots__ = ("_noted", "change", "missing")

    def __init__(self) -> None:
        self._noted: deque[tuple[str, float]] = deque(maxlen=MAX_RESTARTS)
        self.missing: frozenset[str] = frozenset()
        """Ids of runs that workers which fell silent had begun, as the store named them."""
        self.change = ""
        """Which these are: see `MissingRuns`."""

    def take(self, missing: MissingRuns) -> None:
        """Take in which runs are missing; in the agent's thread."""
        self.missing, self.change = missing.ids, missing.change

    def note(self, task_id: object) -> None:
        """Note that a run begins which had begun before."""
        self._noted.append((sane(task_id), monotonic()))

    def rows(self, now: float) -> list[list[object]]:
        """Return the id of each, and how many seconds ago it began."""
        return [[task_id, round(now - at, 1)] for task_id, at in copied(lambda: self._noted)]
