"""Which message a worker could not read, by the error that it ended with or lost its connection by.

On Redis such a message is taken off its queue before it is read: when the worker has ended, nothing else
tells which one it was. Neither is it counted: it never comes to Celery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from celery_health.brokers.unreadable import Unreadable, unreadable
from celery_health.text.formats import plural
from celery_health.text.printable import printable
from celery_health.worker.requests import Recording

#: Where kombu's Redis transport reads what it has taken (kombu/transport/redis.py).
_MODULE: Final = "kombu.transport.redis"
_FUNCTION: Final = "_brpop_read"
#: Characters of a queue's name.
_MAX_NAME: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Misread:
    """A message that no worker can read, and that this one has taken."""

    queue: str
    size_bytes: int
    found: Unreadable

    def __str__(self) -> str:
        """Return that as a sentence."""
        return (
            f"No worker can read what it took from queue '{printable(self.queue, _MAX_NAME)}' "
            f"({plural(self.size_bytes, 'byte')}): {self.found.why}"
        )


def misread(error: BaseException, is_task: Callable[[str], bool]) -> Misread | None:
    """Return the message that led to `error`; None where none did, or a worker could have read it."""
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if frame.f_code.co_name == _FUNCTION and frame.f_globals.get("__name__") == _MODULE:
            queue, raw = frame.f_locals.get("dest"), frame.f_locals.get("item")
            raw = raw.encode(errors="surrogateescape") if isinstance(raw, str) else raw
            if not isinstance(queue, str) or not isinstance(raw, bytes):
                return None
            found = unreadable(raw, is_task)
            return None if found is None else Misread(queue=queue, size_bytes=len(raw), found=found)
        step = step.tb_next
    return None


def watch_misread(consumer: Any, recording: Recording) -> None:
    """Count as rejected what cost a Celery consumer its connection because nobody can read it."""
    handle = consumer.on_connection_error_after_connected

    @wraps(handle)
    def counting(error: BaseException) -> Any:
        try:
            taken = misread(error, consumer.app.tasks.__contains__)
            if taken is not None:
                series = recording.totals.series("", taken.queue)
                series.rejected()
                series.turned_down()
        except Exception as fault:
            recording.faults.caught("misread.counted", fault)
        return handle(error)

    consumer.on_connection_error_after_connected = counting
