"""The messages that a worker has taken and not acknowledged, to compare with the broker's list of them.

Only for Redis, where nobody but the worker knows what it holds: AMQP gives back at once what a lost
connection held.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any, Final

from celery_health.worker.held import copied, short_tag, taken

#: Messages that a record names, those that were taken first.
MAX_TAGS: Final = 200


def unacked_messages(consumer: Any) -> dict[str, Any] | None:
    """Return how many messages the worker holds, and the beginnings of their delivery tags in one text.

    None on other transports. What came over a connection that is lost is held as long as it is worked on.
    """
    channel = getattr(getattr(consumer, "task_consumer", None), "channel", None)
    # As kombu/transport/redis.py and virtual/base.py keep them: not by the property, which would make a QoS.
    qos: Any = getattr(channel, "_qos", None)
    if not hasattr(channel, "unacked_index_key"):
        return None
    from kombu.transport import redis

    transport: Any = redis
    delivered = {} if qos is None else qos._delivered
    done = frozenset() if qos is None else frozenset(copied(partial(iter, qos._dirty)))
    tags = [tag for tag in copied(partial(iter, delivered)) if tag not in done]
    older = {r.message.delivery_tag for r in taken(consumer) if not r.acknowledged}.difference(tags)
    shown = islice((*older, *tags), MAX_TAGS)
    return {
        "count": len(tags) + len(older),
        # kombu writes when it took a message by this clock.
        "clock": round(transport.time(), 1),
        "tags": "".join(map(short_tag, shown)),
    }
