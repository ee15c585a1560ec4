"""What a worker says of itself, its own record or Celery's built-in replies, as a `Worker`.

Every value comes from another process: see `fields`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from celery_health.reading.fields import counts, moment, name, names, number, of_type, plus, rows, texts
from celery_health.reading.lazy_rows import LazyRows
from celery_health.reading.worker_states import load_state
from celery_health.records import (
    Hold,
    ReservedTask,
    RunningTask,
    ScheduledTask,
    Source,
    Worker,
    WorkerState,
)


def worker_from_report(
    hostname: str,
    report: Mapping[str, Any],
    *,
    state: WorkerState,
    source: Source,
    age_seconds: float,
    registered: frozenset[str] | None = None,
    is_doubled: bool = False,
) -> Worker:
    """Return the worker that `report`, its record of `age_seconds` ago, describes.

    Ages in it grow by `age_seconds`: they were true when it was sent.
    """
    own_names = names(report.get("registered"))
    active = tuple(rows(report.get("active")))
    return Worker(
        hostname=hostname,
        state=state,
        source=source,
        pid=of_type(int, report.get("pid")),
        app_id=of_type(str, report.get("app_id")),
        queues=names(report.get("queues")),
        cancelled_queues=names(report.get("cancelled_queues")) or (),
        registered=registered if own_names is None else frozenset(own_names),
        pool=of_type(str, report.get("pool")),
        concurrency=of_type(int, report.get("concurrency")),
        children=of_type(int, report.get("children")),
        childless_seconds=number(report.get("childless_seconds")),
        children_restarted=of_type(int, report.get("children_restarted")),
        children_lost_per_minute=number(report.get("children_lost_per_minute")),
        active=LazyRows(active, partial(_running, hostname), age_seconds),
        longest_running_seconds=plus(_longest(active), age_seconds),
        shortest_limit_seconds=_shortest_limit(active),
        reserved=LazyRows(tuple(rows(report.get("reserved"))), partial(_reserved, hostname), age_seconds),
        scheduled=LazyRows(tuple(rows(report.get("scheduled"))), partial(_scheduled, hostname), age_seconds),
        active_count=of_type(int, report.get("active_count")),
        reserved_count=of_type(int, report.get("reserved_count")),
        scheduled_count=of_type(int, report.get("scheduled_count")),
        active_by_queue=counts(report.get("active_by_queue")),
        reserved_by_queue=counts(report.get("reserved_by_queue")),
        scheduled_by_queue=counts(report.get("scheduled_by_queue")),
        processed=of_type(int, report.get("processed")),
        prefetch_count=of_type(int, report.get("prefetch_count")),
        single_active_queues=names(report.get("single_active_queues")) or (),
        held_back=_holds(report.get("held_back")),
        is_paused=report.get("paused") is True,
        is_draining=report.get("draining") is True,
        said_goodbye=report.get("goodbye") is True,
        loop_age_seconds=plus(report.get("loop_age_seconds"), age_seconds),
        read_age_seconds=plus(report.get("read_age_seconds"), age_seconds),
        progress_age_seconds=plus(report.get("progress_age_seconds"), age_seconds),
        # As measured: in the time since, it may have read, and the rule is not to accuse for old news.
        unread_seconds=number(report.get("unread_seconds")),
        idle_seconds=number(report.get("idle_seconds")),
        last_seen_seconds=age_seconds,
        started_at=moment(report.get("started_at")),
        versions=texts(report.get("versions")),
        config=of_type(str, report.get("config")),
        broker=of_type(str, report.get("broker")),
        connection_name=of_type(str, report.get("connection_name")),
        mailbox=of_type(str, report.get("mailbox")),
        is_doubled=is_doubled,
    )


def aged(worker: Worker, age_seconds: float) -> Worker:
    """Return `worker`, built of a report that was just sent, as it is `age_seconds` later.

    The same as building it anew, in a fraction of the time: most reports are those of the last reading.
    """
    copy = object.__new__(Worker)
    vars(copy).update(
        vars(worker),
        last_seen_seconds=age_seconds,
        loop_age_seconds=plus(worker.loop_age_seconds, age_seconds),
        read_age_seconds=plus(worker.read_age_seconds, age_seconds),
        progress_age_seconds=plus(worker.progress_age_seconds, age_seconds),
        longest_running_seconds=plus(worker.longest_running_seconds, age_seconds),
    )
    if isinstance(worker.active, LazyRows):
        vars(copy)["active"] = worker.active.at(age_seconds)
    return copy


def _longest(active: Sequence[Mapping[str, Any]]) -> float | None:
    seconds = [number(row.get("runtime_seconds")) for row in active]
    known = [one for one in seconds if one is not None]
    return max(known, default=None) if len(known) == len(seconds) else None


def _shortest_limit(active: Sequence[Mapping[str, Any]]) -> float | None:
    limits = (number(row.get("limit_seconds")) for row in active)
    return min((limit for limit in limits if limit is not None), default=None)


def _holds(value: object) -> tuple[Hold, ...] | None:
    return tuple(map(_hold, rows(value))) if isinstance(value, list | tuple) else None


def _hold(row: Mapping[str, Any]) -> Hold:
    return Hold(
        by=str(row.get("by", "")),
        task_name=str(row.get("task_name", "")),
        count=of_type(int, row.get("count")) or 0,
        limit=of_type(str, row.get("limit")),
    )


def _running(hostname: str, row: Mapping[str, Any], age_seconds: float) -> RunningTask:
    return RunningTask(
        worker=hostname,
        task_id=name(row.get("task_id")),
        task_name=name(row.get("task_name")),
        queue=of_type(str, row.get("queue")),
        time_start=number(row.get("time_start")),
        runtime_seconds=plus(row.get("runtime_seconds"), age_seconds),
        limit_seconds=number(row.get("limit_seconds")),
        args=of_type(str, row.get("args")),
        kwargs=of_type(str, row.get("kwargs")),
    )


def _reserved(hostname: str, row: Mapping[str, Any], _age_seconds: float) -> ReservedTask:
    return ReservedTask(
        worker=hostname,
        task_id=name(row.get("task_id")),
        task_name=name(row.get("task_name")),
        queue=of_type(str, row.get("queue")),
        args=of_type(str, row.get("args")),
        kwargs=of_type(str, row.get("kwargs")),
    )


def _scheduled(hostname: str, row: Mapping[str, Any], _age_seconds: float) -> ScheduledTask:
    return ScheduledTask(
        worker=hostname,
        task_id=name(row.get("task_id")),
        task_name=name(row.get("task_name")),
        eta=moment(row.get("eta")),
        queue=of_type(str, row.get("queue")),
        args=of_type(str, row.get("args")),
        kwargs=of_type(str, row.get("kwargs")),
    )


def worker_from_builtin(hostname: str, replies: Mapping[str, Any]) -> Worker:
    """Return the worker that Celery's own inspect commands describe: one that runs without celery_health.

    How long its tasks have run is unknown: its replies carry its clock's time, and clocks are not compared.
    """
    stats = of_type(dict, replies.get("stats")) or {}
    pool = of_type(dict, stats.get("pool")) or {}
    queues = _queue_names(replies.get("active_queues"))
    active = [_request(row, queues) for row in rows(replies.get("active"))]
    reserved = [_request(row, queues) for row in rows(replies.get("reserved"))]
    scheduled = [
        {**_request(request, queues), "eta": row.get("eta")}
        for row in rows(replies.get("scheduled"))
        if (request := of_type(dict, row.get("request"))) is not None
    ]
    processes = of_type(list, pool.get("processes"))
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
        "processed": sum((of_type(dict, stats.get("total")) or {}).values()) if stats else None,
        "prefetch_count": stats.get("prefetch_count"),
    }
    return worker_from_report(
        hostname, report, state=load_state(report), source=Source.INSPECTION, age_seconds=0.0
    )


def _queue_names(value: object) -> list[str] | None:
    return [name(row.get("name")) for row in rows(value)] if isinstance(value, list | tuple) else None


def _registered(value: object) -> Sequence[str] | None:
    # A name may be followed by the task's attributes in brackets (celery/worker/control.py).
    listed = names(value)
    return None if listed is None else [one.partition(" ")[0] for one in listed]


def _pool_name(implementation: object) -> str | None:
    if not isinstance(implementation, str):
        return None
    module = implementation.partition(":")[0].rpartition(".")[2]
    return {"thread": "threads"}.get(module, module)


def _request(row: Mapping[str, Any], queues: Collection[str] | None) -> dict[str, Any]:
    delivery = of_type(dict, row.get("delivery_info")) or {}
    key = delivery.get("routing_key")
    # Through an exchange a routing key is no queue's name, unless the worker takes from one of that name.
    is_queue = not delivery.get("exchange") or (isinstance(key, str) and key in (queues or ()))
    return {
        "task_id": row.get("id"),
        "task_name": row.get("name") or row.get("type"),
        "queue": key if is_queue else None,
        "time_start": row.get("time_start"),
    }
