"""What a worker's record says it is doing: pure, over the record and its age."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_health.conf import Limits
from celery_health.reading.fields import number
from celery_health.records import WorkerState


def recorded_state(record: Mapping[str, Any], age_seconds: float, limits: Limits) -> WorkerState:
    """Return the state of the worker whose record, of `age_seconds` ago, is `record`.

    What explains silence comes before what accuses: a worker that drains or reconnects is not stuck. One that
    says why it ended has.
    """
    if (
        record.get("goodbye")
        or isinstance(record.get("exit"), Mapping)
        or age_seconds > limits.worker_lost_seconds
    ):
        return WorkerState.GONE
    if record.get("draining"):
        return WorkerState.DRAINING
    # Earlier versions do not say so.
    if record.get("starting") is True:
        return WorkerState.STARTING
    if record.get("connected") is False:
        return WorkerState.RECONNECTING
    looping = record.get("looping") is not False
    if looping and _over(record.get("loop_age_seconds"), limits.loop_stuck_seconds):
        return WorkerState.STUCK
    if _over(_unread(record, looping=looping), limits.not_consuming_seconds):
        return WorkerState.NOT_CONSUMING
    return load_state(record)


def _unread(record: Mapping[str, Any], *, looping: bool) -> object:
    """Return for how long the worker should have read and has not."""
    if "unread_seconds" in record:
        return record["unread_seconds"]
    # The record of an older version: how long ago it read, if it should read now.
    should = looping and record.get("can_consume") is not False and not record.get("paused")
    return record.get("read_age_seconds") if should else None


def _over(seconds: object, limit: float) -> bool:
    # The age as the worker measured it: that of the record itself says how old the news is, and no more.
    known = number(seconds)
    return known is not None and known > limit


def load_state(record: Mapping[str, Any]) -> WorkerState:
    """Return how loaded a worker is, of one that is known to be well.

    ``no_queues``: it is subscribed to none. ``held_back``: it has free slots and takes nothing, for all that
    it holds waits for a limit. ``saturated``: it holds all that it may prefetch, and reads no more until a
    task ends. ``busy``: each of its slots runs a task. ``ok``: none of these.
    """
    if record.get("paused") is True or record.get("queues") == []:
        return WorkerState.NO_QUEUES
    held_back = record.get("held_back")
    if isinstance(held_back, list) and held_back:
        return WorkerState.HELD_BACK
    if record.get("can_consume") is False:
        return WorkerState.SATURATED
    active, concurrency = record.get("active_count"), record.get("concurrency")
    if (
        not isinstance(active, int)
        or not isinstance(concurrency, int)
        or not concurrency
        or active < concurrency
    ):
        return WorkerState.OK
    reserved, prefetch = record.get("reserved_count"), record.get("prefetch_count")
    if isinstance(prefetch, int) and isinstance(reserved, int) and 0 < prefetch <= active + reserved:
        return WorkerState.SATURATED
    return WorkerState.BUSY
