"""``stats/``: totals, by task name."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from celery_health.api.base import MonitoringView
from celery_health.api.schema import describe
from celery_health.api.snapshots import KINDS, Kind, Reading, take_reading
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import ObservedRuntime


class StatsView(MonitoringView):
    """How much runs and waits, and what has become of each task; `null` is unknown, zero is none.

    `?worker=` and `?task=` choose (each may be repeated), `?limit=` cuts the list of task names.
    """

    parameters: ClassVar = ["worker", "task", "limit"]

    @describe("stats")
    def get(self, request: Request) -> Response:
        """Answer the totals."""
        query = self.query()
        reading = take_reading(
            limit=query.limit(),
            only_workers=query.names("worker"),
            only_tasks=query.names("task"),
            with_tasks=True,
            with_totals=True,
        )
        return Response(stats_body(reading))


def stats_body(reading: Reading) -> dict[str, Any]:
    """Return the answer to `reading`, field by field as the contract has it."""
    listed = {kind: _by_name(reading, kind) for kind in KINDS}
    # Messages that nobody could read are counted under an empty name.
    counted = {name for name in reading.totals or () if name and reading.wants(name)}
    names = sorted(counted.union(*listed.values()))
    shown = reading.cut(names)
    return {
        "total_running": reading.count("active", list(listed["active"].elements())),
        "total_scheduled": reading.count("scheduled", list(listed["scheduled"].elements())),
        "total_reserved": reading.count("reserved", list(listed["reserved"].elements())),
        "queues": {queue.name: queue.ready for queue in reading.snapshot.queues},
        "by_task_name": {name: _row(name, listed, reading) for name in shown},
        **reading.envelope(truncated=len(shown) < len(names)),
    }


def _by_name(reading: Reading, kind: Kind) -> Counter[str]:
    return Counter(
        task.task_name
        for worker in reading.workers
        for task in getattr(worker, kind)
        if reading.wants(task.task_name)
    )


def _row(name: str, listed: dict[Kind, Counter[str]], reading: Reading) -> dict[str, Any]:
    def now(kind: Kind) -> int | None:
        # A list that is cut, or a worker that is silent, may hold more of this name.
        return listed[kind][name] if reading.everyone_told and reading.listed_in_full(kind) else None

    return {
        "running": now("active"),
        "scheduled": now("scheduled"),
        "reserved": now("reserved"),
        **_outcomes((reading.totals or {}).get(name)),
    }


def _outcomes(totals: TaskTotals | None) -> dict[str, Any]:
    """Return what has become of a task's runs: unknown where no worker counts them."""
    if totals is None:
        return {
            **dict.fromkeys(("started", "succeeded", "failed", "retried")),
            "runtime_seconds": _quantiles(None),
        }
    return {
        "started": totals.started,
        "succeeded": totals.succeeded,
        "failed": totals.failed,
        "retried": totals.retried,
        "runtime_seconds": _quantiles(totals.runtime),
    }


def _quantiles(runtime: ObservedRuntime | None) -> dict[str, Any]:
    """Return the quantiles; those named in ``at_least`` are the longest that is measured, or longer."""
    if runtime is None:
        return {**dict.fromkeys(("p50", "p95", "p99")), "at_least": []}
    known = {"p50": runtime.p50_seconds, "p95": runtime.p95_seconds, "p99": runtime.p99_seconds}
    longest = runtime.measured_to_seconds
    over = [name for name, value in known.items() if value is None and longest is not None]
    shown = {name: longest if name in over else value for name, value in known.items()}
    return {
        **{name: None if value is None else round(value, 4) for name, value in shown.items()},
        "at_least": over,
    }
