"""The hot path: the counts of one task name from one queue, as plain integers."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from celery_health import counters
from celery_health.counters import OTHER, PART, SEPARATOR, SUM, encode
from celery_health.records import Streak
from celery_health.records.streaks import WELL
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
_EXPIRED, _KILLED = _WAIT_SUM + 1, _WAIT_SUM + 2
_COUNTED: Final = _KILLED + 1
# No totals of their own: what the ring alone tells apart, and how the last runs ended, in a row.
_TURNED_DOWN, _EXPECTED, _REDELIVERED, _IGNORED = range(_COUNTED, _COUNTED + 4)
_PROVED: Final = _IGNORED + 1
_STREAK, _STREAK_SEEN, _RETRY_STREAK, _RETRY_STREAK_SEEN = range(_PROVED + 1, _PROVED + 5)
_CELLS: Final = _RETRY_STREAK_SEEN + 1

#: Cells that the ring of minutes keeps, by the name of the outcome there.
_RING: Final = (
    ("succeeded", _SUCCEEDED), ("retried", _RETRIED), ("sent", _SENT), ("rejected", _TURNED_DOWN),
    ("expired", _EXPIRED), ("killed", _KILLED), ("redelivered", _REDELIVERED), ("expected", _EXPECTED),
    ("ignored", _IGNORED),
)  # fmt: skip


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
        *((family.name + SEPARATOR, "") for family in (counters.EXPIRED, counters.KILLED)),
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

    __slots__ = (
        "_admission", "_attempts", "_attempts_ended", "_attempts_of_last", "_broken_by", "_cells",
        "_failures", "_retried_by", "name", "queue",
    )  # fmt: skip

    def __init__(self, admission: Admission, name: str, queue: str) -> None:
        self._admission = admission
        self.name = name
        self.queue = queue
        self._cells = [0] * _CELLS
        self._failures: dict[str, int] = {}
        self._broken_by = ""
        self._retried_by = ""
        self._attempts: tuple[int, float, str] | None = None
        self._attempts_ended = 0
        self._attempts_of_last = 0

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

    def expired(self) -> None:
        """Count a task that had expired before it began; `revoked` counts it, too."""
        self._cells[_EXPIRED] += 1

    def killed(self) -> None:
        """Count a run whose process was killed under it; another method counts what becomes of it."""
        self._cells[_KILLED] += 1

    def redelivered(self) -> None:
        """Count a run that was killed, and whose message will be delivered again."""
        self._cells[_REDELIVERED] += 1

    def turned_down(self) -> None:
        """Count a message that was rejected for good; `rejected` counts it, too."""
        self._cells[_TURNED_DOWN] += 1

    def expected(self) -> None:
        """Count a run that failed with an exception that its task declares; `failed` counts it, too."""
        self._cells[_EXPECTED] += 1

    def ignored(self) -> None:
        """Count a run that asked to be ignored; its total is counted elsewhere."""
        self._cells[_IGNORED] += 1

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

    # How the last runs ended, in a row. A success costs nothing here: a failure finds out by the number of
    # successes whether there was one since. No call comes between the load of the cells and the last store.

    def proved(self) -> None:
        """Note a run that ended well and is no count of `succeeded`: it ends both streaks."""
        self._cells[_PROVED] += 1

    def broke(self, by: str) -> None:
        """Note a run that ended badly, `by` an exception or another word for how."""
        self._broken_by = by
        cells = self._cells
        well = cells[_SUCCEEDED] + cells[_PROVED]
        if cells[_STREAK_SEEN] != well:
            cells[_STREAK_SEEN] = well
            cells[_STREAK] = 0
        cells[_STREAK] += 1

    def retried_in_vain(self, by: str) -> None:
        """Note a run that was a retry by autoretry, and is retried again by it, after the exception `by`."""
        self._retried_by = by
        cells = self._cells
        well = cells[_SUCCEEDED] + cells[_PROVED]
        if cells[_RETRY_STREAK_SEEN] != well:
            cells[_RETRY_STREAK_SEEN] = well
            cells[_RETRY_STREAK] = 0
        cells[_RETRY_STREAK] += 1

    def retries_without_end(self, attempts: int, again_in_seconds: float, by: str) -> None:
        """Note a run that autoretry has tried so often, and tries again without a limit."""
        # A retry without a delay may have ended in another thread before the one that asked for it has.
        if attempts + 1 == self._attempts_of_last:
            return
        known = self._attempts
        if known is None or known[0] <= attempts:
            self._attempts = attempts, again_in_seconds, by

    def retries_ended(self, attempts: int) -> None:
        """Note a run that is tried no more, after so many attempts."""
        self._attempts_of_last = attempts
        if attempts > self._attempts_ended:
            self._attempts_ended = attempts

    def _admit(self, exception: str) -> str:
        """Return the class to count under, known to this series from now on."""
        with self._admission.lock:
            exception = self._admission.admit("exception", exception)
            self._failures.setdefault(exception, 0)
            return exception

    def forget(self) -> None:
        """Drop what was counted."""
        self._take()

    def unload(self, fields: dict[str, int], ring: dict[str, int], streaks: dict[str, Streak]) -> None:
        """Move what was counted since the last time into the fields, the ring and the streaks of a batch."""
        taken = self._take()
        if taken is None:
            return
        cells, failures = taken
        name, queue = self.name, self.queue
        where = f"{name}{SEPARATOR}{queue}"
        for (before, after), amount in zip(_AFFIXES, cells, strict=False):
            if amount:
                fields[f"{before}{where}{after}"] = amount
        failed = 0
        for exception, amount in failures.items():
            if amount:
                failed += amount
                fields[encode(counters.FAILED, (name, queue, exception))] = amount
        if failed:
            key = f"{name}{SEPARATOR}failed"
            ring[key] = ring.get(key, 0) + failed
        for outcome, cell in _RING:
            if amount := cells[cell]:
                key = f"{name}{SEPARATOR}{outcome}"
                ring[key] = ring.get(key, 0) + amount
        if name and name != OTHER and (streak := self._streak(cells)).says_something:
            known = streaks.get(name)
            streaks[name] = streak if known is None else known.beside(streak)

    def _streak(self, cells: list[int]) -> Streak:
        """Return how the runs ended that `cells` hold, in a row."""
        well = cells[_SUCCEEDED] + cells[_PROVED]
        attempts, self._attempts = self._attempts, None
        ended, self._attempts_ended = self._attempts_ended, 0
        most, again_in_seconds, by = attempts if attempts and attempts[0] > ended else (0, 0.0, "")
        failures = cells[_STREAK] if cells[_STREAK_SEEN] == well else 0
        retries = cells[_RETRY_STREAK] if cells[_RETRY_STREAK_SEEN] == well else 0
        if well and not (failures or retries or most or ended):
            return WELL
        return Streak(
            ended_well=well > 0,
            failures=failures,
            failed_by=self._broken_by if failures else "",
            retries=retries,
            retried_by=by or (self._retried_by if retries else ""),
            attempts=most,
            again_in_seconds=again_in_seconds,
            attempts_ended=ended,
        )

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
