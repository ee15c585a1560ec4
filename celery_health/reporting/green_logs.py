"""What native threads log under eventlet, written by a green thread of the main one.

A lock of eventlet's knows the greenlets of one thread alone: a native thread that came to a log handler while
a greenlet writes would wait for ever, and raise in the main thread's loop when the handler is free.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import deque
from typing import Final

logger = logging.getLogger("celery_health")

#: Our own lines are few, each place logs once; this only bounds a mistake.
_MAX_RECORDS: Final = 100
_INTERVAL_SECONDS: Final = 0.5


class GreenLogs(logging.Filter):
    """Keeps the records that native threads log, until a green thread hands them on."""

    def __init__(self) -> None:
        super().__init__()
        self._records: deque[logging.LogRecord] = deque(maxlen=_MAX_RECORDS)
        self._natives: set[int] = set()
        self._started = False

    def start(self) -> None:
        """Begin, in the main thread; again, it changes nothing."""
        if self._started:
            return
        self._started = True
        for one in _loggers():
            # So that no native thread is the first to ask: the answer is remembered under a lock.
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                one.isEnabledFor(level)
            one.addFilter(self)
        sys.modules["eventlet"].spawn(self._hand_on)

    def enter(self) -> None:
        """Note that the calling thread is a native one."""
        self._natives.add(_native_ident())
        # Of modules that were imported since.
        for one in _loggers():
            one.addFilter(self)

    def leave(self) -> None:
        """Forget the calling thread, which ends: another may get its number."""
        self._natives.discard(_native_ident())

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record of a native thread, let all others pass."""
        if _native_ident() not in self._natives:
            return True
        self._records.append(record)
        return False

    def drain(self) -> None:
        """Write what is left, in the main thread: the process may end before a green thread's next turn."""
        while self._records:
            # A handler of the project's that raises must not end this for all that comes later.
            with contextlib.suppress(Exception):
                record = self._records.popleft()
                logging.getLogger(record.name).handle(record)

    def _hand_on(self) -> None:
        while True:
            sys.modules["eventlet"].sleep(_INTERVAL_SECONDS)
            self.drain()


def _loggers() -> list[logging.Logger]:
    """Return ours: a filter sees what is logged by its own logger alone, not what children hand up."""
    known = list(logging.root.manager.loggerDict.items())
    prefix = f"{logger.name}."
    children = [one for name, one in known if name.startswith(prefix) and isinstance(one, logging.Logger)]
    return [logger, *children]


def _native_ident() -> int:
    ident: int = sys.modules["eventlet.patcher"].original("_thread").get_ident()
    return ident


LOGS: Final = GreenLogs()
