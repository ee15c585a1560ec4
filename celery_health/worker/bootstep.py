"""How celery_health gets into a worker: `connect` is all that ``AppConfig.ready`` calls.

It imports nothing of Celery's worker; that happens in the process that turns out to be one.
"""

from __future__ import annotations

import atexit
import sys
from typing import Any

from celery.signals import worker_init


def connect() -> None:
    """Have every worker that starts in this process monitored."""
    worker_init.connect(_on_worker_init, weak=False, dispatch_uid="celery_health.worker")
    atexit.register(_on_exit)


def _on_worker_init(sender: Any, **kwargs: Any) -> None:
    # Celery logs what a receiver raises and goes on: a wrong setting leaves a worker unwatched, not dead.
    from celery_health.worker.steps import install

    install(sender)


def _on_exit() -> None:
    # Of a worker that an error ended before it could start, as that of a module that cannot be imported.
    if "celery.worker.worker" in sys.modules and getattr(sys, "last_value", None) is not None:
        from celery_health.worker.steps import leave_unstarted

        leave_unstarted()
