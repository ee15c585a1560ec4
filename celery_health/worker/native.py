"""Threads and locks of the interpreter itself, whatever gevent has put in their place.

A greenlet cannot report that the loop it runs in is stuck, and a greenlet's lock switches to that loop. A
native thread that opens a patched socket gets a gevent hub of its own, so redis-py works in it unchanged,
and greenlets that burn the processor delay it by the interpreter's switch interval only.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, Protocol


class Lock(Protocol):
    """What ``_thread.allocate_lock`` returns."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False when `timeout` seconds were not enough."""

    def release(self) -> None:
        """Give the lock back; a RuntimeError when nobody holds it."""


def _original(module: str, name: str) -> Any:
    # Asked at use, never at import: a web server may patch long after it has imported the project.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def _is_patched() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("_thread"))


def allocate_lock() -> Lock:
    """Return an open lock that blocks the whole thread, greenlets included."""
    lock: Lock = _original("_thread", "allocate_lock")()
    return lock


def start_daemon(target: Callable[[], None], name: str) -> None:
    """Run `target` in a native thread that never keeps the process alive.

    Raises:
        RuntimeError: the system gives no more threads, or the interpreter is ending.
    """
    if _is_patched():
        _original("_thread", "start_new_thread")(_with_hub, (target,))
        return
    import threading

    threading.Thread(target=target, name=name, daemon=True).start()


def _with_hub(target: Callable[[], None]) -> None:
    """Run `target`, then take down the hub that its sockets made for this thread."""
    try:
        target()
    finally:
        with contextlib.suppress(Exception):
            import gevent

            gevent.get_hub().destroy(destroy_loop=True)


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
