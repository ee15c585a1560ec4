"""``tasks/``: what workers run, hold and keep for later."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.api.snapshots import Kind, Reading, take_reading
from celery_health.records import ReservedTask, RunningTask, ScheduledTask

_NO_ETA = datetime.max.replace(tzinfo=UTC)


class TasksView(MonitoringView):
    """What the workers run now (longest first), hold for next, and keep until their time.

    `?worker=` and `?task=` choose (each may be repeated), `?limit=` cuts each list.
    """

    parameters: ClassVar = ["worker", "task", "limit"]

    @describe("tasks")
    def get(self, request: Request) -> Response:
        """Answer the tasks."""
        query = self.query()
        reading = take_reading(
            limit=query.limit(),
            only_workers=query.names("worker"),
            only_tasks=query.names("task"),
            with_tasks=True,
        )
        return Response(tasks_body(reading))


def tasks_body(reading: Reading) -> dict[str, Any]:
    """Return the answer to `reading`, field by field as the contract has it."""
    running = sorted(_of(reading, "active"), key=_longest_first)
    reserved = list(_of(reading, "reserved"))
    scheduled = sorted(_of(reading, "scheduled"), key=lambda task: task.eta or _NO_ETA)
    longest = max(len(running), len(reserved), len(scheduled))
    truncated = longest > reading.limit or reading.cut_by_workers
    return {
        "running": [_running_row(task, reading) for task in reading.cut(running)],
        "reserved": [_reserved_row(task, reading) for task in reading.cut(reserved)],
        "scheduled": [_scheduled_row(task, reading) for task in reading.cut(scheduled)],
        "running_count": reading.count("active", running),
        "reserved_count": reading.count("reserved", reserved),
        "scheduled_count": reading.count("scheduled", scheduled),
        **reading.envelope(truncated=truncated),
    }


def _of(reading: Reading, kind: Kind) -> Iterable[Any]:
    for worker in reading.workers:
        yield from (task for task in getattr(worker, kind) if reading.wants(task.task_name))


def _longest_first(task: RunningTask) -> float:
    return -1.0 if task.runtime_seconds is None else -task.runtime_seconds


def _running_row(task: RunningTask, reading: Reading) -> dict[str, Any]:
    return {
        "worker": task.worker,
        "task_name": task.task_name,
        "task_id": task.task_id,
        "time_start": task.time_start,
        "runtime_seconds": None if task.runtime_seconds is None else round(task.runtime_seconds, 3),
        "queue": task.queue,
        **_arguments(task, reading),
    }


def _reserved_row(task: ReservedTask, reading: Reading) -> dict[str, Any]:
    return {
        "worker": task.worker,
        "task_name": task.task_name,
        "task_id": task.task_id,
        "queue": task.queue,
        **_arguments(task, reading),
    }


def _scheduled_row(task: ScheduledTask, reading: Reading) -> dict[str, Any]:
    return {
        "worker": task.worker,
        "task_name": task.task_name,
        "task_id": task.task_id,
        "eta": task.eta.isoformat() if task.eta else None,
        **_arguments(task, reading),
    }


def _arguments(task: RunningTask | ReservedTask | ScheduledTask, reading: Reading) -> dict[str, str | None]:
    return {"args": task.args, "kwargs": task.kwargs} if reading.show_arguments else {}
