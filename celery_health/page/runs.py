"""What became of a task's runs, and what is known of those under way, as cells and words. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from celery_health.page.blocks import Cell, name
from celery_health.page.plots import Part, stacked_bar
from celery_health.reading.schedules import schedule_entries
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import (
    HOUR_MINUTES,
    Hour,
    ObservedRuntime,
    Snapshot,
    Source,
    TaskHour,
    Worker,
    WorkerState,
)
from celery_health.text.formats import UNKNOWN, duration, listing, number, plural
from celery_health.text.printable import printable

Quantile = Literal["p50", "p95", "p99"]
Held = Literal["active", "reserved", "scheduled"]
#: Exceptions that are named in the row of a task.
_EXCEPTIONS: Final = 2
_BAR_WIDTH: Final = 160
_PROBLEMS: Final = 5
#: How `QueueState.expected_by` begins where a task is routed to a queue.
_TASK: Final = "task:"
#: What became of a message whose name no worker registers.
DISCARDED: Final = "discarded, as no worker registers it"
#: Ends that are neither success nor failure, by their fields, in words.
UNDONE: Final = (
    ("rejected", "rejected"),
    ("expired", "expired"),
    ("redelivered", "killed and delivered again"),
)


def ends(of_task: TaskHour) -> Cell:
    """Return the bar of the ends; a colour means the same everywhere."""
    if not of_task.ended_count:
        return Cell("none", "quiet")
    parts = (
        Part(kind="ok", count=of_task.succeeded_count),
        Part(kind="bad", count=of_task.failed_count),
        Part(kind="retry", count=of_task.retried_count),
        Part(kind="lost", count=of_task.unknown_count, label=DISCARDED),
        *(Part(kind="lost", count=sum(getattr(of_task, kind)), label=what) for kind, what in UNDONE),
    )
    bar = stacked_bar([part for part in parts if part.count], _BAR_WIDTH, is_told=True)
    return Cell("", plot=bar, detail=ends_in_words(of_task))


def ends_in_words(of_task: TaskHour) -> str:
    """Return how many there were of each kind that there were of."""
    kinds = (
        (of_task.succeeded_count, "succeeded"),
        (of_task.failed_count, "failed"),
        (of_task.retried_count, "retried"),
        (of_task.unknown_count, "discarded"),
    )
    told = [f"{number(count)} {what}" for count, what in kinds if count]
    return ", ".join([*told, *undone_in_words([of_task])])


def undone_in_words(hours: Iterable[TaskHour]) -> list[str]:
    """Return how many were rejected, had expired, or were killed and come again: those that there were."""
    hours = list(hours)
    counts = [(sum(sum(getattr(hour, kind)) for hour in hours), what) for kind, what in UNDONE]
    return [f"{number(count)} {what}" for count, what in counts if count]


def failures(of_task: TaskHour, fault: str, letters: str) -> Cell:
    """Return how many failed for good, of how many, and with which exceptions; a link to `letters`.

    And how many ended undone otherwise: where there are any.
    """
    undone = undone_in_words([of_task])
    if not of_task.failed_count:
        return Cell("0", fault if undone else "", detail=", ".join(undone))
    named = [f"{name(exception).text} {number(count)}" for exception, count in of_task.exceptions.items()]
    if of_task.unnamed_count:
        named.append(f"exception not known {number(of_task.unnamed_count)}")
    text = f"{number(of_task.failed_count)} ({failed_share(of_task)})"
    return Cell(text, fault, letters, detail="; ".join([listing(named, _EXCEPTIONS), *undone]).strip("; "))


def failed_share(of_task: TaskHour) -> str:
    """Return the share of the runs that failed for good; empty where none did."""
    failed = of_task.failed_count
    return share(failed, failed + of_task.succeeded_count) if failed else ""


def share(part: int, whole: int) -> str:
    """Return a share in words: ``12 %``, and never 0 or 100 for what is neither."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 1:
        return "under 1 %"
    return "over 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def uncounted_workers(snapshot: Snapshot) -> list[Worker]:
    """Return the workers that live and do not report to the store: nobody counts what they run."""
    return [
        worker for worker in snapshot.workers if worker.state.is_live and worker.source is Source.INSPECTION
    ]


