"""Tasks that first note in Redis that they run, and as what, and then end in the way they were told to.

The notes are the truth that counters are compared with: kept elsewhere, and written before anything happens.
Loaded into the test project's worker by ``include``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import celery
import redis
from celery import shared_task
from celery.exceptions import Ignore, Reject
from celery.worker.control import inspect_command
from celery.worker.request import Request

#: The list of notes, in the Redis of CELERY_TEST_TRUTH.
NOTES = "truth"
#: The list of those that wait for their end to come from outside: ``[what, task id, pid]``.
WAITING = "waiting"

_clients: dict[int, redis.Redis] = {}


def truth_redis() -> redis.Redis:
    """Return this process's client of the Redis that holds the truth."""
    pid = os.getpid()
    if pid not in _clients:
        _clients.clear()
        _clients[pid] = redis.Redis.from_url(os.environ["CELERY_TEST_TRUTH"])
    return _clients[pid]


@inspect_command()
def hang(state: Any, until: str = "") -> dict[str, str]:
    """Have the event loop stand still until there is a file of this name, and then answer."""
    deadline = time.monotonic() + 60
    while not os.path.exists(until) and time.monotonic() < deadline:
        time.sleep(0.05)
    return {"ok": "pong"}


class Boom(Exception):
    """What failing tasks raise."""


class Unpicklable(Exception):
    """An exception that cannot leave the child as it is."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__("not what the constructor takes")
        self.lock = open(os.devnull)  # noqa: SIM115 - no pickle takes a file


def act(task: Any, what: str, seconds: float) -> Any:
    """Note that this execution runs, and as what; then end so. ``<what>_once`` succeeds the second time."""
    outcome = what.removesuffix("_once")
    if outcome != what and not truth_redis().set(f"seen:{task.request.id}", 1, nx=True):
        outcome = "succeed"
    if outcome == "retry" and task.request.retries >= task.max_retries:
        outcome = "exhausted"
    truth_redis().lpush(NOTES, json.dumps([task.name.rpartition(".")[2], outcome]))
    if outcome in ("os_exit", "kill"):
        # The worker must have heard that it began: Celery runs a task again, unseen, whose process died
        # before that (AsynPool._put_back).
        time.sleep(0.5)
    if seconds:
        time.sleep(seconds)
    match outcome:
        case "fail":
            raise Boom(what)
        case "unpicklable":
            raise Unpicklable(1, 2)
        case "retry" | "exhausted":
            raise task.retry(exc=Boom(what), countdown=0)
        case "ignore":
            raise Ignore(what)
        case "reject":
            raise Reject(what, requeue=False)
        case "requeue":
            raise Reject(what, requeue=True)
        case "sys_exit":
            sys.exit(3)
        case "os_exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory_error":
            raise MemoryError(what)
        case "unserialisable":
            return object()
        case "hang":
            time.sleep(60)
        case "await_kill" | "await_revoke":
            truth_redis().lpush(WAITING, json.dumps([outcome, task.request.id, os.getpid()]))
            time.sleep(60)
        case "burn":
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                pass
    return what


class OwnRequest(Request):
    """A Request such as projects write."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


class OwnBase(celery.Task):
    """A base that does not descend from the app's Task, with a Request of its own."""

    abstract = True
    Request = OwnRequest


class NamedBase(celery.Task):
    """Another one, whose Request is named by its path."""

    abstract = True
    Request = "tests.worker.truth:OwnRequest"


@shared_task(bind=True, max_retries=1)
def early(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, max_retries=1, acks_late=True)
def late(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, max_retries=1, acks_late=True, reject_on_worker_lost=True)
def requeued(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, base=OwnBase, max_retries=1)
def based(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, base=NamedBase, max_retries=1, acks_late=True)
def named(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, soft_time_limit=0.3)
def soft(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, time_limit=0.5)
def hard(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)


@shared_task(bind=True, time_limit=0.5, acks_late=True)
def hard_late(self: Any, what: str, seconds: float = 0.0) -> Any:
    return act(self, what, seconds)
