"""A time-out of a process that was late itself says nothing of the broker, nor of the store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from celery import Celery

from celery_health.brokers import open_broker
from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LateBrokerError
from celery_health.reading.recorded import RecordedWorkers
from celery_health.timing import Spent, Timing
from tests.support import RedisServer

LATE = "This process got too little processor time (it waited 1.9 of 2.0 s for a processor)."


def too_late() -> Deadline:
    """Return a deadline of 2 s that is past, since nobody ran this process: a double of a busy machine."""
    now = [0.0]
    timing = Timing(clock=lambda: now[0], spent=lambda _: Spent(now[0] * 0.95, 0.0))
    timing.begin()
    now[0] = 2.0
    return Deadline(expires_at=time.monotonic(), budget_seconds=2.0, timing=timing)


def test_broker__that_was_not_asked_in_time_is_not_away(
    broker_url: str, make_app: Callable[..., Celery]
) -> None:
    broker = open_broker(make_app(broker_url), 2.0)
    for _ in range(2):  # of a connection that is opened, and of one that is open
        reading = broker.read(["celery"], too_late())
        assert (reading.reachable, reading.error, reading.late) == (None, None, LATE)
        with pytest.raises(LateBrokerError, match="too little processor time"):
            broker.ping(too_late())
        assert broker.read(["celery"], Deadline.after(10)).reachable
    broker.close()


@pytest.mark.redis
def test_broker__that_refuses_is_away_however_late_this_process_is(make_app: Callable[..., Celery]) -> None:
    late = too_late()
    deadline = Deadline(expires_at=time.monotonic() + 5, budget_seconds=2.0, timing=late.timing)
    broker = open_broker(make_app("redis://127.0.0.1:1/0"), 5.0)
    reading = broker.read(["celery"], deadline)

    assert (reading.reachable, reading.late) == (False, None)
    assert "refused" in (reading.error or "")
    with pytest.raises(BrokerError, match="refused"):
        broker.ping(deadline)


@pytest.mark.redis
def test_broker__that_hangs_at_each_of_its_urls_is_away_however_busy_this_process_is(
    make_app: Callable[..., Celery], own_redis: Callable[..., RedisServer]
) -> None:
    server = own_redis()
    assert server.pid is not None
    urls = [f"redis://127.0.0.1:{server.port}/{number}" for number in range(5)]
    broker = open_broker(make_app(";".join(urls)), 1.0)
    # A double of another thread that has a processor all the time.
    timing = Timing(spent=lambda _: Spent(0.0, time.monotonic()))
    timing.begin()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        reading = broker.read(["celery"], replace(Deadline.after(1.0), timing=timing))
    finally:
        os.kill(server.pid, signal.SIGCONT)
        broker.close()

    assert (reading.reachable, reading.late) == (False, None)


@pytest.mark.redis
def test_store__that_was_not_asked_in_time_is_not_away(
    make_app: Callable[..., Celery], own_redis: Callable[..., RedisServer]
) -> None:
    recorded = RecordedWorkers(make_app(own_redis().url), Settings())
    store = recorded.read(too_late()).store

    assert (store.configured, store.reachable, store.error, store.late) == (True, None, None, LATE)
    assert recorded.read(Deadline.after(10)).store.reachable
    recorded.close()
