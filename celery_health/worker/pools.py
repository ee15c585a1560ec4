"""The worker's pool: its name, its slots, and the processes that it has lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from billiard import pool as billiard_pool

from celery_health.reporting.faults import Faults

_SHORT_NAMES: Final = {
    "prefork": "prefork",
    "solo": "solo",
    "thread": "threads",
    "gevent": "gevent",
    "eventlet": "eventlet",
}
#: How a child exits that has done all the tasks, or taken all the memory, that it may.
_RECYCLED: Final[int] = billiard_pool.EX_RECYCLE
#: Stamps of losses to remember; more in a minute is as bad as this.
_MAX_LOSSES: Final = 1000


def pool_name(pool: Any) -> str | None:
    """Return ``prefork``, ``threads``, ...; the class path of any other; None before there is one."""
    if pool is None:
        return None
    kind = type(pool)
    package, _, module = kind.__module__.rpartition(".")
    if package == "celery.concurrency" and module in _SHORT_NAMES:
        return _SHORT_NAMES[module]
    return f"{kind.__module__}:{kind.__qualname__}"


def runs_tasks_in_loop(pool: Any) -> bool:
    """Say whether tasks run in the event loop's own thread, which a busy one therefore keeps from turning."""
    return pool_name(pool) in ("solo", "gevent", "eventlet")


def slots(pool: Any) -> int | None:
    """Return how many tasks the pool runs at once; None when unknown."""
    # num_processes follows autoscaling, but counts what runs in greenlet pools before Celery 5.7.
    count = pool.num_processes if pool_name(pool) == "prefork" and pool._pool is not None else None
    count = getattr(pool, "limit", None) if count is None else count
    return count if isinstance(count, int) else None


def live_children(pool: Any) -> int | None:
    """Return the number of pool processes that have not been found dead; None for pools without any."""
    processes = getattr(getattr(pool, "_pool", None), "_pool", None)
    if not isinstance(processes, list):
        return None
    # Not `exitcode`, which would reap the child in this thread, before the pool itself sees it.
    alive = [p for p in list(processes) if getattr(p._popen, "returncode", 0) is None]
    return len(alive)


def grows_from_none(consumer: Any) -> bool:
    """Say whether autoscaling has taken away the last process, and gives one back when a message comes."""
    scaler = getattr(getattr(consumer, "controller", None), "autoscaler", None)
    wanted = getattr(getattr(getattr(consumer, "pool", None), "_pool", None), "_processes", None)
    return wanted == 0 and bool(getattr(scaler, "max_concurrency", 0))


class Children:
    """Counts the pool processes of one worker that ended and were replaced."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.restarted = 0
        """All that ended, except those that autoscaling or ``pool_shrink`` told to."""
        self.recycled = 0
        """Of those, by ``max_tasks_per_child`` or ``max_memory_per_child``."""
        self._lost_at: deque[float] = deque(maxlen=_MAX_LOSSES)

    def watch(self, pool: Any) -> None:
        """Have the pool tell of each process that ends. To be called again whenever it may have forgotten.

        The pool calls ``on_process_down`` in the main process (billiard/pool.py), but sets its own at each
        registration with the event loop (celery/concurrency/asynpool.py).
        """
        inner = getattr(pool, "_pool", None)
        if inner is None or not hasattr(inner, "on_process_down"):
            return
        down: Callable[[Any], Any] | None = inner.on_process_down
        if getattr(down, "_celery_health", False):
            return

        def on_process_down(process: Any) -> Any:
            # A pool that stops ends its processes for good: nothing is lost with them.
            if inner._state == billiard_pool.RUN:
                self._ended(process)
            return None if down is None else down(process)

        on_process_down._celery_health = True  # type: ignore[attr-defined]
        inner.on_process_down = on_process_down

    def _ended(self, process: Any) -> None:
        try:
            if getattr(process, "_controlled_termination", False):
                return
            self.restarted += 1
            if process.exitcode == _RECYCLED:
                self.recycled += 1
            else:
                self._lost_at.append(monotonic())
        except Exception as error:
            self._faults.caught("pools.children", error)

    def record(self, now: float) -> dict[str, int]:
        """Return what the record says of them."""
        lost = [stamp for stamp in self._lost_at.copy() if now - stamp <= 60.0]
        return {
            "children_restarted": self.restarted,
            "recycled": self.recycled,
            "children_lost_per_minute": len(lost),
        }
