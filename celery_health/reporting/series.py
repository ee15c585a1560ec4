"""The hot path: the counts of one task name from one queue, as plain integers."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from celery_health import counters
from celery_health.counters import PART, SEPARATOR, SUM, encode
from celery_health.reporting.admission import Admission

#: A duration over thirty years is a broken clock; its sum would leave Redis' 64 bits some day.
_MAX_SECONDS: Final = 1e9
_BOUNDS: Final = counters.DURATION_BUCKETS

# All counts of a series are one list of integers, so that draining swaps it for a new one.
_RECEIVED, _STARTED, _SUCCEEDED, _RETRIED, _REJECTED, _REVOKED, _SENT = range(7)
_RUNTIME: Final = 7
_RUNTIME_SUM: Final = _RUNTIME + len(_BOUNDS) + 1
_WAIT: Final = _RUNTIME_SUM + 1
_WAIT_SUM: Final = _WAIT + len(_BOUNDS) + 1
_CELLS: Final = _WAIT_SUM + 1


def _affixes() -> tuple[tuple[str, str], ...]:
    """Return what stands before and after the name and the queue in the field of each cell."""
    counted = (
        counters.RECEIVED, counters.STARTED, counters.SUCCEEDED, counters.RETRIED, counters.REJECTED,
        counters.REVOKED, counters.SENT,
    )  # fmt: skip
    parts = [*range(len(_BOUNDS) + 1), SUM]
    return (
        *((family.name + SEPARATOR, "") for family in counted),
        *((counters.RUNTIME.name + SEPARATOR, f"{PART}{part}") for part in parts),
        *((counters.QUEUE_WAIT.name + SEPARATOR, f"{PART}{part}") for part in parts),
    )


_AFFIXES: Final = _affixes()


class TaskSeries:
    """The counts of one task name from one queue. A method is one fact, allocates nothing, never raises.

    The methods take no lock: it would cost more than the counting, and could keep a task waiting. Each
    ``+=`` is exact all the same, since the interpreter lets another thread, a signal handler or the garbage
    collector in only at calls, at backward jumps and at function entries (Python/ceval.c), and there is none
    between its load and its store. A test reads the bytecode to prove it. A build without the GIL would
    need a lock.
    """

    __slots__ = ("_admission", "_cells", "_failures", "name", "queue")

    def __init__(self, admission: Admission, name: str, queue: str) -> None:
        self._admission = admission
        self.name = name
        self.queue = queue
        self._cells = [0] * _CELLS
        self._failures: dict[str, int] = {}

    def received(self) -> None:
        """Count a message that the worker took."""
        self._cells[_RECEIVED] += 1

    def started(self) -> None:
        """Count a run that began."""
        self._cells[_STARTED] += 1

    def succeeded(self) -> None:
        """Count a run that returned."""
        self._cells[_SUCCEEDED] += 1

    def failed(self, exception: str) -> None:
        """Count a run that failed for good; `exception` is the name of the class."""
        if exception not in self._failures:
            exception = self._admit(exception)
        self._failures[exception] += 1

    def retried(self) -> None:
        """Count a run that asked for a retry."""
        self._cells[_RETRIED] += 1

    def rejected(self) -> None:
        """Count a message that was rejected."""
        self._cells[_REJECTED] += 1

    def revoked(self) -> None:
        """Count a task that was revoked or had expired."""
        self._cells[_REVOKED] += 1

    def sent(self) -> None:
        """Count a message that this process published."""
        self._cells[_SENT] += 1

    def runtime(self, seconds: float) -> None:
        """Add how long a run took. Below 0 counts as 0; what is no duration is left out."""
        if not 0.0 <= seconds < _MAX_SECONDS:
            if not seconds < 0.0:
                return
            seconds = 0.0
        bucket = _RUNTIME + bisect_left(_BOUNDS, seconds)
        micros = int(seconds * 1e6 + 0.5)
        self._cells[bucket] += 1
        self._cells[_RUNTIME_SUM] += micros

    def queue_wait(self, seconds: float) -> None:
        """Add how long a message waited. Below 0 (two hosts' clocks differ) counts as 0."""
        if not 0.0 <= seconds < _MAX_SECONDS:
            if not seconds < 0.0:
                return
            seconds = 0.0
        bucket = _WAIT + bisect_left(_BOUNDS, seconds)
        micros = int(seconds * 1e6 + 0.5)
        self._cells[bucket] += 1
        self._cells[_WAIT_SUM] += micros

    def _admit(self, exception: str) -> str:
        """Return the class to count under, known to this series from now on."""
        with self._admission.lock:
            exception = self._admission.admit("exception", exception)
            self._failures.setdefault(exception, 0)
            return exception

    def forget(self) -> None:
        """Drop what was counted."""
        self._take()

    def unload(self, fields: dict[str, int], ring: dict[str, int]) -> None:
        """Move what was counted since the last time into the fields and the ring of a batch."""
        taken = self._take()
        if taken is None:
            return
        cells, failures = taken
        name, queue = self.name, self.queue
        where = f"{name}{SEPARATOR}{queue}"
        for (before, after), amount in zip(_AFFIXES, cells, strict=True):
            if amount:
                fields[f"{before}{where}{after}"] = amount
        failed = 0
        for exception, amount in failures.items():
            if amount:
                failed += amount
                fields[encode(counters.FAILED, (name, queue, exception))] = amount
        outcomes = {
            "succeeded": cells[_SUCCEEDED], "failed": failed,
            "retried": cells[_RETRIED], "sent": cells[_SENT],
        }  # fmt: skip
        for outcome, amount in outcomes.items():
            if amount:
                key = f"{name}{SEPARATOR}{outcome}"
                ring[key] = ring.get(key, 0) + amount

    def _take(self) -> tuple[list[int], dict[str, int]] | None:
        """Return the cells and the failures since the last time and start from zero; None when all are 0."""
        if not any(self._cells) and not any(self._failures.values()):
            return None
        with self._admission.lock:  # no class may be admitted meanwhile: `failed` must find it again
            cells, failures = [0] * _CELLS, dict.fromkeys(self._failures, 0)
            # Taken and replaced without a call in between: nobody adds to a list that has been read.
            cells, self._cells = self._cells, cells
            failures, self._failures = self._failures, failures
        return cells, failures
