"""The verdict as lines of text: for the person who was woken by it.

The first line says how bad it is and why; then what is wrong, each with what to do; then who is there and
what waits. Pure: a `HealthReport` becomes lines, coloured by the `Style` that is handed in. Every text that
may hold a name from the broker goes through `printable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from django.core.management.color import Style

from celery_health.health.folding import FAULTS, WORST_FIRST, Row, folded, unfolded
from celery_health.health.headline import reason
from celery_health.management.sections import SECTIONS
from celery_health.records import (
    CheckResult,
    CheckStatus,
    HealthReport,
    QueueState,
    Snapshot,
    Status,
    Worker,
    WorkerState,
)
from celery_health.text.formats import UNKNOWN, duration, listing, number
from celery_health.text.printable import printable

#: What is shown before "and N more". Faults first: what is merely not known must not bury them.
MOST_FAULTS: Final = 10
MOST_OTHERS: Final = 3
MOST_WORKERS: Final = 5
MOST_QUEUES: Final = 8
#: Longer names are cut: a summary is for reading, the JSON has them whole.
NAME_LENGTH: Final = 80

_COLUMN: Final = max(len(status.value) for status in CheckStatus) + 2


def render(report: HealthReport, style: Style, *, verbose: bool = False) -> list[str]:
    """Return the lines of the verdict; `verbose` adds every check, worker, running task and queue."""
    lines = [headline(report, style)]
    if results := results_lines(report.checks, style, verbose=verbose):
        lines += ["", *results]
    lines += ["", *summary(report)]
    if verbose:
        for title, section in SECTIONS:
            lines += ["", style.MIGRATE_LABEL(title), *section(report.snapshot)]
        lines += ["", f"{UNKNOWN} is not known; zero is a value."]
    return lines


def headline(report: HealthReport, style: Style) -> str:
    """Return the status and, in one sentence, the reason for it."""
    paint: dict[Status, Callable[[str], str]] = {
        Status.HEALTHY: style.SUCCESS,
        Status.DEGRADED: style.WARNING,
        Status.UNHEALTHY: style.ERROR,
    }
    return f"{paint[report.status](report.status.value.upper())}: {reason(report)}"


def results_lines(checks: Iterable[CheckResult], style: Style, *, verbose: bool = False) -> list[str]:
    """Return the results that did not pass, the worst first, each with what to do about it."""
    rows = unfolded(checks) if verbose else folded(checks)
    lines: list[str] = []
    for status in WORST_FIRST if verbose else WORST_FIRST[:-1]:
        found = [row for row in rows if row.status is status]
        most = MOST_FAULTS if status in FAULTS else MOST_OTHERS
        shown = found if verbose else found[:most]
        for row in shown:
            lines += _row(row, style)
        if len(found) > len(shown):
            more = f"{number(len(found) - len(shown))} more (--verbose shows all)"
            lines.append(_labelled(status, style) + f"... and {more}")
    return lines


def _labelled(status: CheckStatus, style: Style) -> str:
    paint: dict[CheckStatus, Callable[[str], str]] = {
        CheckStatus.FAIL: style.ERROR,
        CheckStatus.WARN: style.WARNING,
        CheckStatus.PASS: style.SUCCESS,
    }
    word = paint.get(status, style.HTTP_NOT_MODIFIED)(status.value)
    return f"  {word}{' ' * (_COLUMN - len(status.value))}"


def _row(row: Row, style: Style) -> list[str]:
    lines = [f"{_labelled(row.status, style)}{', '.join(row.ids)}: {printable(row.message)}"]
    indent = " " * (_COLUMN + 2)
    if advice := _advice(row.results[0]):
        lines.append(indent + style.MIGRATE_LABEL(advice))
    lines += [f"{indent}{one.why}: {', '.join(one.ids)}" for one in row.consequences]
    return lines


def _advice(check: CheckResult) -> str:
    """Return what to do, without a first sentence that stands on the line above already."""
    advice = check.recommendation or ""
    sentence, _, rest = advice.partition(". ")
    return printable(rest if rest and check.message.startswith(sentence) else advice)


def summary(report: HealthReport) -> list[str]:
    """Return who is there, what waits, and where that was read."""
    snapshot = report.snapshot
    lines = [f"Workers  {_workers(snapshot)}", f"Queues   {_queues(snapshot.queues)}"]
    if snapshot.app.always_eager:
        lines = []
    moment = snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S %Z")
    broker = f", broker {printable(snapshot.broker.url)}" if snapshot.broker.url else ""
    return [
        *lines,
        f"App      {printable(snapshot.app.name, NAME_LENGTH)}{broker}",
        f"Read     {moment}, {duration(report.age_seconds)} ago, from {snapshot.source.value}",
        *(f"Note     {printable(note)}" for note in snapshot.notes),
    ]


def _workers(snapshot: Snapshot) -> str:
    workers = snapshot.workers
    if not workers:
        return "none" if snapshot.inspection.complete else "none known"
    groups = [
        ("live", [worker for worker in workers if worker.state.is_live]),
        ("not known", [worker for worker in workers if worker.state is WorkerState.UNKNOWN]),
        ("gone", [worker for worker in workers if worker.state is WorkerState.GONE]),
    ]
    return "; ".join(
        f"{number(len(members))} {title} ({listing([_worker(member) for member in members], MOST_WORKERS)})"
        for title, members in groups
        if members
    )


def _worker(worker: Worker) -> str:
    name = printable(worker.hostname, NAME_LENGTH)
    plain = (WorkerState.OK, WorkerState.UNKNOWN, WorkerState.GONE)
    return name if worker.state in plain else f"{name} {worker.state.value.replace('_', ' ')}"


def _queues(queues: Sequence[QueueState]) -> str:
    if not queues:
        return "none known"
    # The deepest first; the empty ones by name only where there is room.
    full = sorted((queue for queue in queues if queue.ready), key=lambda queue: -(queue.ready or 0))
    empty = [queue for queue in queues if queue.ready == 0]
    unread = [printable(queue.name, NAME_LENGTH) for queue in queues if queue.ready is None]
    named = [*full, *empty] if len(full) + len(empty) <= MOST_QUEUES else full
    parts = [f"{printable(queue.name, NAME_LENGTH)} {number(queue.ready)}" for queue in named[:MOST_QUEUES]]
    if len(named) > MOST_QUEUES:
        parts.append(f"{number(len(named) - MOST_QUEUES)} more")
    if len(named) < len(full) + len(empty):
        parts.append(f"{number(len(empty))} empty")
    if unread:
        parts.append(f"{number(len(unread))} not known ({listing(unread, MOST_OTHERS)})")
    return ", ".join(parts)
