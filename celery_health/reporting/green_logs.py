"""What native threads log under eventlet, written by a green thread of the main one.

A lock of eventlet's knows the greenlets of one thread alone: a native thread that came to a log handler while
a greenlet writes would wait for ever, and raise in the main thread's loop when the handler is free.
"""

from __future__ import annotations

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
        # So that no native thread is the first to ask: the answer is remembered under a lock.
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logger.isEnabledFor(level)
        logger.addFilter(self)
        sys.modules["eventlet"].spawn(self._hand_on)

    def enter(self) -> None:
        """Note that the calling thread is a native one."""
        self._natives.add(_native_ident())

    def leave(self) -> None:
        """Forget the calling thread, which ends: another may get its number."""
        self._natives.discard(_native_ident())

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record of a native thread, let all others pass."""
        if _native_ident() not in self._natives:
            return True
        self._records.append(record)
        return False

    def _hand_on(self) -> None:
        while True:
            sys.modules["eventlet"].sleep(_INTERVAL_SECONDS)
            while self._records:
                logger.handle(self._records.popleft())


def _native_ident() -> int:
    ident: int = sys.modules["eventlet.patcher"].original("_thread").get_ident()
    return ident


LOGS: Final = GreenLogs()
