"""The schedule: which entries there are, and whether beat sends them in time. Pure."""

from __future__ import annotations

from celery_health.page.blocks import MOST_ROWS, Cell, Column, Page, Row, Table, name, table, words
from celery_health.page.links import Links
from celery_health.page.problems import worst_of
from celery_health.reading.schedules import last_beat, schedule_entries, untold_entries
from celery_health.records import Beat, HealthReport, ScheduleEntryState, Snapshot
from celery_health.text.formats import duration
from celery_health.text.printable import printable


def page(report: HealthReport, links: Links) -> Page:
    """Return the whole schedule."""
    return Page(title="Schedule", blocks=(schedule(report, links),), json=links.json("schedule"))


def schedule(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per entry: those with a fault, then the latest first."""
    snapshot, faults = report.snapshot, worst_of(report.checks, "entry")
    entries = schedule_entries(snapshot.beats)
    found = sorted(
        entries or (),
        key=lambda entry: (entry.entry not in faults, -(entry.overdue_seconds or 0), entry.entry),
    )
    states = ", ".join(f"{name(beat.name).text} {words(beat.state.value)}" for beat in _beats(snapshot))
    return table(
        "schedule",
        f"Schedule (beat: {states})" if states else "Schedule",
        (
            Column("Entry"),
            Column("Task"),
            Column("When"),
            Column("Last sent", True),
            Column("Next", True),
            Column("Late", True),
            Column("Trouble"),
        ),
        (Row(_entry(entry, links), faults.get(entry.entry, "")) for entry in found),
        "The schedule is empty." if entries is not None else "No beat has told what it sends.",
        most=most,
        total=len(found) + untold_entries(snapshot.beats, len(found)),
        json=links.json("schedule"),
    )


def _beats(snapshot: Snapshot) -> list[Beat]:
    """Return the beats that live, else the one seen last."""
    living = [beat for beat in snapshot.beats if not beat.state.has_ended]
    last = last_beat(snapshot.beats)
    return living or ([last] if last is not None else [])


def _entry(entry: ScheduleEntryState, links: Links) -> tuple[Cell, ...]:
    late, sent, due = entry.overdue_seconds, entry.last_sent_seconds, entry.next_due_in_seconds
    is_in_time = late == 0 or not entry.enabled
    trouble = entry.last_error or ("missed while no beat ran" if entry.missed else "")
    return (
        name(entry.entry, href=links.entry(entry.entry)),
        name(entry.task, href=links.task(entry.task)),
        name(entry.schedule) if entry.enabled else Cell("disabled", "quiet"),
        Cell("-" if sent is None else f"{duration(sent)} ago"),
        Cell("-" if not entry.enabled else duration(due if due is None else max(0.0, due))),
        Cell("-") if is_in_time else Cell(duration(late), "quiet" if late is None else "warn"),
        Cell(printable(trouble), "warn" if trouble else ""),
    )
