"""Readers of brokers: each says what its transport can tell, and `unknown` of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery_health.brokers.base import Broker, Shared
from celery_health.conf.option_names import option_names
from celery_health.connections.kombu import unconnected
from celery_health.exceptions import ConfigurationError
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery


def open_broker(
    app: Celery, deadline_seconds: float, shared: Shared | None = None, *, long_seconds: float = 60.0
) -> Broker:
    """Return the reader of the broker that `app` consumes from; nothing is opened before it is asked.

    No call of it takes longer than `deadline_seconds`, however late its own deadline is. What all readers of
    this process share is `shared`, which they leave open. Messages taken over `long_seconds` ago and not
    acknowledged are looked at one by one, where it can be asked for them.

    Raises:
        ConfigurationError: kombu cannot make a connection of the app's broker URL.
    """
    try:
        kombu: Any = unconnected(app)
        driver_type = kombu.transport.driver_type
        kombu.release()
    except Exception as error:
        raise ConfigurationError(
            f"The broker URL of the Celery app {app.main!r} cannot be used: {describe_error(error)}. "
            f"Correct {option_names(app).in_words('broker_url')}, or install what its transport needs."
        ) from None
    # Imported when needed: each needs a client library that the others do not.
    if driver_type == "redis":
        from celery_health.brokers.redis import RedisBroker

        return RedisBroker(app, deadline_seconds, shared, long_seconds)
    if driver_type == "amqp":
        from celery_health.brokers.amqp import AmqpBroker

        return AmqpBroker(app, deadline_seconds, shared)
    from celery_health.brokers import virtual

    readers = {"filesystem": virtual.FilesystemBroker, "memory": virtual.MemoryBroker}
    return readers.get(driver_type, virtual.UnreadableBroker)(app)
