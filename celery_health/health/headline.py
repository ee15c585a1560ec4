"""What the command and the status page say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from celery_health.health.gaps import Gap, gaps_of
from celery_health.records import CheckStatus, HealthReport, QueueState, Snapshot
from celery_health.text.formats import duration, number, plural
from celery_health.text.printable import printable

_FAULTS: Final = (CheckStatus.FAIL, CheckStatus.WARN)


def reason(report: HealthReport) -> str:
    """Return, in one sentence that is safe to print, why the verdict is what it is."""
    troubles = [check for status in _FAULTS for check in report.checks if check.status is status]
    if troubles:
        more = len(troubles) - 1
        return printable(troubles[0].message) + (f" (and {plural(more, 'more problem')})" if more else "")
    if report.snapshot.app.always_eager:
        return "tasks run in the process that calls them (task_always_eager): no broker or worker is asked."
    if late := report.snapshot.broker.late:
        return printable(f"nothing is known of the broker. {late}")
    if error := report.snapshot.tasks_error:
        return printable(f"what should be is not known. {error}")
    present = f"{_live(report.snapshot)}, {_waiting(report.snapshot.queues)}."
    gaps = gaps_of(report.checks)
    if gaps:
        # Nothing was found wrong, which is less than everything being right.
        return f"as far as is known: {present} {' '.join(_gap(gap) for gap in _brief(gaps))}"
    return present


def _brief(gaps: Iterable[Gap]) -> Iterable[Gap]:
    """Leave out why something is not known: each row, and each note, says it."""
    unknown: dict[str, None] = {}
    for gap in gaps:
        if gap.status is CheckStatus.UNKNOWN:
            unknown |= dict.fromkeys(gap.watched)
        else:
            yield gap
    if unknown:
        yield Gap(status=CheckStatus.UNKNOWN, cause=None, watched=tuple(unknown), why="")


def _gap(gap: Gap) -> str:
    return printable(f"{gap.summary[:1].upper()}{gap.summary[1:]}.")


def oldest(queue: QueueState) -> str:
    """Return how old the oldest waiting task of a queue is, ready or held by a worker, in words."""
    if queue.waiting == 0:
        return "-"  # nothing waits, so nothing is old: that is known
    least = "over " if queue.oldest_age_is_minimum and queue.oldest_age_seconds is not None else ""
    return least + duration(queue.oldest_age_seconds)


def consumers(queue: QueueState) -> str:
    """Return how many take from a queue, in words: whose workers they are, and who takes nothing now."""
    told = number(queue.consumers)
    notes = []
    if queue.foreign_consumers:
        notes.append(f"{len(queue.foreign_consumers)} of another application")
    if queue.idle_consumers:
        first, *others = queue.idle_consumers
        notes.append(f"not {first}" + (f" and {plural(len(others), 'more worker')}" if others else ""))
    return printable(told + (f" ({', '.join(notes)})" if notes else ""))


def _live(snapshot: Snapshot) -> str:
    live = sum(1 for worker in snapshot.workers if worker.state.is_live)
    return f"{plural(live, 'worker')} alive" if live else "no worker alive"


def _waiting(queues: Sequence[QueueState]) -> str:
    read = [queue.ready for queue in queues if queue.ready is not None]
    if not read:
        return "waiting tasks unknown" if queues else "no queue known"
    return f"{plural(sum(read), 'task')} waiting"
