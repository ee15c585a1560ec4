"""One task: what is wrong with it, its last hour, its exceptions, and where it runs. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

from celery_health.page.blocks import (
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    Page,
    Plot,
    Table,
    Text,
    joined,
    name,
    table,
)
from celery_health.page.counts import Counts
from celery_health.page.links import Links
from celery_health.page.plots import Kind, Series, columns, legend
from celery_health.page.problems import about, worst_of
from celery_health.page.runs import (
    DISCARDED,
    UNDONE,
    Held,
    Quantile,
    ends_in_words,
    failed_share,
    held,
    held_count,
    may_be_uncounted,
    notes_of,
    quantile,
    queues_of,
    share,
    undone_in_words,
)
from celery_health.page.task_places import queues, running, schedule, workers
from celery_health.page.tasks import idle_names, letters_of, meaning_of, uncounted
from celery_health.records import HealthReport, Hour, LettersLack, Snapshot, TaskHour
from celery_health.text.formats import UNKNOWN, listing, number, plural
from celery_health.text.printable import printable

#: A longer name is cut in headings, and told in full below.
_LONG: Final = 100
_FULL_LENGTH: Final = 1000
_SIMILAR: Final = 5


def page(task: str, report: HealthReport, links: Links, counts: Counts) -> Page:
    """Return one task; 404 where nothing is known of that name, and all that would know it answered."""
    snapshot = report.snapshot
    title = name(task).text
    if not _is_known(task, report, counts):
        return _unknown(task, title, report, links, counts)
    of_task = counts.hour.task(task) if counts.hour is not None else None
    return Page(
        title=title,
        kind="Task",
        blocks=joined(
            about(report.checks, "task", task, links),
            _in_full(task),
            uncounted(snapshot, counts),
            _figures(task, of_task, report, counts, links),
            _by_minute(task, of_task, snapshot, counts.hour),
            _exceptions(task, of_task, snapshot, counts, links),
            running(task, snapshot, links),
            _runtimes(task, counts),
            queues(task, snapshot, counts, links),
            workers(task, snapshot, links),
            schedule(task, snapshot, links),
        ),
        json=links.json("stats", task=task),
    )


def _is_known(task: str, report: HealthReport, counts: Counts) -> bool:
    snapshot = report.snapshot
    return (
        (counts.hour is not None and task in counts.hour.tasks)
        or task in (counts.totals or {})
        or task in (snapshot.recent or {})
        or task in worst_of(report.checks, "task")
        or task in idle_names(snapshot)
        or any(task in (worker.registered or ()) for worker in snapshot.workers)
        or bool(queues_of(task, snapshot, None))
        or any(held_count(task, snapshot, what) for what in ("active", "reserved", "scheduled"))
    )


def _unknown(task: str, title: str, report: HealthReport, links: Links, counts: Counts) -> Page:
    snapshot = report.snapshot
    is_certain = snapshot.roster_is_known and (counts.hour is not None or not snapshot.store.configured)
    lines = [Cell(f"No worker registers a task '{title}', none holds one, and no run of it was counted.")]
    if not is_certain:
        lines = [Cell(f"Nothing is known of a task '{title}', and not everything could be asked.")]
    names = idle_names(snapshot) | {*(counts.totals or ()), *(counts.hour.tasks if counts.hour else ())}
    # Dead letters name their tasks as they are shown.
    meant = [one for one in names if one != task and printable(one) == task]
    if len(meant) == 1:
        return Page(title=title, blocks=(), leads_to=links.task(meant[0]))
    similar = get_close_matches(task[:_FULL_LENGTH], names, n=_SIMILAR, cutoff=0.7)
    lines += [name(one, href=links.task(one)) for one in similar]
    lines.append(Cell("All tasks", href=links.tasks))
    return Page(
        title=title,
        kind="Task",
        status=HTTPStatus.NOT_FOUND if is_certain else HTTPStatus.OK,
        blocks=joined(_in_full(task), Text(id="unknown", lines=tuple(lines)), uncounted(snapshot, counts)),
    )


def _in_full(task: str) -> Block | None:
    """Return what the name is of which the heading has no more than a part, or that stands for others."""
    if meaning := meaning_of(task):
        return Text(id="about", lines=(Cell(f"Counted under this name: {meaning[:1].lower()}{meaning[1:]}"),))
    if len(printable(task, _FULL_LENGTH)) <= _LONG:
        return None
    return Facts(id="about", pairs=(("Name in full", Cell(printable(task, _FULL_LENGTH))),))


def _figures(
    task: str, of_task: TaskHour | None, report: HealthReport, counts: Counts, links: Links
) -> Figures:
    snapshot = report.snapshot
    is_counted = (
        of_task is not None
        and counts.hour is not None
        and counts.hour.minutes > 0
        and (of_task.ended_count > 0 or not may_be_uncounted(task, snapshot))
    )
    totals = (counts.totals or {}).get(task)
    kinds: tuple[tuple[Held, str], ...] = (
        ("reserved", "taken and not begun"), ("scheduled", "wait for their time"),
    )  # fmt: skip
    counted = [(held(task, snapshot, what), words) for what, words in kinds]
    return Figures(
        id="figures",
        figures=(
            Figure(
                "In the last hour",
                number(of_task.ended_count) if of_task is not None and is_counted else UNKNOWN,
                ends_in_words(of_task) if of_task is not None else "",
            ),
            Figure(
                "Failed",
                number(of_task.failed_count) if of_task is not None and is_counted else UNKNOWN,
                _failed_and_undone(of_task) if of_task is not None else "",
                tone=worst_of(report.checks, "task").get(task, ""),
                href=letters_of(task, snapshot, totals, links),
            ),
            Figure("p95", quantile(totals.runtime if totals else None, "p95"), "of all runs"),
            Figure(
                "Running now",
                held(task, snapshot, "active"),
                ", ".join(" ".join(one) for one in counted if one[0] != "0"),
            ),
        ),
    )


def _failed_and_undone(of_task: TaskHour) -> str:
    return ", ".join(filter(None, (failed_share(of_task), *undone_in_words([of_task]))))


def _by_minute(task: str, of_task: TaskHour | None, snapshot: Snapshot, hour: Hour | None) -> Block | None:
    """Return the ends, minute by minute, with the table behind."""
    if of_task is None or hour is None:
        return None
    note = " ".join(notes_of(hour, snapshot))
    if not of_task.ended_count:
        is_known = hour.minutes and not may_be_uncounted(task, snapshot)
        text = "No run of it has ended in the last hour." if is_known else ""
        return Text(id="hour", title="Minute by minute", lines=(Cell(f"{text} {note}".strip()),))
    kinds: tuple[tuple[Kind, tuple[int, ...], str], ...] = (
        ("bad", of_task.failed, "failed"),
        ("lost", *_lost(of_task)),
        ("retry", of_task.retried, "retried"),
        ("ok", of_task.succeeded, "succeeded"),
    )
    there = [(kind, values, label) for kind, values, label in kinds if any(values)]
    series = [
        Series(
            kind=kind,
            values=[count if hour.is_known(place) else None for place, count in enumerate(values)],
            label=label,
        )
        for kind, values, label in there
    ]
    return Plot(
        id="hour",
        title="Minute by minute",
        plot=columns(series, what="Ends of runs per minute")
        + legend([kind for kind, _, _ in there], {kind: label for kind, _, label in there}),
        note=note,
        behind=_table_behind(of_task, hour),
    )


def _lost(of_task: TaskHour) -> tuple[tuple[int, ...], str]:
    """Return what did not run to an end of its own, minute by minute, and in words."""
    kinds = [(DISCARDED, of_task.unknown), *((what, getattr(of_task, kind)) for kind, what in UNDONE)]
    there = [(what, values) for what, values in kinds if any(values)] or kinds[:1]
    sums = tuple(map(sum, zip(*(values for _, values in there), strict=True)))
    return sums, there[0][0] if len(there) == 1 else listing([what for what, _ in there], len(there))


def _table_behind(of_task: TaskHour, hour: Hour) -> Table:
    # Every column for what nearly all have; for the rest where there is any.
    undone = [(what, getattr(of_task, kind)) for kind, what in UNDONE if any(getattr(of_task, kind))]
    four = (of_task.succeeded, of_task.failed, of_task.retried, of_task.unknown)
    each = enumerate(zip(*four, *(values for _, values in undone), strict=True))
    rows = [
        (Cell(f"{hour.begins_at(place):%H:%M}"), *(Cell(number(count)) for count in counts))
        for place, counts in each
        if any(counts)
    ]
    return table(
        "hour-table",
        "",
        (
            Column("Minute (UTC)"),
            Column("Succeeded", True),
            Column("Failed", True),
            Column("Retried", True),
            Column("Discarded", True),
            *(Column(what.capitalize(), True) for what, _ in undone),
        ),
        rows[::-1],
        "",
        note="Minutes in which none ended are left out.",
    )


def _exceptions(
    task: str, of_task: TaskHour | None, snapshot: Snapshot, counts: Counts, links: Links
) -> Table | None:
    """Return with which exceptions runs failed for good; None where none did."""
    if of_task is None or not of_task.failed_count:
        return None
    failed = of_task.failed_count
    totals = (counts.totals or {}).get(task)
    rows = [
        (
            name(exception, href=letters_of(task, snapshot, totals, links, exception=exception)),
            Cell(number(count)),
            Cell(share(count, failed)),
        )
        for exception, count in of_task.exceptions.items()
    ]
    if unnamed := of_task.unnamed_count:
        why = "Only so many are told apart, and workers of earlier versions do not say it."
        rows.append(
            (Cell("not known", "quiet", detail=why), Cell(number(unnamed)), Cell(share(unnamed, failed)))
        )
    letters = letters_of(task, snapshot, totals, links)
    note = "Messages and tracebacks stand in the dead letters." if letters else _where_tracebacks(snapshot)
    return table(
        "exceptions",
        "Failed in the last hour with",
        (Column("Exception"), Column("Failures", True), Column("Share", True)),
        rows,
        "",
        note=note,
        more=Cell("Dead letters", href=letters) if letters else None,
    )


def _where_tracebacks(snapshot: Snapshot) -> str:
    log = "Messages and tracebacks stand in the workers' logs."
    if snapshot.dead_letters_lack is LettersLack.OFF:
        return f"{log} Where dead letters are on, they are kept with what failed."
    return log


def _runtimes(task: str, counts: Counts) -> Facts | None:
    totals = (counts.totals or {}).get(task)
    if totals is None or totals.runtime is None:
        return None
    quantiles: tuple[Quantile, ...] = ("p50", "p95", "p99")
    return Facts(
        id="runtimes",
        title="How long runs take",
        pairs=tuple((which, Cell(quantile(totals.runtime, which))) for which in quantiles),
        note=f"Of {plural(totals.runtime.samples, 'run')}, all that were counted, failed ones included.",
    )
