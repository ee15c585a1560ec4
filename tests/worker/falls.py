"""A module of tasks that has its worker end by an error, at the place that ``CELERY_TEST_FALL`` names.

Or start slowly: ``slow``.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from celery import bootsteps, current_app
from celery.signals import worker_ready

from celery_health.worker.clocks import TICK_SECONDS

#: What a slow start takes.
SLOW_SECONDS = 6.0
WHERE = os.environ.get("CELERY_TEST_FALL", "")

if WHERE == "module":
    raise ImportError("no module named amqps://shop:hidden@mq/")


class WorkerStep(bootsteps.StartStopStep):
    """A step of the worker that fails before anything runs."""

    def start(self, worker: Any) -> None:
        """Fail."""
        raise RuntimeError("licence is over")


class ConsumerStep(bootsteps.StartStopStep):
    """A step of the consumer that fails once it is connected, and a timer of its loop is due.

    While the pool is stopped, a thread of its own fires those (``on_stop`` in celery/concurrency/prefork.py).
    """

    requires = ("celery.worker.consumer.tasks:Tasks", "celery_health.worker.steps:MonitorConsumer")

    def start(self, consumer: Any) -> None:
        """Fail, in time: no test waits for it."""
        time.sleep(TICK_SECONDS + 0.2)
        raise RuntimeError("licence is over")


class SlowStep(bootsteps.StartStopStep):
    """A step of the consumer that takes its time."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, consumer: Any) -> None:
        """Wait: no test does."""
        time.sleep(SLOW_SECONDS)


def _leave(**kwargs: Any) -> None:
    sys.exit("no licence")


if WHERE == "worker_step":
    current_app.steps["worker"].add(WorkerStep)
elif WHERE == "consumer_step":
    current_app.steps["consumer"].add(ConsumerStep)
elif WHERE == "slow":
    current_app.steps["consumer"].add(SlowStep)
elif WHERE == "step_class":
    current_app.steps["consumer"].add("tests.worker.nowhere:Step")
elif WHERE == "ready":
    worker_ready.connect(_leave, weak=False)
