"""What several queues of one name are together, and what a broker is asked for."""

from __future__ import annotations

import pytest

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.reading.names_on_broker import NamesOnBroker
from celery_health.records import WorkerState
from celery_health.testing import make_worker

NAMES = ["celery", "reload"]
ONE = make_worker("w1@host", queues=("celery", "reload"), names_on_broker={"reload": ("bcast.1",)})
TWO = make_worker("w2@host", queues=("celery", "reload"), names_on_broker={"reload": ("bcast.2",)})
GONE = make_worker("w3@host", state=WorkerState.GONE, names_on_broker={"reload": ("bcast.3",)})


@pytest.mark.parametrize(
    ("is_amqp", "asked"),
    [
        # A list of the one name is as cheap to ask for, and what lies there was misrouted.
        (False, ["bcast.1", "bcast.2", "celery", "reload"]),
        # RabbitMQ would log an error for a queue that it does not have.
        (True, ["bcast.1", "bcast.2", "celery"]),
    ],
)
def test_names__are_those_of_workers_that_live(is_amqp: bool, asked: list[str]) -> None:
    assert NamesOnBroker([ONE, TWO, GONE], (), is_amqp=is_amqp).asked(NAMES) == asked


def test_reading__has_one_queue_for_all() -> None:
    names = NamesOnBroker([ONE, TWO], (), is_amqp=True)
    queues = {
        "celery": QueueReading(name="celery", ready=0, consumers=2),
        "bcast.1": QueueReading(name="bcast.1", ready=3, consumers=1, oldest_published_at=20.0),
        "bcast.2": QueueReading(name="bcast.2", ready=4, consumers=1, oldest_published_at=10.0),
    }

    found = names.together(BrokerReading(reachable=True, queues=queues), NAMES).queues

    assert found == {
        "celery": queues["celery"],
        "reload": QueueReading(name="reload", ready=7, consumers=2, oldest_published_at=10.0),
    }


def test_reading__tells_what_lies_where_nobody_reads() -> None:
    names = NamesOnBroker([ONE, TWO], (), is_amqp=False, unread={"reload"})
    queues = {
        "celery": QueueReading(name="celery", ready=0),
        "bcast.1": QueueReading(name="bcast.1", ready=3),
        "bcast.2": QueueReading(name="bcast.2", ready=0),
        # Some worker may have been told to consume this one.
        "reload": QueueReading(name="reload", ready=2),
    }

    found = names.together(BrokerReading(reachable=True, queues=queues), NAMES).queues

    assert found["reload"] == QueueReading(name="reload", ready=5, unread=3)


def test_reading__of_one_that_nobody_listens_to_holds_nothing() -> None:
    names = NamesOnBroker([GONE], ["reload"], is_amqp=True)

    found = names.together(BrokerReading(reachable=True), ["reload"]).queues

    assert found == {"reload": QueueReading(name="reload", ready=0)}


def test_reading__that_failed_is_left_as_it_is() -> None:
    failed = BrokerReading(reachable=False, error="away")

    assert NamesOnBroker([ONE], (), is_amqp=False).together(failed, NAMES) is failed
