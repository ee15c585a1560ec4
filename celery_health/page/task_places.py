"""Where one task runs: its queues, the workers that know it, the schedule that sends it, what runs. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.health.headline import consumers, oldest
from celery_health.page.blocks import MOST_ON_OVERVIEW, Cell, Column, Row, Table, name, table, words
from celery_health.page.counts import Counts
from celery_health.page.links import Links
from celery_health.page.runs import counted, is_listed_in_full, present, queues_of
from celery_health.page.tasks import RUNNING, about_running, ran
from celery_health.page.workers import tone_of
from celery_health.reading.schedules import schedule_entries
from celery_health.records import ScheduleEntryState, Snapshot, Worker, WorkerState
from celery_health.text.formats import UNKNOWN, duration, number, plural

_NOBODY: Final = "No worker that is known registers it."


def running(task: str, snapshot: Snapshot, links: Links) -> Table:
    """Return one row per run under way, the longest first."""
    found = [one for one in snapshot.running if one.task_name == task]
    is_all = is_listed_in_full(snapshot, "active")
    return table(
        "running",
        "Running now",
        (RUNNING[-1], *RUNNING[:-1]),
        [(cells[-1], *cells[:-1]) for one in found if (cells := ran(one, links))],
        "No run of it is under way." if is_all else "Whether one runs is not known.",
        note="" if is_all or not found else about_running(snapshot),
        json=links.json("tasks", task=task),
    )


def queues(task: str, snapshot: Snapshot, counts: Counts, links: Links) -> Table:
    """Return one row per queue that it comes by."""
    known = {queue.name: queue for queue in snapshot.queues}
    letters = snapshot.dead_letters
    rows = []
    for queue in queues_of(task, snapshot, (counts.totals or {}).get(task)):
        state = known.get(queue)
        cells = [
            name(queue, href=links.queue(queue)),
            Cell(number(state.ready if state else None)),
            Cell(oldest(state) if state else UNKNOWN),
            Cell(consumers(state) if state else UNKNOWN),
        ]
        if letters is not None:
            amount = letters.get(queue, 0)
            cells.append(Cell(number(amount), href=links.letters(queue) if amount else ""))
        rows.append(cells)
    return table(
        "queues",
        "Queues",
        (
            Column("Queue"),
            Column("Waiting", True),
            Column("Oldest", True),
            Column("Consumers", True),
            *(() if letters is None else (Column("Dead letters", True),)),
        ),
        rows,
        "It is not known by which queues it comes: none was seen, and the router names none.",
        most=MOST_ON_OVERVIEW,
        note="Besides this task others may wait there." if rows else "",
        json=links.json("queues"),
    )


def workers(task: str, snapshot: Snapshot, links: Links) -> Table:
    """Return one row per worker that registers it or runs it, those that run it first."""
    running_it = {
        worker.hostname: sum(1 for one in worker.active if one.task_name == task)
        for worker in present(snapshot)
    }
    found = sorted(
        (
            worker
            for worker in present(snapshot)
            if task in (worker.registered or ()) or running_it[worker.hostname]
        ),
        key=lambda worker: (-running_it[worker.hostname], worker.hostname),
    )
    untold = sum(1 for worker in present(snapshot) if worker.registered is None)
    is_all = snapshot.roster_is_known and not untold
    return table(
        "workers",
        "Workers",
        (
            Column("Worker"),
            Column("State"),
            Column("Runs of it now", True),
            Column("Last seen", True),
        ),
        [Row(_worker(worker, running_it[worker.hostname], links), tone_of(worker)) for worker in found],
        _NOBODY if is_all else "It is not known which workers register it.",
        most=MOST_ON_OVERVIEW,
        note=f"Of {plural(untold, 'worker')} it is not known what they register." if untold and found else "",
        json=links.json("workers"),
    )


def _worker(worker: Worker, runs: int, links: Links) -> tuple[Cell, ...]:
    seen = worker.last_seen_seconds
    is_all = worker.state is not WorkerState.UNKNOWN and worker.active_count == len(worker.active)
    return (
        name(worker.hostname, href=links.worker(worker.hostname)),
        Cell(words(worker.state.value), tone_of(worker)),
        Cell(counted(runs, is_all)),
        Cell(UNKNOWN if seen is None else f"{duration(seen)} ago"),
    )


def schedule(task: str, snapshot: Snapshot, links: Links) -> Table | None:
    """Return one row per entry that sends it; None where none does."""
    found = [entry for entry in schedule_entries(snapshot.beats) or () if entry.task == task]
    if not found:
        return None
    return table(
        "schedule",
        "Sent by the schedule",
        (Column("Entry"), Column("When"), Column("Last sent", True), Column("Next", True)),
        [_entry(entry, links) for entry in found],
        "",
        most=MOST_ON_OVERVIEW,
        json=links.json("schedule"),
    )


def _entry(entry: ScheduleEntryState, links: Links) -> tuple[Cell, ...]:
    sent, due = entry.last_sent_seconds, entry.next_due_in_seconds
    return (
        name(entry.entry, href=links.entry(entry.entry)),
        name(entry.schedule) if entry.enabled else Cell("disabled", "quiet"),
        Cell("-" if sent is None else f"{duration(sent)} ago"),
        Cell("-" if not entry.enabled else duration(due if due is None else max(0.0, due))),
    )