def may_be_uncounted(task: str, snapshot: Snapshot) -> bool:
    """Say whether runs of a task may have ended that nobody counted."""
    return snapshot.store.refuses_writes is not None or any(
        worker.registered is None or task in worker.registered for worker in uncounted_workers(snapshot)
    )


def notes_of(hour: Hour | None, snapshot: Snapshot) -> Iterable[str]:
    """Yield what of the hour is not known: whole sentences."""
    if hour is None:
        return
    if why := snapshot.store.refuses_writes:
        yield f"The store takes no reports, so what ends now is not counted yet ({printable(why, 300)})."
    if silent := len(uncounted_workers(snapshot)):
        does, it_runs = ("does", "it runs") if silent == 1 else ("do", "they run")
        yield f"{plural(silent, 'worker')} {does} not report to the store: what {it_runs} is not counted."
    if not hour.minutes:
        yield "No process has reported to the store yet: what became of runs is not known."
    elif hour.minutes < HOUR_MINUTES:
        yield f"Counted for {plural(hour.minutes, 'minute')}: what was before is not known."
    if hour.unread:
        yield f"Not counted in: {plural(len(hour.unread), 'minute')} of the hour, which could not be read."
    yield from map(printable, hour.problems[:_PROBLEMS])


def quantile(runtime: ObservedRuntime | None, which: Quantile) -> str:
    """Return how long at most so many of all runs took, since the totals began."""
    if runtime is None:
        return UNKNOWN
    value: float | None = getattr(runtime, f"{which}_seconds")
    if value is not None:
        return f"{value * 1000:.0f} ms" if value < 0.9995 else duration(value)
    longest = runtime.measured_to_seconds
    return UNKNOWN if longest is None else f"at least {duration(longest)}"


def counted(count: int, is_all: bool) -> str:
    """Return a number of those that are listed, where there may be more."""
    if is_all:
        return number(count)
    return f"at least {number(count)}" if count else UNKNOWN


def held_count(task: str, snapshot: Snapshot, what: Held) -> int:
    """Return how many of one task workers list."""
    return sum(1 for worker in present(snapshot) for one in getattr(worker, what) if one.task_name == task)


def held(task: str, snapshot: Snapshot, what: Held) -> str:
    """Return how many of one task there are, as far as workers say."""
    return counted(held_count(task, snapshot, what), is_listed_in_full(snapshot, what))


def is_listed_in_full(snapshot: Snapshot, what: Held) -> bool:
    """Say whether workers list all of what they hold, and no worker is missing."""
    workers = list(present(snapshot))
    return (
        snapshot.roster_is_known
        and all(worker.state is not WorkerState.UNKNOWN for worker in workers)
        and all(getattr(worker, f"{what}_count") == len(getattr(worker, what)) for worker in workers)
    )


def present(snapshot: Snapshot) -> Iterable[Worker]:
    """Return the workers that may be running something: not those known to be gone."""
    return (worker for worker in snapshot.workers if worker.state is not WorkerState.GONE)


def queues_of(task: str, snapshot: Snapshot, totals: TaskTotals | None) -> list[str]:
    """Return the queues that a task is sent to, was taken from, or is to come by, in order of their names."""
    found = set(_expected(snapshot).get(task, ()))
    if totals is not None:
        found |= totals.sent_to | totals.taken_from | totals.failed_from
    return sorted(found)


#: Of the last reading: a page asks for every task that failed, and each time there may be a thousand queues.
_last: tuple[object, object, Mapping[str, set[str]]] | None = None


def _expected(snapshot: Snapshot) -> Mapping[str, set[str]]:
    """Return task → the queues that it is to come by, as routes and the schedule have it."""
    global _last
    last = _last
    if last is not None and last[0] is snapshot.queues and last[1] is snapshot.beats:
        return last[2]
    found: dict[str, set[str]] = defaultdict(set)
    for queue in snapshot.queues:
        for why in queue.expected_by:
            if why.startswith(_TASK):
                found[why.removeprefix(_TASK)].add(queue.name)
    for entry in schedule_entries(snapshot.beats) or ():
        if entry.queue:
            found[entry.task].add(entry.queue)
    _last = snapshot.queues, snapshot.beats, dict(found)
    return _last[2]
