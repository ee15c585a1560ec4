"""Whether a user of a Redis may send: asked where it may not even do what writes nothing.

A server says no to a command within ``MULTI`` at once, and ``DISCARD`` forgets all others: nothing is ever
written. Should something between them take no transactions, the key is of a kind that takes no message.
"""

from __future__ import annotations

from redis.exceptions import NoPermissionError

from celery_health.brokers.redis_asking import Asked


def against_sending(redis: Asked, exchange: str) -> str | None:
    """Return what the server says to this user's sending; None where it may, or that cannot be told.

    `exchange`: one to which queues are bound.
    """
    key = redis.keys.bindings(exchange)
    if redis.call("TYPE", key) != b"set":
        return None
    begun, reply, _ = redis.call_many([("MULTI",), ("LPUSH", key, ""), ("DISCARD",)])
    if isinstance(begun, Exception) or not isinstance(reply, NoPermissionError):
        return None
    return str(reply)
