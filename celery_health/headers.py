"""The names that celery_health uses on the wire: what one process writes and another reads."""

from __future__ import annotations

from typing import Final

#: When a task message was published: unix seconds by its sender's clock, a float.
PUBLISHED_AT_HEADER: Final = "celery_health_published_at"

#: The remote control command that `celery_health` adds to a worker: its whole record in one reply.
REPORT_COMMAND: Final = "celery_health_report"

#: Under this name a worker with that command says so, in its answer to Celery's own ``inspect stats``.
STATS_MARK: Final = "celery_health"
