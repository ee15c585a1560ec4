"""Where a worker hears that RabbitMQ has blocked it: the connections that it keeps open, besides producers'.

RabbitMQ blocks connections that publish, and tells them alone. The connection for events publishes a
heartbeat each two seconds, and reads what the broker says before each: so every worker that sends heartbeats
hears within two seconds that publications are blocked, and that they are not any more. The consumer's is read
all the time, and is blocked once an answer to remote control went out on it.
"""

from __future__ import annotations

from typing import Any

from celery_health.reporting.troubles import Troubles


def hear(consumer: Any, troubles: Troubles) -> None:
    """Listen on the connections of a consumer that has just (re)connected."""
    opened = getattr(getattr(consumer, "connection", None), "_connection", None)
    if opened is not None:
        troubles.listen(opened, is_read=True)
    events = getattr(getattr(consumer, "event_dispatcher", None), "connection", None)
    opened = getattr(events, "_connection", None)
    if opened is not None:
        # Without heartbeats nobody would hear that it is over.
        troubles.listen(opened, is_read=getattr(consumer, "heart", None) is not None)
