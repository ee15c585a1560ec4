"""Whether the worker's loop stands still because kombu tries to connect to the broker again within it.

What the loop itself sends, as the answer to ``inspect ping`` is, goes over a connection of the producers'
pool. Where that is lost, ``Connection.ensure`` tries again for as long as it takes, and the loop stands still
meanwhile: the consumer neither reads nor finds its own connection broken (kombu/connection.py).
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from types import FrameType
from typing import Any, Final

from celery_health.reporting.native import thread_id

#: Which function tries.
_MODULE: Final = "kombu.connection"
_FUNCTION: Final = "_ensure_connection"
#: Frames beyond are not looked at: the loop's own are some forty.
_MOST_FRAMES: Final = 200


class Retries:
    """Looks at what the thread of one worker's loop does. To be asked in another thread."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._brokers: frozenset[Hashable] = frozenset()

    def attach(self, consumer: Any) -> None:
        """Note thread and broker of a Celery consumer; to be called in its thread."""
        self._thread = thread_id()
        app = consumer.app
        # These open nothing; reads and writes may go to brokers of their own.
        connections = (consumer.connection, app.connection_for_read(), app.connection_for_write())
        self._brokers = frozenset(_broker_of(connection) for connection in connections)

    def are_under_way(self) -> bool:
        """Say whether the thread is just connecting to the broker; never of anybody else's connection."""
        frame = sys._current_frames().get(self._thread) if self._thread is not None else None
        for _ in range(_MOST_FRAMES):
            if frame is None:
                return False
            if frame.f_code.co_name == _FUNCTION and frame.f_globals.get("__name__") == _MODULE:
                return self._is_to_broker(frame)
            frame = frame.f_back
        return False

    def _is_to_broker(self, frame: FrameType) -> bool:
        try:
            return _broker_of(frame.f_locals["self"]) in self._brokers
        except Exception:  # of a kombu that is not known
            return False


def _broker_of(connection: Any) -> Hashable:
    """Return which broker a connection is to; one of several, all of them, in any order."""
    several = getattr(connection, "alt", None)
    if several:
        return frozenset(map(str, several))
    return str(connection.transport_cls), connection.hostname, connection.port, connection.virtual_host
