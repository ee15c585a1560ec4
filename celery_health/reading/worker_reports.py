"""What a worker says of itself, its own record or Celery's built-in replies, as a `Worker`.

Every value comes from another process, maybe of another version: what has the wrong type is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from celery_health.reading.worker_states import load_state
from celery_health.records import ReservedTask, RunningTask, ScheduledTask, Source, Worker, WorkerState

T = TypeVar("T")


def _as(kind: type[T], value: object) -> T | None:
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _names(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    return tuple(item for item in value if isinstance(item, str))


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = _number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _counts(value: object) -> Mapping[str, int]:
    rows = value.items() if isinstance(value, Mapping) else ()
    return {queue: count for queue, count in rows if isinstance(queue, str) and isinstance(count, int)}


def _rows(value: object) -> Iterable[Mapping[str, Any]]:
    return (row for row in value if isinstance(row, Mapping)) if isinstance(value, list | tuple) else ()


def _plus(seconds: object, age: float) -> float | None:
    number = _number(seconds)
    return None if number is None else number + age


def worker_from_report(
    hostname: str,
    report: Mapping[str, Any],
    *,
    state: WorkerState,
    source: Source,
    age_seconds: float,
    registered: frozenset[str] | None = None,
) -> Worker:
    """Return the worker that `report`, its record of `age_seconds` ago, describes.

    Ages in it grow by `age_seconds`: they were true when it was sent.
    """
    names = _names(report.get("registered"))
    return Worker(
        hostname=hostname,
        state=state,
        source=source,
        pid=_as(int, report.get("pid")),
        app_id=_as(str, report.get("app_id")),
        queues=_names(report.get("queues")),
        registered=registered if names is None else frozenset(names),
        pool=_as(str, report.get("pool")),
        concurrency=_as(int, report.get("concurrency")),
        children=_as(int, report.get("children")),
        childless_seconds=_number(report.get("childless_seconds")),
        children_restarted=_as(int, report.get("children_restarted")),
        children_lost_per_minute=_number(report.get("children_lost_per_minute")),
        active=tuple(_running(hostname, row, age_seconds) for row in _rows(report.get("active"))),
        reserved=tuple(_reserved(hostname, row) for row in _rows(report.get("reserved"))),
        scheduled=tuple(_scheduled(hostname, row) for row in _rows(report.get("scheduled"))),
        active_count=_as(int, report.get("active_count")),
        reserved_count=_as(int, report.get("reserved_count")),
        scheduled_count=_as(int, report.get("scheduled_count")),
        active_by_queue=_counts(report.get("active_by_queue")),
        reserved_by_queue=_counts(report.get("reserved_by_queue")),
        scheduled_by_queue=_counts(report.get("scheduled_by_queue")),
        processed=_as(int, report.get("processed")),
        prefetch_count=_as(int, report.get("prefetch_count")),
        is_paused=report.get("paused") is True,
        is_draining=report.get("draining") is True,
        said_goodbye=report.get("goodbye") is True,
        loop_age_seconds=_plus(report.get("loop_age_seconds"), age_seconds),
        read_age_seconds=_plus(report.get("read_age_seconds"), age_seconds),
        progress_age_seconds=_plus(report.get("progress_age_seconds"), age_seconds),
        last_seen_seconds=age_seconds,
        started_at=_moment(report.get("started_at")),
        versions={
            str(name): version
            for name, version in (_as(dict, report.get("versions")) or {}).items()
            if isinstance(version, str)
        },
        config=_as(str, report.get("config")),
        broker=_as(str, report.get("broker")),
    )


def _running(hostname: str, row: Mapping[str, Any], age_seconds: float) -> RunningTask:
    return RunningTask(
        worker=hostname,
        task_id=str(row.get("task_id", "")),
        task_name=str(row.get("task_name", "")),
        queue=_as(str, row.get("queue")),
        time_start=_number(row.get("time_start")),
        runtime_seconds=_plus(row.get("runtime_seconds"), age_seconds),
        limit_seconds=_number(row.get("limit_seconds")),
        args=_as(str, row.get("args")),
        kwargs=_as(str, row.get("kwargs")),
    )


def _reserved(hostname: str, row: Mapping[str, Any]) -> ReservedTask:
    return ReservedTask(
        worker=hostname,
        task_id=str(row.get("task_id", "")),
        task_name=str(row.get("task_name", "")),
        queue=_as(str, row.get("queue")),
        args=_as(str, row.get("args")),
        kwargs=_as(str, row.get("kwargs")),
    )


def _scheduled(hostname: str, row: Mapping[str, Any]) -> ScheduledTask:
    return ScheduledTask(
        worker=hostname,
        task_id=str(row.get("task_id", "")),
        task_name=str(row.get("task_name", "")),
        eta=_moment(row.get("eta")),
        queue=_as(str, row.get("queue")),
        args=_as(str, row.get("args")),
        kwargs=_as(str, row.get("kwargs")),
    )


def worker_from_builtin(hostname: str, replies: Mapping[str, Any]) -> Worker:
    """Return the worker that Celery's own inspect commands describe: one that runs without celery_health.

    How long its tasks have run is unknown: its replies carry its clock's time, and clocks are not compared.
    """
    stats = _as(dict, replies.get("stats")) or {}
    pool = _as(dict, stats.get("pool")) or {}
    queues = _queue_names(replies.get("active_queues"))
    active = [_request(row, queues) for row in _rows(replies.get("active"))]
    reserved = [_request(row, queues) for row in _rows(replies.get("reserved"))]
    scheduled = [
        {**_request(request, queues), "eta": row.get("eta")}
        for row in _rows(replies.get("scheduled"))
        if (request := _as(dict, row.get("request"))) is not None
    ]
    processes = _as(list, pool.get("processes"))
    report = {
        "pid": stats.get("pid"),
        "queues": queues,
        "registered": _registered(replies.get("registered")),
        "pool": _pool_name(pool.get("implementation")),
        "concurrency": pool.get("max-concurrency"),
        "children": None if processes is None else len(processes),
        "active": active,
        "reserved": reserved,
        "scheduled": scheduled,
        "active_by_queue": Counter(row["queue"] for row in active),
        "reserved_by_queue": Counter(row["queue"] for row in reserved),
        "scheduled_by_queue": Counter(row["queue"] for row in scheduled),
        "active_count": len(active) if "active" in replies else None,
        "reserved_count": len(reserved) if "reserved" in replies else None,
        "scheduled_count": len(scheduled) if "scheduled" in replies else None,
        "processed": sum((_as(dict, stats.get("total")) or {}).values()) if stats else None,
        "prefetch_count": stats.get("prefetch_count"),
    }
    return worker_from_report(
        hostname, report, state=load_state(report), source=Source.INSPECTION, age_seconds=0.0
    )


def _queue_names(value: object) -> list[str] | None:
    return [str(row.get("name")) for row in _rows(value)] if isinstance(value, list | tuple) else None


def _registered(value: object) -> Sequence[str] | None:
    # A name may be followed by the task's attributes in brackets (celery/worker/control.py).
    names = _names(value)
    return None if names is None else [name.partition(" ")[0] for name in names]


def _pool_name(implementation: object) -> str | None:
    if not isinstance(implementation, str):
        return None
    module = implementation.partition(":")[0].rpartition(".")[2]
    return {"thread": "threads"}.get(module, module)


def _request(row: Mapping[str, Any], queues: Collection[str] | None) -> dict[str, Any]:
    delivery = _as(dict, row.get("delivery_info")) or {}
    key = delivery.get("routing_key")
    # Through an exchange a routing key is no queue's name, unless the worker takes from one of that name.
    is_queue = not delivery.get("exchange") or (isinstance(key, str) and key in (queues or ()))
    return {
        "task_id": row.get("id"),
        "task_name": row.get("name") or row.get("type"),
        "queue": key if is_queue else None,
        "time_start": row.get("time_start"),
    }
