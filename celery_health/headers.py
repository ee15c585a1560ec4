"""The message headers that celery_health sets: what a publisher writes, workers and broker readers read."""

from __future__ import annotations

from typing import Final

#: When a task message was published: unix seconds by its sender's clock, a float.
PUBLISHED_AT_HEADER: Final = "celery_health_published_at"
