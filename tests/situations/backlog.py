"""Situations in which what waits is in the memory of workers: an empty queue, and work for a long time."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from tests.situations.system import System
from tests.situations.table import patience, situation, stay
from tests.support import eventually


def over_the_depth(system: System) -> int:
    """Return a number of tasks that is over the limit, also while a third as many as that have run."""
    return int(system.limit("depth")) * 4 // 3 + 30


def is_taken(system: System) -> bool:
    """Say whether nothing is ready, and workers hold more than the limit, due or not yet."""
    (queue,) = [queue for queue in system.report().snapshot.queues if queue.name == "celery"]
    return queue.ready == 0 and (queue.scheduled or 0) + (queue.held or 0) > system.limit("depth")


@situation("degraded", "queues.depth", "warn", subject="celery")
def countdowns_that_end_at_once(system: System) -> Iterator[None]:
    system.worker()
    system.healthy()
    count, countdown = over_the_depth(system), 8 if not system.is_soak else 25
    system.send("sleep", 0.3 if not system.is_soak else 0.1, count=count, countdown=countdown)
    due_at = time.monotonic() + countdown
    eventually(lambda: is_taken(system), 30, what="all taken")
    eventually(lambda: time.monotonic() > due_at, 30, what="all due")
    yield
    yield


@situation("degraded", "queues.depth", "warn", subject="celery")
def every_worker_takes_everything(system: System) -> Iterator[None]:
    system.conf["worker_prefetch_multiplier"] = 0
    system.worker(name="a")
    system.worker(name="b")
    system.healthy()
    system.send("sleep", 0.8 if not system.is_soak else 0.2, count=over_the_depth(system))
    eventually(lambda: is_taken(system), 30, what="all taken")
    yield
    yield


@situation("healthy")
def many_that_are_due_in_an_hour(system: System) -> Iterator[None]:
    system.worker()
    system.send("add", count=over_the_depth(system) + 40, countdown=3600)
    system.healthy()
    yield from stay(system, patience(system))


@situation("healthy")
def drained_with_a_few_prefetched(system: System) -> Iterator[None]:
    system.worker(name="a")
    leaving = system.worker(name="b")
    system.healthy()
    # Half of the limit: counted twice, here and where it goes back to, it would be over it.
    system.send("sleep", 0.5, count=int(system.limit("depth")) // 2 + 6)
    yield from stay(system, 1.5)
    leaving.signal(signal.SIGTERM)
    yield from stay(system, patience(system))


@situation("healthy")
def hosts_whose_clocks_are_a_quarter_of_an_hour_off(system: System) -> Iterator[None]:
    """What one with a clock behind sends, another with a clock ahead holds: neither says how old it is."""
    system.conf["include"] = ["tests.situations.skewed"]
    system.worker(name="behind", queues=["celery"], concurrency=1, env={"CLOCK_OFF": "-900"})
    system.worker(name="ahead", queues=["held"], concurrency=1, env={"CLOCK_OFF": "900"})
    system.healthy()
    count = 10 if not system.is_soak else 60  # some are to be held still when it ends
    system.send("tests.situations.skewed.send", "tests.project.tasks.sleep", 1.0, count, "held")
    eventually(lambda: sum(queue.held or 0 for queue in system.report().snapshot.queues), 15, what="held")
    yield from stay(system, 6)
    oldest = [queue.oldest_age_seconds or 0.0 for queue in system.report().snapshot.queues]
    assert 1.0 < max(oldest) < 60.0, oldest
