"""``workers/``: one row each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.api.snapshots import Reading, take_reading
from celery_health.health.body import timestamp
from celery_health.records import Starts, Worker


class WorkersView(MonitoringView):
    """What each worker does, and when it was last seen; also those that were lost lately.

    `?worker=` chooses (it may be repeated), `?limit=` cuts the list.
    """

    parameters: ClassVar = ["worker", "limit"]

    @describe("workers")
    def get(self, request: Request) -> Response:
        """Answer the workers."""
        query = self.query()
        return Response(workers_body(take_reading(limit=query.limit(), only_workers=query.names("worker"))))


def workers_body(reading: Reading) -> dict[str, Any]:
    """Return the answer to `reading`; ``count`` is None while there may be more than are known."""
    wanted = reading.only_workers
    found = [w for w in reading.snapshot.workers if wanted is None or w.hostname in wanted]
    return {
        "workers": [worker_row(worker) for worker in reading.cut(found)],
        "count": len(found) if reading.snapshot.roster_is_known else None,
        **reading.envelope(truncated=len(found) > reading.limit),
    }


def worker_row(worker: Worker) -> dict[str, Any]:
    """Return one worker, field by field as the contract has it."""
    return {
        "hostname": worker.hostname,
        "pid": worker.pid,
        "state": worker.state.value,
        "queues": None if worker.queues is None else list(worker.queues),
        "cancelled_queues": None if worker.queues is None else list(worker.cancelled_queues),
        "held_back": None if worker.held_back is None else [asdict(hold) for hold in worker.held_back],
        "pool": worker.pool,
        "concurrency": worker.concurrency,
        "children": worker.children,
        "children_restarted": worker.children_restarted,
        "active": worker.active_count,
        "reserved": worker.reserved_count,
        "scheduled": worker.scheduled_count,
        "processed": worker.processed,
        "loop_age_seconds": _seconds(worker.loop_age_seconds),
        "read_age_seconds": _seconds(worker.read_age_seconds),
        "progress_age_seconds": _seconds(worker.progress_age_seconds),
        "unread_seconds": _seconds(worker.unread_seconds),
        "idle_seconds": _seconds(worker.idle_seconds),
        "last_seen_seconds": _seconds(worker.last_seen_seconds),
        "started_at": None if worker.started_at is None else timestamp(worker.started_at),
        "exit": None if worker.exit is None else asdict(worker.exit),
        "starts": None if worker.starts is None else _starts(worker.starts),
        "versions": dict(worker.versions),
        "source": worker.source.value,
    }


def _starts(starts: Starts) -> dict[str, Any]:
    return {
        "count": starts.count,
        "seconds": _seconds(starts.seconds),
        "ready": starts.ready_count,
        "broken": starts.broken_count,
    }


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
