"""What else is known of one worker: its pool, its clocks, its process. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from celery_health.page.blocks import Cell, Facts, name
from celery_health.records import Source, Worker
from celery_health.text.formats import UNKNOWN, duration, number
from celery_health.text.printable import printable


def facts(worker: Worker, suffix: str) -> Facts:
    """Return everything that has no place of its own."""
    return Facts(
        id=f"facts{suffix}",
        title="The worker",
        pairs=(*_pool(worker), *_clocks(worker), *_process(worker)),
    )


def _pool(worker: Worker) -> Iterator[tuple[str, Cell]]:
    slots = f"{number(worker.concurrency)} slots"
    yield "Pool", name(worker.pool)._replace(detail=slots)
    if worker.children is not None:
        gone = f"none for {duration(worker.childless_seconds)}" if worker.childless_seconds else ""
        yield "Pool processes", Cell(number(worker.children), detail=gone)
    if worker.children_restarted is not None:
        lost = worker.children_lost_per_minute
        died = "" if lost is None else f"{number(round(lost, 1))} died in the last minute"
        yield "Processes replaced", Cell(number(worker.children_restarted), detail=died)
    prefetch = worker.prefetch_count
    yield "May hold", Cell("any number" if prefetch == 0 else number(prefetch), detail="messages at once")
    yield "Done since its start", Cell(number(worker.processed), detail="tasks accepted")


def _clocks(worker: Worker) -> Iterator[tuple[str, Cell]]:
    if worker.source is not Source.HEARTBEATS:
        yield "Clocks", Cell(UNKNOWN, detail="it keeps no record in a store")
        return
    yield "Event loop turned", _ago(worker.loop_age_seconds)
    yield "Read the broker", _ago(worker.read_age_seconds, unread(worker))
    yield "A task began or ended", _ago(worker.progress_age_seconds, idle(worker))


def unread(worker: Worker) -> str:
    """Return for how long it should have read, and has not."""
    return f"should have read for {duration(worker.unread_seconds)}" if worker.unread_seconds else ""


def idle(worker: Worker) -> str:
    """Return for how long it could have begun something, and has not."""
    return f"had a free slot for {duration(worker.idle_seconds)}" if worker.idle_seconds else ""


def _ago(seconds: float | None, detail: str = "") -> Cell:
    return Cell(UNKNOWN if seconds is None else f"{duration(seconds)} ago", detail=detail)


def _process(worker: Worker) -> Iterator[tuple[str, Cell]]:
    started = worker.started_at
    yield "Started", Cell(UNKNOWN if started is None else f"{started:%Y-%m-%d %H:%M:%S %Z}".strip())
    # No thousands in a process id: it is to be pasted.
    yield "Process id", Cell(UNKNOWN if worker.pid is None else str(worker.pid))
    versions = [
        f"{printable(what, 40)} {printable(version, 40)}" for what, version in worker.versions.items()
    ]
    yield "Versions", Cell(", ".join(sorted(versions)[:10]) or UNKNOWN)
    if worker.app_id is not None:
        yield "APP_ID", name(worker.app_id)
    if worker.is_paused:
        yield "Paused", Cell("yes", detail="told to consume nothing (cancel_consumer)")
    if worker.is_doubled:
        yield "Its name", Cell("is not its own", detail="another live process reports under it")
