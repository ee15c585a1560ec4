"""Threads and locks of the interpreter itself, whatever gevent or eventlet has put in their place.

A greenlet cannot report that the loop it runs in is stuck, and a greenlet's lock switches to that loop. A
native thread that opens a patched socket gets a hub of its own, under either, so redis-py works in it
unchanged, and greenlets that burn the processor delay it by the interpreter's switch interval only.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from celery_health.reporting.green_logs import LOGS


class Lock(Protocol):
    """What ``_thread.allocate_lock`` returns."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False when `timeout` seconds were not enough."""

    def release(self) -> None:
        """Give the lock back; a RuntimeError when nobody holds it."""


# Asked at use, never at import: a web server may patch long after it has imported the project.


def _is_gevents() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("_thread"))


def _is_eventlets() -> bool:
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def _original(name: str) -> Any:
    """Return what ``_thread`` has under `name`, unpatched."""
    if _is_gevents():
        return sys.modules["gevent.monkey"].get_original("_thread", name)
    if _is_eventlets():
        return getattr(sys.modules["eventlet.patcher"].original("_thread"), name)
    return getattr(_thread, name)


def allocate_lock() -> Lock:
    """Return an open lock that blocks the whole thread, greenlets included."""
    lock: Lock = _original("allocate_lock")()
    return lock


def thread_id() -> int:
    """Return the id of the whole thread, whichever greenlet runs in it: a key of ``sys._current_frames``."""
    number: int = _original("get_ident")()
    return number


def start_daemon(target: Callable[[], None], name: str, *, at_end: Callable[[], None] | None = None) -> None:
    """Run `target` in a native thread that never keeps the process alive.

    `at_end` is called when the thread has put everything away, whatever became of `target`: a process that
    waits for that may exit. Taking down a hub while the interpreter ends would abort the process.

    Raises:
        RuntimeError: the system gives no more threads, or the interpreter is ending.
    """
    if _is_gevents():
        _settle_gevent()
        _original("start_new_thread")(_ending, (partial(_with_gevents_hub, target), at_end))
        return
    if _is_eventlets():
        LOGS.start()
        _original("start_new_thread")(_ending, (partial(_with_eventlets_hub, target), at_end))
        return
    import threading

    threading.Thread(target=_ending, args=(target, at_end), name=name, daemon=True).start()


def _settle_gevent() -> None:
    """Have gevent import, in this thread, what its first hub needs.

    Were two threads to make their first hubs at once, each would need a hub to wait for the other's import,
    and either would hang or recurse (gevent/_config.py, gevent/thread.py).
    """
    import gevent

    gevent.get_hub()
    for setting in ("format_context", "loop", "resolver", "threadpool"):
        getattr(gevent.config, setting)


def _ending(target: Callable[[], None], at_end: Callable[[], None] | None) -> None:
    try:
        target()
    finally:
        if at_end is not None:
            at_end()


def _with_eventlets_hub(target: Callable[[], None]) -> None:
    """Run `target`, then take down the hub that its sockets made for this thread, if they did."""
    LOGS.enter()
    try:
        target()
    finally:
        LOGS.leave()
        with contextlib.suppress(Exception):
            hubs = sys.modules["eventlet.hubs"]
            hub = getattr(hubs._threadlocal, "hub", None)
            if hub is not None:
                if hub.running:
                    hub.abort(wait=True)
                del hubs._threadlocal.hub
                hub.poll.close()


def _with_gevents_hub(target: Callable[[], None]) -> None:
    """Run `target`, then take down the hub that its sockets made for this thread, if they did."""
    try:
        target()
    finally:
        with contextlib.suppress(Exception):
            from gevent._hub_local import get_hub_if_exists

            hub = get_hub_if_exists()
            if hub is not None:
                hub.destroy(destroy_loop=True)


class Bell:
    """Wakes one waiting thread. Ringing never blocks, so that a signal handler may do it."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        # Rung twice before anybody listened: once is enough.
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Return True when rung, False after `seconds`."""
        return self._lock.acquire(True, max(0.0, seconds))
