"""Tasks: what became of their runs in the last hour, how long runs take, and what runs now. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from django.utils.html import format_html

from celery_health.counters import OTHER
from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, Text, joined, name, table
from celery_health.page.counts import Counts, why_uncounted
from celery_health.page.links import Links
from celery_health.page.problems import kind_of, tone_of, worst_of
from celery_health.page.runs import (
    counted,
    ends,
    failures,
    is_listed_in_full,
    may_be_uncounted,
    notes_of,
    present,
    quantile,
    queues_of,
)
from celery_health.reading.schedules import schedule_entries
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import (
    CheckResult,
    HealthReport,
    Hour,
    RunningTask,
    Snapshot,
    TaskHour,
)
from celery_health.text.formats import UNKNOWN, duration
from celery_health.text.printable import printable

#: What is told of a running task, besides its name: see `ran`.
RUNNING: Final = (Column("For", True), Column("Queue"), Column("Worker"), Column("Id"))
_TONES: Final = ("", "warn", "bad")


def page(report: HealthReport, links: Links, counts: Counts) -> Page:
    """Return all tasks."""
    return Page(
        title="Tasks",
        blocks=joined(
            uncounted(report.snapshot, counts),
            tasks(report, links, counts, with_idle=True),
            running(report.snapshot, links),
        ),
        json=links.json("stats"),
    )


def uncounted(snapshot: Snapshot, counts: Counts) -> Text | None:
    """Return what is not known of runs, and why; None where it is."""
    if counts.hour is not None:
        return None
    lines = [
        "What became of runs, with which exceptions they failed, and how long they took is not known: "
        f"{why_uncounted(snapshot)}."
    ]
    if not snapshot.store.configured and not snapshot.app.always_eager:
        lines.append(
            "Neither broker nor result backend is a Redis: set STORE_URL in CELERY_HEALTH to one, and "
            "workers count their runs there. What runs now they are asked."
        )
    return Text(id="uncounted", lines=tuple(Cell(line) for line in lines))


def tasks(
    report: HealthReport, links: Links, counts: Counts, *, most: int = MOST_ROWS, with_idle: bool = False
) -> Table:
    """Return one row per task: those with a fault, then those that failed most, then those that ran most.

    Args:
        report: the verdict, which says what is at fault.
        links: from the page that shows it.
        counts: what is counted.
        most: rows.
        with_idle: also tasks that are only known by name, and those that have not run for an hour.
    """
    snapshot, hour, totals = report.snapshot, counts.hour, counts.totals or {}
    faults = worst_of(report.checks, "task")
    runs = Counter(task.task_name for worker in present(snapshot) for task in worker.active)
    names = {*faults, *runs, *(hour.tasks if hour else ())}
    if with_idle:
        names.update(totals, idle_names(snapshot))
    ordered = sorted(names, key=lambda task: _rank(task, faults.get(task, ""), runs[task], hour))
    ids, is_all = _faults_in_words(report.checks), is_listed_in_full(snapshot, "active")
    rows = [
        Row(
            (
                _named(task, faults.get(task, ""), ids.get(task, ""), links),
                *_of_hour(task, faults.get(task, ""), report.snapshot, counts, links),
                Cell(quantile(totals[task].runtime if task in totals else None, "p95")),
                Cell(counted(runs[task], is_all)),
            ),
            faults.get(task, ""),
        )
        for task in ordered[:most]
    ]
    return table(
        "tasks",
        "Tasks in the last hour",
        (
            Column("Task"),
            Column("Last hour"),
            Column("Failed", True),
            Column("p95", True),
            Column("Running", True),
        ),
        rows,
        "No task has run." if hour is not None else f"It is not known: {why_uncounted(snapshot)}.",
        most=most,
        total=len(ordered),
        note=" ".join(notes_of(hour, snapshot)),
        json=links.json("stats"),
    )


def idle_names(snapshot: Snapshot) -> set[str]:
    """Return the tasks that workers register or the schedule sends; Celery's own left out."""
    registered = (worker.registered or () for worker in snapshot.workers)
    names = {task for names in registered for task in names if not task.startswith("celery.")}
    return names | {entry.task for entry in schedule_entries(snapshot.beats) or () if entry.task}


