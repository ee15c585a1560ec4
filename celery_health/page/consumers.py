"""Who takes from a queue, who does so no more, and why that is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from celery_health.page.blocks import Cell, Column, Row, Table, name, table, words
from celery_health.page.links import Links
from celery_health.page.sources import what_is_unread
from celery_health.page.workers import last_seen
from celery_health.records import QueueState, Snapshot, Worker, WorkerState
from celery_health.text.formats import UNKNOWN, duration, number
from celery_health.text.printable import printable

_COLUMNS: Final = (
    Column("Worker"),
    Column("What it does"),
    Column("Running from it", True),
    Column("Held of it", True),
    Column("Slots busy", True),
    Column("Last seen", True),
)


def consumers(queue: QueueState, snapshot: Snapshot, links: Links, *, scales_to_zero: bool = False) -> Table:
    """Return one row per worker that takes from a queue, or has it among its queues and does not."""
    found = table(
        "consumers",
        "Who takes from it",
        _COLUMNS,
        list(_rows(queue, snapshot, links)),
        "No worker takes from it." if queue.consumers == 0 else "It is not known who does.",
        note=" ".join(_notes(queue, snapshot, scales_to_zero)),
    )
    return replace(found, count=queue.consumers)


def _rows(queue: QueueState, snapshot: Snapshot, links: Links) -> Iterator[Row]:
    by_name: dict[str, list[Worker]] = {}
    for worker in snapshot.workers:
        by_name.setdefault(worker.hostname, []).append(worker)
    told = set()
    for hostname in dict.fromkeys(queue.consumer_names):
        # Of two workers under one name each may have other queues.
        ours = [one for one in by_name.get(hostname, ()) if one.queues is None or queue.name in one.queues]
        for worker in ours:
            yield _row(worker, queue.name, f"takes from it ({words(worker.state.value)})", links)
        if not ours:
            yield _row(hostname, queue.name, "takes from it", links)
        told.add(hostname)
    for hostname in queue.foreign_consumers:
        yield _row(hostname, queue.name, "takes from it: of another application", links, is_linked=False)
    for text in queue.idle_consumers:
        hostname, _, state = text.removesuffix(")").rpartition(" (")
        worker_or_name = _first(by_name, hostname) or hostname
        yield _row(worker_or_name, queue.name, f"takes nothing now ({state})", links)
        told.add(hostname)
    for worker in snapshot.workers:
        if worker.hostname in told:
            continue
        if queue.name in worker.cancelled_queues and worker.state.is_live:
            yield _row(worker, queue.name, "was told to take from it no more (cancel_consumer)", links)
        elif queue.name in (worker.queues or ()) and not worker.state.is_live:
            yield _row(worker, queue.name, _formerly(worker, queue.name), links)


def _first(by_name: Mapping[str, list[Worker]], hostname: str) -> Worker | None:
    return next(iter(by_name.get(hostname, ())), None)


def _formerly(worker: Worker, queue: str) -> str:
    if worker.state is not WorkerState.GONE:
        return "has it among its queues, and has not answered"
    if worker.said_goodbye:
        return "took from it, and has left"
    ran, held = worker.active_by_queue.get(queue, 0), _held(worker, queue)
    with_it = f": it ran {number(ran)} and held {held} from here" if ran or held != "0" else ""
    return f"took from it, and is gone{with_it}"


def _row(worker: Worker | str, queue: str, does: str, links: Links, *, is_linked: bool = True) -> Row:
    if isinstance(worker, str):
        cells = [Cell(UNKNOWN)] * 4
        hostname, tone = worker, ""
    else:
        cells = [*_numbers(worker, queue), Cell(last_seen(worker))]
        hostname, tone = worker.hostname, "" if worker.state.is_live else "quiet"
    href = links.worker(hostname) if is_linked else ""
    return Row((name(hostname, href=href), Cell(printable(does)), *cells), tone)


def _numbers(worker: Worker, queue: str) -> tuple[Cell, Cell, Cell]:
    """Return what it runs and holds of a queue, and its slots: nothing now, of one that is gone."""
    if worker.state is WorkerState.GONE:
        return Cell("-"), Cell("-"), Cell("-")
    return (
        Cell(_part(worker.active_count, worker.active_by_queue.get(queue, 0))),
        Cell(_held(worker, queue)),
        Cell(f"{number(worker.active_count)} of {number(worker.concurrency)}"),
    )


def _part(total: int | None, part: int) -> str:
    """Return a part of what a worker holds; not known while the whole is not."""
    return number(None if total is None else part)


def _held(worker: Worker, queue: str) -> str:
    if worker.reserved_count is None or worker.scheduled_count is None:
        return UNKNOWN
    return number(worker.reserved_by_queue.get(queue, 0) + worker.scheduled_by_queue.get(queue, 0))


def _notes(queue: QueueState, snapshot: Snapshot, scales_to_zero: bool) -> Iterator[str]:
    seconds = queue.unconsumed_seconds
    if queue.consumption_unknown:
        why = printable(queue.consumption_unknown)
        yield f"Whether anybody takes from it is not known: {why}."
    elif queue.consumers is None and seconds == 0:
        yield "Somebody takes from it, for messages go; who does is not known."
    elif queue.consumers is None:
        yield "Whether anybody takes from it is not known."
    elif queue.consumers == 0:
        yield _since(queue)
        if not queue.expected_by and not what_is_unread(snapshot):
            yield "Nobody has to: nothing of this project is known to be sent here."
    unnamed = (queue.consumers or 0) - len(queue.consumer_names) - len(queue.foreign_consumers)
    if unnamed > 0:
        yield f"The broker counts {number(unnamed)} more, whose names are not known."
    if scales_to_zero:
        yield "It may be without consumers while it is empty (scale_to_zero)."


def _since(queue: QueueState) -> str:
    if queue.unconsumed_seconds is None:
        return "Nobody takes from it; since when is not known."
    told = duration(queue.unconsumed_seconds)
    if queue.unconsumed_by_store:
        return f"Nobody has taken from it for {told}, as the store says."
    return f"Nobody has taken from it for {told}, as long as this process watched it; it may be longer."
