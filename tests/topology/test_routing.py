"""Where one message goes: a row is a way to address it, beside what a real broker was seen to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_health.topology import Destination, Resolver, read_topology

MEDIA = Exchange("media", type="topic")
QUEUES = [
    Queue("celery", routing_key="celery"),
    Queue("video", MEDIA, routing_key="video.*"),
    Queue("audio", MEDIA, routing_key="audio.#"),
    Queue("direct", Exchange("direct", type="direct"), routing_key="direct"),
]


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_queues = QUEUES
    yield app
    app.close()


#: (options of the call, exchange, routing key, queues reached)
ADDRESSES: list[tuple[dict[str, Any], str, str | None, tuple[str, ...] | None]] = [
    # Nothing said: straight into the default queue.
    ({}, "", "celery", ("celery",)),
    # A named queue on a direct exchange goes straight there, ...
    ({"queue": "direct"}, "", "direct", ("direct",)),
    # ... also with a wrong key, ...
    ({"queue": "direct", "routing_key": "wrong"}, "", "direct", ("direct",)),
    # ... but not if the exchange is named besides: then the key counts.
    ({"queue": "direct", "exchange": "direct", "routing_key": "wrong"}, "direct", "wrong", ()),
    # A queue nobody declared is made on the fly, with an exchange of its own.
    ({"queue": "new"}, "", "new", ("new",)),
    # A topic queue with a key of its own pattern, of another's, of nobody's.
    ({"queue": "video", "routing_key": "video.cut"}, "media", "video.cut", ("video",)),
    ({"queue": "video", "routing_key": "audio.mix.down"}, "media", "audio.mix.down", ("audio",)),
    ({"queue": "video", "routing_key": "picture"}, "media", "picture", ()),
    # Without a key the binding's pattern is the key, which "*" matches.
    ({"queue": "video"}, "media", "video.*", ("video",)),
    # An exchange alone: bound here, or by somebody else.
    ({"exchange": "media", "routing_key": "video.cut"}, "media", "video.cut", ("video",)),
    ({"exchange": "elsewhere", "routing_key": "a.b"}, "elsewhere", "a.b", None),
    # A key alone changes nothing where the default exchange is direct.
    ({"routing_key": "video.cut"}, "", "celery", ("celery",)),
]


@pytest.mark.parametrize(("options", "exchange", "key", "reaches"), ADDRESSES)
def test_resolver__table(
    app: Celery, options: dict[str, Any], exchange: str, key: str | None, reaches: tuple[str, ...] | None
) -> None:
    destination = Resolver(app).resolve("any.task", options)

    assert (destination.exchange, destination.routing_key, destination.reaches) == (exchange, key, reaches)


def test_resolver__bare_queues_of_a_topic_app_all_get_the_message(app: Celery) -> None:
    app.conf.update(task_default_exchange_type="topic", task_queues=[Queue("celery"), Queue("emails")])

    assert Resolver(app).resolve("any.task", {}).reaches == ("celery", "emails")


def test_resolver__a_queue_brought_along_is_bound_too(app: Celery) -> None:
    queue = Queue("own", Exchange("own", type="topic"), routing_key="own.#")

    found = Resolver(app).resolve("any.task", {"queue": queue, "routing_key": "own.x"})

    assert found == Destination(
        exchange="own", exchange_type="topic", routing_key="own.x", queue="own", reaches=("own",)
    )


def test_topology__a_broadcast_is_expected_by_its_one_name(app: Celery) -> None:
    app.conf.update(
        task_queues=[*QUEUES, Broadcast("refresh")],
        beat_schedule={"refresh": {"task": "any.task", "schedule": 60, "options": {"queue": "refresh"}}},
    )
    topology = read_topology(app)

    assert topology.expected["refresh"] == ("beat:refresh",)
    assert "refresh" in topology.known_queues
    assert topology.shared_names == {"refresh"}
    assert not [name for name in (*topology.expected, *topology.known_queues) if name.startswith("bcast")]
    assert topology.unrouted == {}


def test_topology__no_worker_is_told_to_consume_what_queues_of_hosts_have_in_common(app: Celery) -> None:
    mine = Queue("refresh.8a6f", Exchange("refresh", type="fanout"), auto_delete=True)
    app.conf.update(
        task_queues=[*QUEUES, mine],
        beat_schedule={"refresh": {"task": "any.task", "schedule": 60, "options": {"queue": mine.name}}},
    )
    topology = read_topology(app)

    assert "refresh" not in topology.expected
    assert "refresh" in topology.known_queues
    assert topology.shared_names == {"refresh"}
    assert topology.unrouted == {}


def test_topology__a_message_that_reaches_nobody_is_said(app: Celery) -> None:
    app.conf.beat_schedule = {
        "lost": {"task": "any.task", "schedule": 60, "options": {"queue": "video", "routing_key": "picture"}}
    }

    assert "exchange 'media' (topic) with routing key 'picture'" in read_topology(app).unrouted["beat:lost"]
