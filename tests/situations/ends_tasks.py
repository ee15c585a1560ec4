"""Tasks whose runs end badly, or look as if they did. Loaded into the test project by ``include``.

Where one takes a path, it ends badly while there is such a file.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NoReturn

from celery import shared_task


class Down(Exception):
    """What another service that is down makes a task raise."""


class NotFound(Exception):
    """What a task declares that it may raise."""


@shared_task
def nightly(path: str = "") -> None:
    if os.path.exists(path):
        raise Down("every night")


@shared_task(autoretry_for=(Exception,), max_retries=None, default_retry_delay=0)
def tries_for_ever(path: str) -> None:
    if os.path.exists(path):
        raise Down("every time")


@shared_task(bind=True, autoretry_for=(Down,), max_retries=None, default_retry_delay=0)
def polls(self: Any, until: int) -> int:
    """Ask for a retry by itself, as polling does: that it has autoretry besides says nothing of that."""
    if self.request.retries < until:
        raise self.retry(countdown=0)
    return int(self.request.retries)


@shared_task(autoretry_for=(NotFound,), throws=(NotFound,), max_retries=None, default_retry_delay=0.02)
def waits_by_autoretry(path: str) -> None:
    if os.path.exists(path):
        raise NotFound("not yet")


@shared_task(throws=(NotFound,))
def may_not_find() -> NoReturn:
    raise NotFound("as declared")


@shared_task(acks_late=True, reject_on_worker_lost=True)
def is_killed(path: str) -> None:
    """End its process, as the kernel does for want of memory."""
    time.sleep(0.1)
    if os.path.exists(path):
        os.kill(os.getpid(), signal.SIGKILL)
