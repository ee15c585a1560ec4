"""A host whose clock is off by the seconds of ``CLOCK_OFF``, as far as Python asks it for the time."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import shared_task

_OFF = float(os.environ.get("CLOCK_OFF", "0"))
_true_time = time.time


def _time() -> float:
    return _true_time() + _OFF


if _OFF:
    time.time = _time  # a clock cannot be set for one process alone


@shared_task(bind=True)
def send(self: Any, name: str, seconds: float, count: int, queue: str) -> None:
    """Send so many tasks from here."""
    for _ in range(count):
        self.app.send_task(name, (seconds,), queue=queue)
