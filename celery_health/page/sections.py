"""What stands on the status page, as tables of text. Pure: the same report gives the same page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from celery_health.health.folding import Row, folded
from celery_health.health.headline import consumers, oldest
from celery_health.page.tables import MOST_ROWS, Cell, Column, Section, name, section, words
from celery_health.reading.schedules import last_beat, schedule_entries, untold_entries
from celery_health.records import (
    Beat,
    CheckResult,
    CheckStatus,
    QueueState,
    RunningTask,
    ScheduleEntryState,
    Snapshot,
    TaskOutcomes,
    Worker,
    WorkerState,
)
from celery_health.text.formats import UNKNOWN, duration, listing, number
from celery_health.text.printable import printable

_NAMES: Final = 6

_WORRYING_WORKERS: Final = (WorkerState.STUCK, WorkerState.NOT_CONSUMING, WorkerState.GONE)
_UNSURE_WORKERS: Final = (WorkerState.UNKNOWN, WorkerState.RECONNECTING, WorkerState.NO_QUEUES)
_CHECK_TONES: Final = {CheckStatus.FAIL: "bad", CheckStatus.WARN: "warn"}
_TONES: Final = ("bad", "warn", "", "quiet")


def troubles(results: Iterable[CheckResult]) -> Section:
    """Return what did not pass, the worst first, each cause with what is not known because of it."""
    found = [row for row in folded(results) if row.status is not CheckStatus.PASS]
    return section(
        "checks",
        "Checks",
        None,
        (Column("Check"), Column("Result"), Column("About"), Column("What was found")),
        [cells for row in found for cells in _check(row)],
        "None found anything.",
    )


def _check(row: Row) -> Iterable[tuple[Cell, ...]]:
    tone = "quiet" if row.status is CheckStatus.OFF else ""
    yield (
        Cell(", ".join(row.ids), tone),
        Cell(row.status.value, _CHECK_TONES.get(row.status, "quiet")),
        name(row.results[0].subject, missing=""),
        Cell(printable(row.message), tone),
    )
    for one in row.consequences:
        cells = (", ".join(one.ids), one.status.value, "", f"{one.why}.")
        yield tuple(Cell(text, "quiet") for text in cells)


def tables(snapshot: Snapshot) -> tuple[Section, ...]:
    """Return what the verdict was judged by."""
    found = [workers(snapshot), queues(snapshot), running(snapshot), recent(snapshot), schedule(snapshot)]
    if snapshot.dead_letters is not None:
        found.append(dead_letters(snapshot))
    return tuple(found)


def workers(snapshot: Snapshot) -> Section:
    """Return one row per worker, those that worry first."""
    found = sorted(snapshot.workers, key=lambda worker: (_TONES.index(_tone_of(worker)), worker.hostname))
    return section(
        "workers",
        "Workers",
        "workers",
        (
            Column("Worker"),
            Column("State"),
            Column("Pool"),
            Column("Running", True),
            Column("Reserved", True),
            Column("Scheduled", True),
            Column("Last seen", True),
            Column("Queues"),
        ),
        [_worker(worker) for worker in found],
        "No worker is known.",
    )


def _worker(worker: Worker) -> tuple[Cell, ...]:
    pool = name(worker.pool).text + ("" if worker.concurrency is None else f" {worker.concurrency}")
    seen = worker.last_seen_seconds
    names = None if worker.queues is None else listing([name(queue).text for queue in worker.queues], _NAMES)
    return (
        name(worker.hostname),
        Cell(words(worker.state.value), _tone_of(worker)),
        Cell(pool),
        Cell(number(worker.active_count)),
        Cell(number(worker.reserved_count)),
        Cell(number(worker.scheduled_count)),
        Cell(UNKNOWN if seen is None else f"{duration(seen)} ago"),
        Cell(UNKNOWN if names is None else names or "none"),
    )


def _tone_of(worker: Worker) -> str:
    if worker.state is WorkerState.GONE and (worker.said_goodbye or worker.is_draining):
        return "quiet"
    if worker.state in _WORRYING_WORKERS:
        return "bad"
    return "warn" if worker.state in _UNSURE_WORKERS else ""


def queues(snapshot: Snapshot) -> Section:
    """Return one row per queue: those that nobody can read or takes from, then the fullest."""
    found = sorted(
        snapshot.queues,
        key=lambda queue: (queue.ready is not None, not _is_deserted(queue), -(queue.ready or 0), queue.name),
    )
    return section(
        "queues",
        "Queues",
        "queues",
        (
            Column("Queue"),
            Column("Waiting", True),
            Column("Oldest", True),
            Column("Reserved", True),
            Column("Unacked", True),
            Column("Scheduled", True),
            Column("Running", True),
            Column("Consumers", True),
            Column("Capacity", True),
        ),
        [_queue(queue) for queue in found],
        "No queue is known.",
    )


def _queue(queue: QueueState) -> tuple[Cell, ...]:
    return (
        name(queue.name),
        Cell(number(queue.ready), "" if queue.ready is not None else "warn"),
        Cell(oldest(queue)),
        Cell(number(queue.reserved)),
        Cell(number(queue.unacked)),
        Cell(number(queue.scheduled)),
        Cell(number(queue.active)),
        Cell(consumers(queue), "warn" if _is_deserted(queue) else ""),
        Cell(number(queue.capacity)),
    )


def _is_deserted(queue: QueueState) -> bool:
    return queue.consumers == 0 and bool(queue.expected_by)


def running(snapshot: Snapshot) -> Section:
    """Return one row per running task, the longest first."""
    tasks, total = snapshot.running, snapshot.running_count
    return section(
        "running",
        "Running tasks",
        "tasks",
        (Column("Task"), Column("For", True), Column("Queue"), Column("Worker"), Column("Id")),
        [_running(task) for task in tasks[:MOST_ROWS]],
        "No task is running." if total == 0 else "It is not known what runs.",
        # A worker names a bounded number of its tasks; the count is of all.
        total=max(len(tasks), total or 0),
        note=_about_tasks(snapshot) if tasks else "",
    )


def _about_tasks(snapshot: Snapshot) -> str:
    untold = "Perhaps there are others: not every worker has told."
    notes = [*([untold] if snapshot.running_count is None else []), *map(printable, snapshot.task_notes)]
    return " ".join(notes)


def _running(task: RunningTask) -> tuple[Cell, ...]:
    seconds, limit = task.runtime_seconds, task.limit_seconds
    is_late = seconds is not None and limit is not None and seconds > limit
    return (
        name(task.task_name),
        Cell(duration(seconds), "warn" if is_late else ""),
        name(task.queue),
        name(task.worker),
        name(task.task_id),
    )


def recent(snapshot: Snapshot) -> Section:
    """Return one row per task that ended lately, those that failed most first."""
    found = sorted(
        (snapshot.recent or {}).items(), key=lambda item: (-_troubles(item[1]), -item[1].succeeded, item[0])
    )
    return section(
        "recent",
        "Tasks of the last minutes",
        "stats",
        (
            Column("Task"),
            Column("Succeeded", True),
            Column("Failed", True),
            Column("Retried", True),
            Column("Unknown to its worker", True),
        ),
        [_outcomes(task, outcomes) for task, outcomes in found],
        "None has ended." if snapshot.recent is not None else f"It is not known: {_why_no_store(snapshot)}.",
    )


def _why_no_store(snapshot: Snapshot) -> str:
    if not snapshot.store.configured:
        return "there is no store"
    return f"the store did not answer ({printable(snapshot.store.error or 'no reason is known')})"


def _troubles(outcomes: TaskOutcomes) -> int:
    return outcomes.failed + outcomes.unknown


def _outcomes(task: str, outcomes: TaskOutcomes) -> tuple[Cell, ...]:
    return (
        name(task),
        Cell(number(outcomes.succeeded)),
        Cell(number(outcomes.failed), "warn" if outcomes.failed else ""),
        Cell(number(outcomes.retried)),
        Cell(number(outcomes.unknown), "warn" if outcomes.unknown else ""),
    )


def schedule(snapshot: Snapshot) -> Section:
    """Return one row per entry of the schedule, the latest first."""
    entries = schedule_entries(snapshot.beats)
    found = sorted(entries or (), key=lambda entry: (-(entry.overdue_seconds or 0), entry.entry))
    states = ", ".join(f"{name(beat.name).text} {words(beat.state.value)}" for beat in _beats(snapshot))
    return section(
        "schedule",
        f"Schedule (beat: {states})" if states else "Schedule",
        "schedule",
        (
            Column("Entry"),
            Column("Task"),
            Column("When"),
            Column("Last sent", True),
            Column("Next", True),
            Column("Late", True),
            Column("Trouble"),
        ),
        [_entry(entry) for entry in found],
        "The schedule is empty." if entries is not None else "No beat has told what it sends.",
        total=len(found) + untold_entries(snapshot.beats, len(found)),
    )


def _beats(snapshot: Snapshot) -> list[Beat]:
    """Return the beats that live, else the one seen last."""
    living = [beat for beat in snapshot.beats if not beat.state.has_ended]
    last = last_beat(snapshot.beats)
    return living or ([last] if last is not None else [])


def _entry(entry: ScheduleEntryState) -> tuple[Cell, ...]:
    late, sent, due = entry.overdue_seconds, entry.last_sent_seconds, entry.next_due_in_seconds
    is_in_time = late == 0 or not entry.enabled
    trouble = entry.last_error or ("missed while no beat ran" if entry.missed else "")
    return (
        name(entry.entry),
        name(entry.task),
        name(entry.schedule) if entry.enabled else Cell("disabled", "quiet"),
        Cell("-" if sent is None else f"{duration(sent)} ago"),
        Cell("-" if not entry.enabled else duration(due if due is None else max(0.0, due))),
        Cell("-") if is_in_time else Cell(duration(late), "quiet" if late is None else "warn"),
        Cell(printable(trouble), "warn" if trouble else ""),
    )


def dead_letters(snapshot: Snapshot) -> Section:
    """Return one row per queue with dead letters."""
    letters = (snapshot.dead_letters or {}).items()
    found = sorted(letters, key=lambda item: (item[1] is not None, -(item[1] or 0), item[0]))
    return section(
        "dead-letters",
        "Dead letters",
        "dead-letters",
        (Column("Queue"), Column("Letters", True)),
        [(name(queue), Cell(number(count), "warn" if count is None else "")) for queue, count in found],
        "None.",
    )
