"""What Celery's own inspect commands say of a worker that gives no record of its own, as a `Worker`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from celery_health.headers import STATS_MARK
from celery_health.reading.fields import counts, names, of_type, rows
from celery_health.reading.held import counted
from celery_health.reading.names_on_broker import queues_told
from celery_health.reading.worker_reports import worker_from_report
from celery_health.reading.worker_states import load_state
from celery_health.records import Source, Worker


def worker_from_builtin(hostname: str, replies: Mapping[str, Any]) -> Worker:
    """Return the worker that Celery's own inspect commands describe: one that gives no record of its own.

    How long its tasks have run is unknown: its replies carry its clock's time, and clocks are not compared.
    """
    stats = of_type(dict, replies.get("stats")) or {}
    mark = of_type(dict, stats.get(STATS_MARK)) or {}
    pool = of_type(dict, stats.get("pool")) or {}
    queues, names_on_broker = queues_told(replies.get("active_queues"), hostname)
    active = [_request(row, queues, names_on_broker) for row in rows(replies.get("active"))]
    reserved = [_request(row, queues, names_on_broker) for row in rows(replies.get("reserved"))]
    scheduled = [
        {**_request(request, queues, names_on_broker), "eta": row.get("eta")}
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
    return worker_from_report(hostname, report, state=load_state(report), source=Source.INSPECTION)


def _registered(value: object) -> Sequence[str] | None:
    # A name may be followed by the task's attributes in brackets (celery/worker/control.py).
    listed = names(value)
    return None if listed is None else [one.partition(" ")[0] for one in listed]


def _pool_name(implementation: object) -> str | None:
    if not isinstance(implementation, str):
        return None
    module = implementation.partition(":")[0].rpartition(".")[2]
    return {"thread": "threads"}.get(module, module)


def _request(
    row: Mapping[str, Any], queues: Collection[str] | None, broadcasts: Collection[str]
) -> dict[str, Any]:
    delivery = of_type(dict, row.get("delivery_info")) or {}
    key, exchange = delivery.get("routing_key"), delivery.get("exchange")
    # A broadcast has its exchange's name, and the default queue's key.
    if isinstance(exchange, str) and exchange in broadcasts:
        key = exchange
    # Through an exchange a routing key is no queue's name, unless the worker takes from one of that name.
    is_queue = not exchange or (isinstance(key, str) and key in (queues or ()))
    return {
        "task_id": row.get("id"),
        "task_name": row.get("name") or row.get("type"),
        "queue": of_type(str, key) if is_queue else None,
        "time_start": row.get("time_start"),
    }
