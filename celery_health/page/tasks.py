"""Tasks: what runs, and what became of the runs of the last minutes. Pure."""

from __future__ import annotations

from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, joined, name, table
from celery_health.page.links import Links
from celery_health.page.problems import about, worst_of
from celery_health.records import HealthReport, RunningTask, Snapshot, TaskOutcomes
from celery_health.text.formats import duration, number
from celery_health.text.printable import printable


def page(report: HealthReport, links: Links) -> Page:
    """Return all tasks."""
    return Page(
        title="Tasks",
        blocks=(recent(report, links), running(report.snapshot, links)),
        json=links.json("stats"),
    )


def page_of(task: str, report: HealthReport, links: Links) -> Page:
    """Return one task."""
    return Page(
        title=name(task).text,
        kind="Task",
        blocks=joined(about(report.checks, "task", task, links)),
        json=links.json("stats", task=task),
    )


def running(snapshot: Snapshot, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per running task, the longest first."""
    tasks, total = snapshot.running, snapshot.running_count
    return table(
        "running",
        "Running now",
        (Column("Task"), Column("For", True), Column("Queue"), Column("Worker"), Column("Id")),
        [_running(task, links) for task in tasks[:most]],
        "No task is running." if total == 0 else "It is not known what runs.",
        # A worker names a bounded number of its tasks; the count is of all.
        total=max(len(tasks), total or 0),
        note=_about_tasks(snapshot) if tasks else "",
        json=links.json("tasks"),
    )


def _about_tasks(snapshot: Snapshot) -> str:
    untold = "Perhaps there are others: not every worker has told."
    notes = [*([untold] if snapshot.running_count is None else []), *map(printable, snapshot.task_notes)]
    return " ".join(notes)


def _running(task: RunningTask, links: Links) -> tuple[Cell, ...]:
    seconds, limit = task.runtime_seconds, task.limit_seconds
    is_late = seconds is not None and limit is not None and seconds > limit
    return (
        name(task.task_name, href=links.task(task.task_name)),
        Cell(duration(seconds), "warn" if is_late else ""),
        name(task.queue, href=links.queue(task.queue or "")),
        name(task.worker, href=links.worker(task.worker)),
        name(task.task_id),
    )


def recent(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per task that ended lately: those with a fault, then those that failed most."""
    snapshot, faults = report.snapshot, worst_of(report.checks, "task")
    found = sorted(
        (snapshot.recent or {}).items(),
        key=lambda item: (item[0] not in faults, -_troubles(item[1]), -item[1].succeeded, item[0]),
    )
    return table(
        "recent",
        "Tasks of the last minutes",
        (
            Column("Task"),
            Column("Succeeded", True),
            Column("Failed", True),
            Column("Retried", True),
            Column("Not registered", True),
        ),
        [Row(_outcomes(task, outcomes, links), faults.get(task, "")) for task, outcomes in found],
        "None has ended." if snapshot.recent is not None else f"It is not known: {why_no_store(snapshot)}.",
        most=most,
        json=links.json("stats"),
    )


def why_no_store(snapshot: Snapshot) -> str:
    """Return why nothing is counted."""
    if not snapshot.store.configured:
        return "there is no store"
    return f"the store did not answer ({printable(snapshot.store.error or 'no reason is known')})"


def _troubles(outcomes: TaskOutcomes) -> int:
    return outcomes.failed + outcomes.unknown


def _outcomes(task: str, outcomes: TaskOutcomes, links: Links) -> tuple[Cell, ...]:
    return (
        name(task, href=links.task(task)),
        Cell(number(outcomes.succeeded)),
        Cell(number(outcomes.failed), "warn" if outcomes.failed else ""),
        Cell(number(outcomes.retried)),
        Cell(number(outcomes.unknown), "warn" if outcomes.unknown else ""),
    )
