"""A task that notes how long it took from being sent to being run."""

from __future__ import annotations

import time

from celery import shared_task

from tests.worker.truth import truth_redis

#: The list of notes, in seconds.
TOOK = "took"


@shared_task
def timed(sent_at: float) -> None:
    """Note it, by this machine's clock, which is the sender's too."""
    truth_redis().lpush(TOOK, time.time() - sent_at)
