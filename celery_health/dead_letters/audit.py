"""Who did what to how many letters: one log record each, under ``celery_health.audit``.

A warning, since Python drops what is less where the project has not set up logging.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery_health.dead_letters.resending import RequeueInterruptedError, RequeueStopped
from celery_health.exceptions import CeleryHealthError, ReadableError
from celery_health.text.printable import printable

logger = logging.getLogger("celery_health.audit")

REQUEUE: Final = "requeue"
PURGE: Final = "purge"
SET_ASIDE: Final = "set-aside"
#: Of a name in the record.
_MAX_NAME: Final = 200


class Action:
    """What is being done. `count` is set when it is known."""

    def __init__(self) -> None:
        self.count: int | None = None
        """Letters."""


@contextmanager
def audited(action: str, queue: str, who: str) -> Iterator[Action]:
    """Log an `action`, `REQUEUE`, `PURGE` or `SET_ASIDE`, when it has ended, in whatever way.

    The record's attributes are ``action``, ``queue``, ``who``, ``count`` (None when it is unknown) and
    ``outcome`` (``done`` or the class of the error).
    """
    audit, outcome = Action(), "interrupted"
    try:
        yield audit
        outcome = "done"
    except BaseException as error:
        outcome = "KeyboardInterrupt" if isinstance(error, RequeueStopped) else type(error).__name__
        if isinstance(error, RequeueInterruptedError | RequeueStopped):
            audit.count = error.done.requeued
        elif isinstance(error, ReadableError):
            audit.count = 0
        elif action == REQUEUE and audit.count is None and isinstance(error, CeleryHealthError):
            audit.count = 0  # it fails before anything is sent, or says how far it came
        raise
    finally:
        count = "?" if audit.count is None else audit.count
        queue, who = printable(queue, _MAX_NAME), printable(who, _MAX_NAME)
        logger.warning(
            "Dead letters: %s of queue '%s' by %s: %s (%s).", action, queue, who, count, outcome,
            extra={"action": action, "queue": queue, "who": who, "count": audit.count, "outcome": outcome},
        )  # fmt: skip