def _rank(task: str, fault: str, runs: int, hour: Hour | None) -> tuple[int, int, int, int, str]:
    ends = hour.task(task) if hour else TaskHour()
    return (
        -_TONES.index(fault),
        -(ends.failed_count + ends.unknown_count + ends.undone_count),
        -ends.ended_count,
        -runs,
        task,
    )


def _faults_in_words(results: Iterable[CheckResult]) -> dict[str, str]:
    """Return task → the checks that found a fault of it."""
    found: dict[str, list[str]] = {}
    for result in results:
        if result.subject is not None and kind_of(result) == "task" and tone_of(result.status) in _TONES:
            found.setdefault(result.subject, []).append(result.id)
    return {task: ", ".join(dict.fromkeys(ids)) for task, ids in found.items()}


def _named(task: str, fault: str, ids: str, links: Links) -> Cell:
    dot = format_html('<span class="dot {}"><span class="hidden">(fault)</span></span>', fault)
    return name(task, href=links.task(task))._replace(
        plot=dot if fault else "", detail=ids or meaning_of(task)
    )


def meaning_of(task: str) -> str:
    """Return what is counted under a name that no task has; empty for the name of a task."""
    if not task:
        return "Messages that nobody could read."
    return "All tasks over the number that is told apart." if task == OTHER else ""


def _of_hour(task: str, fault: str, snapshot: Snapshot, counts: Counts, links: Links) -> tuple[Cell, Cell]:
    hour, totals = counts.hour, (counts.totals or {}).get(task)
    if hour is None or not hour.minutes:
        return Cell(UNKNOWN, "quiet"), Cell(UNKNOWN, "quiet")
    of_task = hour.task(task)
    if not of_task.ended_count and may_be_uncounted(task, snapshot):
        return Cell(UNKNOWN, "quiet"), Cell(UNKNOWN, "quiet")
    letters = letters_of(task, snapshot, totals, links) if of_task.failed_count else ""
    return ends(of_task), failures(of_task, fault, letters)


def letters_of(
    task: str, snapshot: Snapshot, totals: TaskTotals | None, links: Links, *, exception: str | None = None
) -> str:
    """Return the address of the dead letters of a task; empty for none.

    Of its queues with letters: one where it failed, before those it was only taken from or may be sent to;
    of these the one that has most, which may be another task's.
    """
    letters = snapshot.dead_letters or {}
    if not task or not any(letters.values()):
        return ""
    failed, taken = (totals.failed_from, totals.taken_from) if totals is not None else ((), ())
    found = [
        (queue in failed, queue in taken, count, queue)
        for queue in queues_of(task, snapshot, totals)
        if (count := letters.get(queue) or 0)
    ]
    if not found:
        return ""
    *_, queue = max(found)
    chosen = {} if exception in (None, OTHER) else {"exception": exception or ""}
    return links.letters(queue, task=task, **chosen)


def running(snapshot: Snapshot, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per running task, the longest first."""
    tasks, total = snapshot.running, snapshot.running_count
    return table(
        "running",
        "Running now",
        (Column("Task"), *RUNNING),
        [(name(task.task_name, href=links.task(task.task_name)), *ran(task, links)) for task in tasks[:most]],
        "No task is running." if total == 0 else "It is not known what runs.",
        # A worker names a bounded number of its tasks; the count is of all.
        total=max(len(tasks), total or 0),
        note=about_running(snapshot) if tasks else "",
        json=links.json("tasks"),
    )


def about_running(snapshot: Snapshot) -> str:
    """Return why there may be others than those listed; empty where there are none."""
    untold = "Perhaps there are others: not every worker has told."
    notes = [*([untold] if snapshot.running_count is None else []), *map(printable, snapshot.task_notes)]
    return " ".join(notes)


def ran(task: RunningTask, links: Links) -> tuple[Cell, ...]:
    """Return the cells of `RUNNING`."""
    seconds, limit = task.runtime_seconds, task.limit_seconds
    is_late = seconds is not None and limit is not None and seconds > limit
    return (
        Cell(duration(seconds), "warn" if is_late else ""),
        name(task.queue, href=links.queue(task.queue) if task.queue else ""),
        name(task.worker, href=links.worker(task.worker)),
        name(task.task_id),
    )
