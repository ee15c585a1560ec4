"""What a worker says of itself, its own record or Celery's built-in replies, as a `Worker`.

Every value comes from another process: see `fields`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from celery_health.headers import STATS_MARK
from celery_health.reading.fields import (
    counts,
    lists,
    moment,
    name,
    names,
    number,
    of_type,
    plus,
    rows,
    texts,
)
from celery_health.reading.held import counted, due_by_queue
from celery_health.reading.lazy_rows import LazyRows
from celery_health.reading.names_on_broker import queues_told
from celery_health.reading.starts import exit_of
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

Row = TypeVar("Row")


def worker_from_report(
    hostname: str,
    report: Mapping[str, Any],
    *,
    state: WorkerState,
    source: Source,
    age_seconds: float,
    registered: frozenset[str] | None = None,
    is_doubled: bool = False,
    writer: str | None = None,
) -> Worker:
    """Return the worker that `report`, its record of `age_seconds` ago, describes.

    Ages in it grow by `age_seconds`: they were true when it was sent.
    """
    own_names = names(report.get("registered"))
    active = rows(report.get("active"))
    read = report.get
    unacked = of_type(dict, read("unacked")) or {}
    return Worker(
        hostname=hostname,
        state=state,
        source=source,
        pid=of_type(int, read("pid")),
        app_id=of_type(str, read("app_id")),
        pool=of_type(str, read("pool")),
        concurrency=of_type(int, read("concurrency")),
        children=of_type(int, read("children")),
        children_restarted=of_type(int, read("children_restarted")),
        active_count=of_type(int, read("active_count")),
        reserved_count=of_type(int, read("reserved_count")),
        scheduled_count=of_type(int, read("scheduled_count")),
        processed=of_type(int, read("processed")),
        prefetch_count=of_type(int, read("prefetch_count")),
        unacked_count=of_type(int, unacked.get("count")),
        unacked_clock=number(unacked.get("clock")),
        unacked_tags=of_type(str, unacked.get("tags")),
        config=of_type(str, read("config")),
        broker=of_type(str, read("broker")),
        connection_name=of_type(str, read("connection_name")),
        mailbox=of_type(str, read("mailbox")),
        queues=names(read("queues")),
        cancelled_queues=names(read("cancelled_queues")) or (),
        registered=registered if own_names is None else frozenset(own_names),
        childless_seconds=number(read("childless_seconds")),
        children_lost_per_minute=number(read("children_lost_per_minute")),
        active=LazyRows(active, partial(_running, hostname), age_seconds),
        longest_running_seconds=plus(_longest(active), age_seconds),
        shortest_limit_seconds=_shortest_limit(active),
        reserved=_rows(read("reserved"), partial(_reserved, hostname)),
        scheduled=_rows(read("scheduled"), partial(_scheduled, hostname)),
        active_by_queue=counts(read("active_by_queue")),
        reserved_by_queue=counts(read("reserved_by_queue")),
        scheduled_by_queue=counts(read("scheduled_by_queue")),
        due_by_queue=due_by_queue(read("due_by_queue")),
        is_cut=read("is_cut") is True,
        single_active_queues=names(read("single_active_queues")) or (),
        names_on_broker=lists(read("names_on_broker")),
        held_back=_holds(read("held_back")),
        is_paused=read("paused") is True,
        is_draining=read("draining") is True,
        said_goodbye=read("goodbye") is True,
        loop_age_seconds=plus(read("loop_age_seconds"), age_seconds),
        read_age_seconds=plus(read("read_age_seconds"), age_seconds),
        progress_age_seconds=plus(read("progress_age_seconds"), age_seconds),
        # As measured: in the time since, it may have read, and the rule is not to accuse for old news.
        unread_seconds=number(read("unread_seconds")),
        idle_seconds=number(read("idle_seconds")),
        last_seen_seconds=age_seconds,
        started_at=moment(read("started_at")),
        versions=texts(read("versions")),
        is_doubled=is_doubled,
        was_ready=ready if isinstance(ready := read("ready"), bool) else None,
        exit=exit_of(report),
        writer=writer,
    )


def with_rows(worker: Worker, report: Mapping[str, Any], age_seconds: float) -> Worker:
    """Return `worker` with the tasks that it listed, `age_seconds` ago, beside its record."""
    name = worker.hostname
    return replace(
        worker,
        active=LazyRows(tuple(rows(report.get("active"))), partial(_running, name), age_seconds),
        reserved=_rows(report.get("reserved"), partial(_reserved, name)),
        scheduled=_rows(report.get("scheduled"), partial(_scheduled, name)),
        active_count=of_type(int, report.get("active_count")),
        reserved_count=of_type(int, report.get("reserved_count")),
        scheduled_count=of_type(int, report.get("scheduled_count")),
    )


def _rows(value: object, build: Callable[[Mapping[str, Any], float], Row]) -> Sequence[Row]:
    return LazyRows(rows(value), build, 0.0) if value else ()


def aged(worker: Worker, age_seconds: float) -> Worker:
    """Return `worker`, built of a report that was just sent, as it is `age_seconds` later.

    The same as building it anew, in a fraction of the time: most reports are those of the last reading.
    """
    values = vars(worker).copy()
    values["last_seen_seconds"] = age_seconds
    for growing in _GROWING:
        seconds = values[growing]
        if seconds is not None:
            values[growing] = seconds + age_seconds
    active = values["active"]
    if isinstance(active, LazyRows):
        values["active"] = active.at(age_seconds)
    copy = object.__new__(Worker)
    object.__setattr__(copy, "__dict__", values)
    return copy


_GROWING: Final = (
    "loop_age_seconds", "read_age_seconds", "progress_age_seconds", "longest_running_seconds",
)  # fmt: skip


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
        is_acknowledged=_told(row.get("acknowledged")),
        args=of_type(str, row.get("args")),
        kwargs=of_type(str, row.get("kwargs")),
    )


def _told(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


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
    """Return the worker that Celery's own inspect commands describe: one that gives no record of its own.

    How long its tasks have run is unknown: its replies carry its clock's time, and clocks are not compared.
    """
    stats = of_type(dict, replies.get("stats")) or {}
    mark = of_type(dict, stats.get(STATS_MARK)) or {}
    pool = of_type(dict, stats.get("pool")) or {}
    queues, names_on_broker = queues_told(replies.get("active_queues"), hostname)
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
        "app_id": mark.get("app_id"),
        "versions": mark.get("versions"),
        "queues": queues,
        "names_on_broker": names_on_broker,
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
        # Celery lists what waits for a rate limit under none of these. Clocks are not compared with an ETA's.
        "due_by_queue": counted(reserved) if "reserved" in replies else None,
        "active_count": len(active) if "active" in replies else None,
        "reserved_count": len(reserved) if "reserved" in replies else None,
        "scheduled_count": len(scheduled) if "scheduled" in replies else None,
        "processed": sum(counts(stats.get("total")).values()) if stats else None,
        "prefetch_count": stats.get("prefetch_count"),
    }
    return worker_from_report(
        hostname, report, state=load_state(report), source=Source.INSPECTION, age_seconds=0.0
    )


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
    key, exchange = delivery.get("routing_key"), delivery.get("exchange")
    # A broadcast has its exchange's name, and the default queue's key.
    if isinstance(exchange, str) and exchange in (queues or ()):
        key = exchange
    # Through an exchange a routing key is no queue's name, unless the worker takes from one of that name.
    is_queue = not exchange or (isinstance(key, str) and key in (queues or ()))
    return {
        "task_id": row.get("id"),
        "task_name": row.get("name") or row.get("type"),
        "queue": of_type(str, key) if is_queue else None,
        "time_start": row.get("time_start"),
    }
