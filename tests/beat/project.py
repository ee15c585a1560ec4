"""The test project's app as a beat whose clock and nerves a test controls.

The folder ``BEAT_TEST_CONTROL`` may hold ``offset`` (seconds that are added to the clock), ``hang_loop`` and
``hang_publish`` (while they are there, beat's main thread goes no further), and ``crash``.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from celery.beat import Scheduler
from celery.schedules import crontab, solar
from celery.signals import before_task_publish

from tests.project.celery import app

__all__ = ["app"]

_control = Path(os.environ.get("BEAT_TEST_CONTROL", "/nonexistent"))
_now = app.now
_should_sync = Scheduler.should_sync


def _shifted() -> datetime:
    try:
        return _now() + timedelta(seconds=float((_control / "offset").read_text()))
    except (OSError, ValueError):
        return _now()


def _hang(name: str) -> None:
    while (_control / name).exists() and threading.current_thread() is threading.main_thread():
        time.sleep(0.02)


def _hanging_should_sync(self: Any) -> Any:
    # Called by Service.start between two ticks, whatever the scheduler.
    if (_control / "crash").exists():
        raise RuntimeError("as told")
    _hang("hang_loop")
    return _should_sync(self)


def _hanging_publish(**kwargs: Any) -> None:
    _hang("hang_publish")


# The configuration comes as JSON, which has no crontabs, and no sun.
for entry in app.conf.beat_schedule.values():
    if isinstance(entry["schedule"], dict):
        kind = solar if "event" in entry["schedule"] else crontab
        entry["schedule"] = kind(**entry["schedule"])
app.now = _shifted  # type: ignore[method-assign]
Scheduler.should_sync = _hanging_should_sync  # type: ignore[method-assign]
before_task_publish.connect(_hanging_publish, weak=False)
