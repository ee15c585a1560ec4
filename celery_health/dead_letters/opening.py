"""Which box the dead letters of an app lie in: by the broker that it consumes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery_health.conf import Settings
from celery_health.dead_letters.boxes import Box
from celery_health.exceptions import UnsupportedError

if TYPE_CHECKING:
    from celery import Celery


def open_box(app: Celery, settings: Settings) -> Box:
    """Return the box of the broker that `app` consumes from; nothing is opened before it is used.

    Raises:
        UnsupportedError: this transport keeps no dead letters.
    """
    connection: Any = app.connection_for_read()
    driver = connection.transport.driver_type
    connection.release()
    # Imported when needed: each needs a client library that the other does not.
    if driver == "redis":
        from celery_health.dead_letters.redis_box import RedisBox

        return RedisBox(app, settings)
    if driver == "amqp":
        from celery_health.dead_letters.amqp_box import AmqpBox

        return AmqpBox(app, settings)
    raise UnsupportedError(
        f"Dead letters are kept on Redis and RabbitMQ, not on the transport {driver!r} of this broker."
    )
