"""Which of the queues that a process knows a message reaches: a row is a message."""

from __future__ import annotations

import pytest
from kombu import Exchange, Queue, binding

from celery_health.reporting.queue_names import UNKNOWN_QUEUE, reached

MEDIA = Exchange("media", type="topic")
DIRECT = Exchange("direct", type="direct")
QUEUES = [
    Queue("video", MEDIA, routing_key="video.*"),
    Queue("audio", MEDIA, routing_key="audio.#"),
    Queue("direct", DIRECT, routing_key="key"),
    Queue("news", Exchange("all", type="fanout")),
    Queue("several", bindings=[binding(DIRECT, "one"), binding(MEDIA, "picture.#")]),
    Queue("left", DIRECT, routing_key="both"),
    Queue("right", DIRECT, routing_key="both"),
    Queue("unbound"),
]


@pytest.mark.parametrize(
    ("exchange", "key", "rabbitmq", "virtual"),
    [
        ("direct", "key", "direct", "direct"),
        ("direct", "other", UNKNOWN_QUEUE, UNKNOWN_QUEUE),
        ("media", "video.cut", "video", "video"),
        ("media", "audio.mix.down", "audio", "audio"),
        # kombu's own "#" keeps its dot.
        ("media", "audio", "audio", UNKNOWN_QUEUE),
        ("all", "whatever", "news", "news"),
        ("direct", "one", "several", "several"),
        ("media", "picture.png", "several", "several"),
        # In two queues: neither is the one.
        ("direct", "both", UNKNOWN_QUEUE, UNKNOWN_QUEUE),
        ("elsewhere", "key", UNKNOWN_QUEUE, UNKNOWN_QUEUE),
    ],
)
def test_reached__table(exchange: str, key: str, rabbitmq: str, virtual: str) -> None:
    assert reached(QUEUES, exchange, key, is_virtual=False) == rabbitmq
    assert reached(QUEUES, exchange, key, is_virtual=True) == virtual
