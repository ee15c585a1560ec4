"""Tasks of every kind: each ends in one of the ways a task can end."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, NoReturn

from celery import shared_task
from celery.exceptions import Ignore, Reject


class Boom(Exception):
    """What failing tasks raise."""


@shared_task
def add(x: float = 1, y: float = 1) -> float:
    return x + y


@shared_task
def noop() -> None:
    """Do nothing: for throughput."""


@shared_task
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@shared_task(acks_late=True)
def sleep_late(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@shared_task(bind=True, acks_late=True)
def sleep_late_once(self: Any, seconds: float) -> None:
    """Sleep; not again, when the broker hands it out a second time."""
    if not self.request.delivery_info["redelivered"]:
        time.sleep(seconds)


@shared_task(rate_limit="20/h")
def limited() -> None:
    """Do nothing, and no more than once in three minutes."""


@shared_task
def sleep_in_except(seconds: float) -> None:
    """Sleep while an error is being handled, as a task that tries again by itself does."""
    try:
        raise Boom
    except Boom:
        time.sleep(seconds)


@shared_task(acks_late=True, reject_on_worker_lost=True)
def sleep_requeued(seconds: float) -> float:
    """Sleep; redelivered if the child is lost."""
    time.sleep(seconds)
    return seconds


@shared_task
def busy(seconds: float) -> int:
    """Burn one processor: greenlets and solo workers are deaf meanwhile."""
    until = time.monotonic() + seconds
    turns = 0
    while time.monotonic() < until:
        turns += 1
    return turns


@shared_task
def wait_for_file(path: str, timeout: float = 60.0) -> bool:
    """Run until a file appears: a task whose end the test decides."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if os.path.exists(path):
            return True
        time.sleep(0.02)
    return False


@shared_task
def fail(message: str = "failed as told") -> NoReturn:
    raise Boom(message)


@shared_task
def fail_with(name: str, message: str = "") -> NoReturn:
    """Raise the builtin exception of that name."""
    import builtins

    raise getattr(builtins, name)(message)


@shared_task(bind=True, max_retries=2, default_retry_delay=0)
def retry(self: Any, until: int = 10) -> int:
    """Retry until the attempt `until`; by default until the retries are used up."""
    if self.request.retries < until:
        raise self.retry(exc=Boom(f"attempt {self.request.retries}"))
    return int(self.request.retries)


@shared_task(autoretry_for=(Boom,), max_retries=1, retry_backoff=False, default_retry_delay=0)
def autoretry() -> NoReturn:
    raise Boom("every time")


@shared_task
def sys_exit(status: int = 1) -> NoReturn:
    sys.exit(status)


@shared_task
def os_exit(status: int = 1) -> NoReturn:
    os._exit(status)


@shared_task
def kill9() -> None:
    """End the child as the kernel's out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(acks_late=True, reject_on_worker_lost=True)
def kill9_once(path: str) -> str:
    """Kill the child at the first run, succeed at the redelivery; `path` remembers."""
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return "second run"


@shared_task
def memory_error() -> NoReturn:
    raise MemoryError("as told")


@shared_task
def ignore() -> NoReturn:
    raise Ignore


@shared_task(acks_late=True)
def reject() -> NoReturn:
    raise Reject("as told", requeue=False)


@shared_task(acks_late=True)
def reject_requeue(path: str) -> str:
    """Go back to the queue once; `path` remembers."""
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        raise Reject("as told", requeue=True)
    return "second run"


@shared_task
def unserialisable() -> object:
    """Return what no result serializer takes."""
    return object()


@shared_task(soft_time_limit=0.2)
def soft_limit(seconds: float = 30.0) -> None:
    time.sleep(seconds)


@shared_task(time_limit=0.5)
def hard_limit(seconds: float = 30.0) -> None:
    time.sleep(seconds)


@shared_task
def big(payload: str) -> int:
    """Take an argument of any size."""
    return len(payload)


@shared_task
def pid() -> int:
    return os.getpid()
