"""What a worker's last record says of its end, and the store of its start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from celery_health.deadline import Deadline
from celery_health.store.base import StoredStarts
from tests.support import Worker, free_port
from tests.worker.conftest import Ledger, patiently

FALLS = {
    # A module of tasks that cannot be imported: before there is a worker.
    "module": "ImportError: no module named amqps://shop:**@mq/",
    # The worker is being made.
    "step_class": "ModuleNotFoundError: No module named 'tests.worker.nowhere'",
    # It starts, and has neither pool nor threads.
    "worker_step": "RuntimeError: licence is over",
    # It is connected.
    "consumer_step": "RuntimeError: licence is over",
    # It says that it is ready; no error, and yet nobody told it to stop.
    "ready": "SystemExit: no licence",
}


def starts(ledger: Ledger, hostname: str) -> StoredStarts | None:
    return ledger.store.read(Deadline.after(5)).starts.get(hostname)


@pytest.mark.parametrize("where", FALLS)
def test_crash_at_start__is_in_the_record(
    ledger: Ledger, truth_worker: Callable[..., Worker], where: str
) -> None:
    conf = {"include": ["tests.worker.falls"]}
    worker = truth_worker(conf=conf, env={"CELERY_TEST_FALL": where}, wait=False)
    assert worker.wait(30) != 0
    record = ledger.record(worker.hostname)
    assert record["exit"] == {"cause": FALLS[where], "at_start": True}
    assert (record["goodbye"], record["draining"]) == (False, False)
    found = starts(ledger, worker.hostname)
    assert found is not None
    assert (found.vain_count, [one.is_told for one in found.starts]) == (1, [False])


def test_crash_at_start__a_broker_that_refuses(ledger: Ledger, worker_factory: Callable[..., Worker]) -> None:
    url = ledger.store.url
    worker = worker_factory(
        f"redis://:hidden@127.0.0.1:{free_port()}/0",
        conf={"broker_connection_retry": False, "broker_connection_retry_on_startup": False},
        health={"STORE_URL": url},
        wait=False,
    )
    assert worker.wait(30) != 0
    record = ledger.record(worker.hostname)
    assert record["exit"]["at_start"] is True
    assert "refused" in record["exit"]["cause"] and "hidden" not in record["exit"]["cause"]
    assert record["goodbye"] is False


def test_crash_later__is_no_fault_of_the_start(ledger: Ledger, truth_worker: Callable[..., Worker]) -> None:
    worker = truth_worker()
    ledger.send("early", "memory_error")
    assert worker.wait(20) != 0
    assert ledger.record(worker.hostname)["exit"] == {
        "cause": "MemoryError: Process got: memory_error",
        "at_start": False,
    }
    truth_worker(name=worker.hostname)
    found = patiently(lambda: starts(ledger, worker.hostname))
    assert [(one.is_ready, one.is_told) for one in found.starts] == [(True, False), (True, False)]


def test_crash__names_the_message_that_nobody_can_read(
    ledger: Ledger, truth_worker: Callable[..., Worker], redis_client: redis.Redis
) -> None:
    """It is gone with the worker. One that costs the connection alone is counted."""
    worker = truth_worker()
    (queue,) = patiently(lambda: ledger.record(worker.hostname))["queues"]
    redis_client.lpush(queue, b"{}")
    patiently(lambda: ledger.totals().get(("rejected", "")) == 1)
    redis_client.lpush(queue, b"hello")
    assert worker.wait(30) != 0
    assert ledger.record(worker.hostname)["exit"] == {
        "cause": "JSONDecodeError: Expecting value: line 1 column 1 (char 0). No worker can read what it "
        f"took from queue '{queue}' (5 bytes): it is no JSON (Expecting value: line 1 column 1 (char 0))",
        "at_start": False,
    }


@pytest.mark.parametrize("times", [1, 2])
def test_told_to_stop__is_no_crash(ledger: Ledger, truth_worker: Callable[..., Worker], times: int) -> None:
    """Also the cold shutdown, by a second signal, which ends in an error."""
    worker = truth_worker(pool="threads")
    record: Any = patiently(lambda: ledger.record(worker.hostname))
    assert (record["ready"], record["starting"], record["exit"]) == (True, False, None)
    ledger.send("early", "sleep", 3 * times)
    for _ in range(times):
        worker.signal(2)
    worker.wait(30)
    record = ledger.record(worker.hostname)
    assert (record["exit"], record["draining"]) == (None, True)
    truth_worker(name=worker.hostname)
    found = patiently(lambda: starts(ledger, worker.hostname))
    assert [one.is_told for one in found.starts] == [True, False]


def test_crash_at_start__a_queue_that_is_not_configured(
    ledger: Ledger, truth_worker: Callable[..., Worker]
) -> None:
    """Celery looks at -Q before it tells anybody that a worker starts."""
    worker = truth_worker(conf={"task_create_missing_queues": False}, queues=["nowhere"], wait=False)
    assert worker.wait(30) != 0
    found = ledger.record(worker.hostname)["exit"]
    assert found["cause"].startswith("ImproperlyConfigured: Trying to select queue subset")
    assert found["at_start"] is True
