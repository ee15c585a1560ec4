"""The schedule: which entries there are, whether beat sends them in time, and who beat is. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from celery_health.page.beats import beats, none_runs
from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, joined, name, table, words
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Problems
from celery_health.page.problems import kind_of, troubles, worst_of
from celery_health.page.single import choice, starts_with, title_of, tones_of
from celery_health.reading.schedules import last_beat, schedule_entries, untold_entries
from celery_health.records import Beat, CheckStatus, HealthReport, ScheduleEntryState, Snapshot
from celery_health.text.formats import duration
from celery_health.text.printable import printable

#: The check that is about beats; what the other says of single entries stands in their rows.
_OF_BEATS = "beat.alive"


def page(report: HealthReport, links: Links, *, begins: str = "") -> Page:
    """Return what is wrong with the schedule, who sends it, and each entry, or those that begin so."""
    entries = schedule_entries(report.snapshot.beats) or ()
    wrong = _wrong(report, links)
    is_told = wrong is not None and any(problem.advice for problem in wrong.problems)
    return Page(
        title="Schedule",
        blocks=joined(
            wrong,
            none_runs(report.snapshot, with_command=not is_told),
            beats(report, links) if report.snapshot.beats else None,
            choice("entries", begins, len(entries), links.schedule),
            replace(schedule(report, links, begins=begins), title=title_of(begins) if begins else "Entries"),
        ),
        json=links.json("schedule"),
    )


def _wrong(report: HealthReport, links: Links) -> Problems | None:
    said = (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.UNKNOWN)
    found = [
        check
        for check in report.checks
        if kind_of(check) == "entry"
        and check.status in said
        and (check.id == _OF_BEATS or check.subject is None)
    ]
    return troubles(found, links) if found else None


def schedule(report: HealthReport, links: Links, *, most: int = MOST_ROWS, begins: str = "") -> Table:
    """Return one row per entry: those with a fault, then the latest first, those that are off last."""
    snapshot, faults = report.snapshot, worst_of(report.checks, "entry")
    tones = tones_of(report.checks, "entry")
    entries = schedule_entries(snapshot.beats)
    found = sorted(
        (entry for entry in entries or () if starts_with(entry.entry, begins)),
        key=lambda entry: (
            entry.entry not in faults,
            not entry.enabled,
            -(entry.overdue_seconds or 0),
            entry.entry,
        ),
    )
    # Mostly nothing went wrong, and a column of nothing takes the place of names.
    has_trouble = any(entry.last_error or entry.missed or entry.restarts for entry in found)
    states = ", ".join(f"{name(beat.name).text} {words(beat.state.value)}" for beat in _beats(snapshot))
    return table(
        "schedule",
        f"Schedule (beat: {states})" if states else "Schedule",
        (
            Column("Entry"),
            Column("Task"),
            Column("Queue"),
            Column("When"),
            Column("Last sent", True),
            Column("Next", True),
            Column("Late", True),
            *((Column("Trouble"),) if has_trouble else ()),
        ),
        (
            Row(
                _entry(
                    entry,
                    links,
                    tones.get(entry.entry, {}).get("beat.on_time", ""),
                    has_trouble=has_trouble,
                ),
                faults.get(entry.entry, "" if entry.enabled else "quiet"),
            )
            for entry in found
        ),
        "No beat has told what it sends."
        if entries is None
        else "None begins so."
        if begins
        else "The schedule is empty.",
        most=most,
        total=len(found) + (0 if begins else untold_entries(snapshot.beats, len(found))),
        json=links.json("schedule"),
    )


def _beats(snapshot: Snapshot) -> list[Beat]:
    """Return the beats that live, else the one seen last."""
    living = [beat for beat in snapshot.beats if not beat.state.has_ended]
    last = last_beat(snapshot.beats)
    return living or ([last] if last is not None else [])


def _entry(entry: ScheduleEntryState, links: Links, tone: str, *, has_trouble: bool) -> tuple[Cell, ...]:
    return (
        name(entry.entry, href=links.entry(entry.entry)),
        name(entry.task, href=links.task(entry.task)),
        name(entry.queue, href=links.queue(entry.queue) if entry.queue else ""),
        name(entry.schedule) if entry.enabled else Cell("disabled", "quiet"),
        Cell(last_sent(entry)),
        Cell(next_due(entry)),
        Cell(late(entry), tone),
        *((Cell("; ".join(trouble(entry)), tone),) if has_trouble else ()),
    )


def last_sent(entry: ScheduleEntryState) -> str:
    """Return when it was last sent, as far as this beat, or what its scheduler remembers, says."""
    if entry.last_sent_seconds is not None:
        return f"{duration(entry.last_sent_seconds)} ago"
    return "-" if entry.last_sent_at is None else f"{entry.last_sent_at:%Y-%m-%d %H:%M}"


def next_due(entry: ScheduleEntryState) -> str:
    """Return when it is due: never, where it is off."""
    due = entry.next_due_in_seconds
    if not entry.enabled:
        return "-"
    return duration(due if due is None else max(0.0, due))


def late(entry: ScheduleEntryState) -> str:
    """Return how late it is."""
    if entry.overdue_seconds == 0 or not entry.enabled:
        return "-"
    return duration(entry.overdue_seconds)


def trouble(entry: ScheduleEntryState) -> Iterator[str]:
    """Yield what went wrong with it, in words."""
    if entry.last_error:
        yield printable(entry.last_error)
    if entry.missed:
        yield "missed while no beat ran"
    if entry.restarts:
        yield f"beat started {entry.restarts} times before it was due"
