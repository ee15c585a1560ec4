"""Broadcasts in what processes report: one name, whatever kombu calls them in each."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_health.dead_letters.destination import why_unconsumed
from celery_health.producers import _Sender
from celery_health.reading.builtin_replies import worker_from_builtin
from celery_health.testing import make_snapshot, make_worker
from celery_health.worker import fingerprints
from celery_health.worker.queues import QueueNames

FLUSH = Exchange("flush", type="fanout")


@pytest.fixture
def app() -> Celery:
    """The app as one process has it."""
    return make_app()


def make_app(**conf: Any) -> Celery:
    app = Celery("shop", broker="redis://broker.invalid/0", set_as_current=False)
    mine = f"cache.{uuid.uuid4()}"
    queues = [
        Queue("celery"),
        Broadcast("reload"),
        Queue(mine, Exchange("caches", type="topic"), routing_key="#", auto_delete=True),
        Queue(f"flush.{uuid.uuid4().hex[:6]}", FLUSH),
    ]
    app.conf.update({"task_queues": queues, "task_routes": {"shop.clear": {"queue": mine}}, **conf})
    return app


def test_fingerprint__is_the_same_in_each_process() -> None:
    assert fingerprints.routing(make_app()) == fingerprints.routing(make_app())


def test_fingerprint__tells_other_routes_of_a_broadcast() -> None:
    other = make_app(task_routes={"shop.reload": {"queue": "reload"}})

    assert fingerprints.routing(make_app()) != fingerprints.routing(other)


def test_worker__tells_the_one_name_of_what_it_receives(app: Celery) -> None:
    names = QueueNames()
    queues: Any = app.amqp.queues
    broadcast = next(queue for queue in queues.values() if isinstance(queue, Broadcast))
    delivered: list[str] = []

    def deliver(message: Any, queue: str) -> None:
        delivered.append(names.of(message))

    transport = SimpleNamespace(_deliver=deliver)
    consumer = SimpleNamespace(queues=list(queues.values()))
    names.attach(SimpleNamespace(connection=SimpleNamespace(transport=transport), task_consumer=consumer))
    for queue in (broadcast.name, "celery", "added.later"):
        transport._deliver(SimpleNamespace(delivery_info={}), queue)

    assert delivered == ["reload", "celery", "added.later"]
    assert names.bound_to("reload", "celery") == "reload"


def test_producer__tells_the_one_name_of_where_it_sends(app: Celery) -> None:
    app.set_current()
    sender, queues = _Sender(), app.amqp.queues
    broadcast = next(name for name in queues if name.startswith("bcast."))

    assert sender.queue_of("reload", "celery") == "reload"
    assert sender.queue_of("", broadcast) == "reload"
    assert sender.queue_of("", "celery") == "celery"
    assert sender.queue_of("", "elsewhere") == "elsewhere"
    assert "elsewhere" not in queues


def test_inspected_worker__has_the_one_name_and_those_of_the_broker(app: Celery) -> None:
    queues: Any = app.amqp.queues
    broadcast = next(name for name in queues if name.startswith("bcast."))
    delivery = {"exchange": "reload", "routing_key": "celery"}
    running = {"id": "1", "name": "shop.reload", "delivery_info": delivery}
    replies = {
        "active_queues": [queues[name].as_dict(recurse=True) for name in (broadcast, "celery")],
        "active": [running],
    }

    worker = worker_from_builtin("w1@host", replies)

    assert worker.queues == ("reload", "celery")
    assert worker.names_on_broker == {"reload": (broadcast,)}
    assert worker.active_by_queue == {"reload": 1}


def test_letters__are_not_sent_back_to_a_broadcast() -> None:
    worker = make_worker("w1@host", queues=("reload",), names_on_broker={"reload": ("bcast.1",)})

    assert "reaches nobody" in (why_unconsumed(make_snapshot(workers=[worker]), "reload") or "")
