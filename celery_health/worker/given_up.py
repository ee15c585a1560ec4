"""Runs that a worker gave up at its end: acknowledged when they started, they come back to nobody."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from celery_health.worker.held import copied, sane

#: Runs in a record; of more, their count.
MAX_GIVEN_UP: Final = 100


class GivenUp:
    """Notes the runs that one worker gave up: in its main thread, a signal handler among it."""

    __slots__ = ("_noted", "count")

    def __init__(self) -> None:
        self._noted: dict[str, tuple[str, float]] = {}
        self.count = 0
        """How many in all."""

    def note(self, task_id: object, task_name: object, accepted_at: float | None) -> None:
        """Note that a run is given up that began at `accepted_at`, ``time.monotonic`` seconds."""
        self.count += 1
        if len(self._noted) < MAX_GIVEN_UP:
            began = monotonic() if accepted_at is None else accepted_at
            self._noted[sane(task_id)] = (sane(task_name), began)

    def succeeded(self, task_id: object) -> None:
        """Note that a run had ended well when it was given up."""
        if self._noted.pop(sane(task_id), None) is not None:
            self.count -= 1

    def record(self, now: float) -> Mapping[str, Any]:
        """Return what a record says of them, as of those that run."""
        rows = [
            {
                "task_id": task_id,
                "task_name": task_name,
                "runtime_seconds": round(now - began, 3),
                "acknowledged": True,
            }
            for task_id, (task_name, began) in copied(self._noted.items)
        ]
        return {"given_up": rows, "given_up_count": self.count}
