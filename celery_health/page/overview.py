"""The overview, in the order in which one asks: what is wrong, what to do, figures, all else. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from celery_health.health.gaps import WATCHED
from celery_health.health.needs import STORE
from celery_health.page.blocks import (
    MOST_ON_OVERVIEW,
    Block,
    Cell,
    Code,
    Html,
    Page,
    Table,
    Text,
    joined,
    name,
    without,
    worst,
)
from celery_health.page.brief import Brief, Folded
from celery_health.page.counts import Counts
from celery_health.page.figures import figures
from celery_health.page.letter_queues import sizes
from celery_health.page.links import Links
from celery_health.page.lost import held_by_the_gone
from celery_health.page.problems import passed, troubles
from celery_health.page.queues import queues
from celery_health.page.runs import failed_share, undone_in_words
from celery_health.page.schedule import schedule
from celery_health.page.tasks import letters_of, tasks
from celery_health.page.workers import workers
from celery_health.records import CheckStatus, HealthReport, Snapshot, WorkerState
from celery_health.text.commands import store_settings
from celery_health.text.formats import listing, number
from celery_health.text.printable import printable

_NAMES: Final = 5
#: Rows of workers, entries and letters where nothing is wrong with them: their pages have every one.
_CALM: Final = 8
#: Each takes two to three times as much of the page as another row: bar, exceptions, what is wrong.
_TASKS: Final = 15
#: Columns that only their pages have.
_DETAILS: Final = ("Pool", "Scheduled", "Running", "Capacity")
_EXCEPTIONS: Final = 3
_NOTES: Final = 20


def page(report: HealthReport, links: Links, counts: Counts) -> Page:
    """Return the overview."""
    snapshot = report.snapshot
    wrong = troubles(report.checks, links, known=_known(report, links, counts))
    return Page(
        title="",
        json=links.json("health"),
        blocks=joined(
            wrong if wrong.problems else None,
            None if snapshot.app.always_eager else _system(report, links, counts),
            Html(
                id="findings-now",
                title="Doctor",
                more=Cell("All findings", href=links.doctor),
                html="Its findings are on a page of their own.",
                is_kept=True,
            ),
            # Where nothing is wrong, what is not known is no more urgent than what is.
            replace(wrong, id="gaps", title="", count=None) if wrong.unknown and not wrong.problems else None,
            Folded(id="passed", title="What passed", lines=passed(report.checks)),
            Text(id="notes", lines=tuple(Cell(printable(note)) for note in snapshot.notes[:_NOTES])),
        ),
    )


def _system(report: HealthReport, links: Links, counts: Counts) -> tuple[Block, ...]:
    """Return what the verdict was judged by."""
    snapshot, most = report.snapshot, MOST_ON_OVERVIEW
    letters = None if snapshot.dead_letters is None else worst(sizes(report, links, most=most), _CALM)
    uncounted = _uncounted_letters(snapshot)
    of_queues = without(queues(report, links, most=most), *_DETAILS)
    of_workers = worst(without(workers(report, links, most=most), *_DETAILS, "Until later", "Queues"), _CALM)
    entries = worst(without(schedule(report, links, most=most), "Task"), _CALM)
    return joined(
        figures(report, links, counts),
        None if snapshot.store.configured else _unwatched(report),
        held_by_the_gone(snapshot, links, most=_CALM),
        _all(_unread_queues(snapshot) or of_queues, "All queues", links.queues),
        _all(tasks(report, links, counts, most=_TASKS), "All tasks", links.tasks),
        _all(_silent_workers(snapshot) or of_workers, "All workers", links.workers),
        _all(entries, "All entries", links.schedule),
        None if letters is None else _all(uncounted or letters, "All dead letters", links.dead_letters),
    )


def _all(block: Table | Brief, text: str, href: str) -> Block:
    """Return a section with the link to the page that has everything; in one line where there is nothing."""
    more = Cell(text, href=href)
    if isinstance(block, Brief) or block.rows:
        return replace(block, more=more)
    says = " ".join(part for part in (block.empty, block.note) if part)
    return Brief(id=block.id, title=block.title, says=Cell(says), more=more, json=block.json)


def _unread_queues(snapshot: Snapshot) -> Brief | None:
    """Return one line for queues of which nothing is known."""
    if not snapshot.queues or any(
        queue.ready is not None or queue.consumers is not None for queue in snapshot.queues
    ):
        return None
    names = listing([name(queue.name).text for queue in snapshot.queues], _NAMES)
    says = Cell(f"Nothing is known now of {names}.")
    return Brief(id="queues", title="Queues", count=len(snapshot.queues), says=says)


def _silent_workers(snapshot: Snapshot) -> Brief | None:
    """Return one line for workers of which nobody knows whether they live."""
    found = snapshot.workers
    if not found or any(worker.state is not WorkerState.UNKNOWN for worker in found):
        return None
    names = listing([name(worker.hostname).text for worker in found], _NAMES)
    says = Cell(f"Whether they live is not known: {names}.")
    return Brief(id="workers", title="Workers", count=len(found), says=says)


def _uncounted_letters(snapshot: Snapshot) -> Brief | None:
    """Return one line for dead letters that could not be counted."""
    letters = snapshot.dead_letters
    if not letters or any(count is not None for count in letters.values()):
        return None
    says = Cell(f"How many is not known now of {listing([name(queue).text for queue in letters], _NAMES)}.")
    return Brief(id="dead-letters", title="Dead letters", says=says)


def _unwatched(report: HealthReport) -> tuple[Block, ...]:
    """Return what nobody watches without a store, and the settings that change it."""
    ids = {one.id for one in report.checks if one.status is CheckStatus.UNSUPPORTED and one.because == STORE}
    watched = listing(list(dict.fromkeys(WATCHED.get(id, id) for id in sorted(ids))), 20)
    says = "There is no store: neither broker nor result backend is a Redis."
    return (
        Text(
            id="no-store",
            title="What is not watched",
            lines=(Cell(f"{says}{f' Nobody watches: {watched}.' if watched else ''}"),),
        ),
        Code(
            id="store-settings",
            text=store_settings(),
            note="These lines of your Django settings change it, with the address of a Redis of yours; then "
            "restart web, workers and beat. Where CELERY_HEALTH is set already, add the middle line to it.",
        ),
    )


def _known(report: HealthReport, links: Links, counts: Counts) -> dict[tuple[str, str], Cell]:
    """Return (check, task) → with which exceptions it failed, linked to its dead letters."""
    found: dict[tuple[str, str], Cell] = {}
    if counts.hour is None:
        return found
    for result in report.checks:
        if result.id != "tasks.failing" or result.subject is None or result.status is CheckStatus.PASS:
            continue
        hour = counts.hour.task(result.subject)
        undone = ", ".join(undone_in_words([hour]))
        if not hour.failed_count:
            if undone:
                found[result.id, result.subject] = Cell(f"In the last hour: {undone}.")
            continue
        named = [f"{name(exception).text} {number(count)}" for exception, count in hour.exceptions.items()]
        why = f", by {listing(named, _EXCEPTIONS)}" if named else ""
        totals = (counts.totals or {}).get(result.subject)
        letters = letters_of(result.subject, report.snapshot, totals, links)
        text = f"In the last hour {number(hour.failed_count)} ({failed_share(hour)}) failed{why}."
        text += f" Besides: {undone}." if undone else ""
        found[result.id, result.subject] = Cell(text, href=letters, detail="Its dead letters")
    return found
