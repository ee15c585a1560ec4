"""``queues/``: one row each."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.api.snapshots import Reading, take_reading
from celery_health.records import QueueState


class QueuesView(MonitoringView):
    """What waits in each queue, how old it is, who takes from it, and who expects that somebody does.

    `?queue=` chooses (it may be repeated), `?limit=` cuts the list.
    """

    parameters: ClassVar = ["queue", "limit"]

    @describe("queues")
    def get(self, request: Request) -> Response:
        """Answer the queues."""
        query = self.query()
        wanted = query.names("queue")
        return Response(queues_body(take_reading(limit=query.limit()), wanted))


def queues_body(reading: Reading, wanted: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the answer to `reading`, of the queues `wanted` or of all."""
    found = [queue for queue in reading.snapshot.queues if wanted is None or queue.name in wanted]
    return {
        "queues": [queue_row(queue) for queue in reading.cut(found)],
        "count": len(found),
        **reading.envelope(truncated=len(found) > reading.limit),
    }


def queue_row(queue: QueueState) -> dict[str, Any]:
    """Return one queue, field by field as the contract has it."""
    age = queue.oldest_age_seconds
    return {
        "name": queue.name,
        "ready": queue.ready,
        "reserved": queue.reserved,
        "unacked": queue.unacked,
        "scheduled": queue.scheduled,
        "held": queue.held,
        "held_is_minimum": queue.held_is_minimum,
        "oldest_age_seconds": None if age is None else round(age, 3),
        "oldest_age_is_minimum": queue.oldest_age_is_minimum,
        "oldest_held_by": queue.oldest_held_by,
        "consumers": queue.consumers,
        "foreign_consumers": list(queue.foreign_consumers),
        "idle_consumers": list(queue.idle_consumers),
        "unconsumed_seconds": None
        if queue.unconsumed_seconds is None
        else round(queue.unconsumed_seconds, 3),
        "consumption_unknown": queue.consumption_unknown,
        "capacity": queue.capacity,
        "expected_by": list(queue.expected_by),
    }
