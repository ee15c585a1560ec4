"""One entry of the schedule, or one beat: when it was last sent, when it is due, by whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from celery_health.conf import Settings
from celery_health.health.beat import overdue_limit
from celery_health.page.beats import kept_in, meaning, sent
from celery_health.page.blocks import (
    MOST_ROWS,
    Block,
    Cell,
    Column,
    Facts,
    Figure,
    Figures,
    Page,
    Text,
    joined,
    name,
    table,
    words,
)
from celery_health.page.links import Links
from celery_health.page.problems import about
from celery_health.page.schedule import last_sent, late, next_due, trouble
from celery_health.page.single import in_full, missing, tones
from celery_health.reading.fields import clean
from celery_health.reading.schedules import schedule_entries, untold_entries
from celery_health.records import Beat, HealthReport, ScheduleEntryState, Snapshot
from celery_health.text.formats import UNKNOWN, duration, number
from celery_health.text.printable import printable

_NOBODY_CAN_SAY: Final = "nobody can say"


def page_of(title: str, report: HealthReport, links: Links, settings: Settings) -> Page:
    """Return the page of an entry, or of a beat of that name; else one that says where it was looked for."""
    snapshot = report.snapshot
    entries = schedule_entries(snapshot.beats)
    title = clean(title)  # as beats' names and their entries' are kept
    entry = next((entry for entry in entries or () if entry.entry == title), None)
    found = [beat for beat in snapshot.beats if beat.name == title]
    wrong = about(report.checks, "entry", title, links)
    if entry is None and not found and wrong is None:
        return missing(
            "entry",
            title,
            links,
            looked=_looked(entries, snapshot),
            among=(each.entry for each in entries or ()),
            address=links.schedule,
            is_certain=entries is not None and not untold_entries(snapshot.beats, len(entries)),
        )
    return Page(
        title=name(title).text,
        kind="Beat" if found and entry is None else "Schedule entry",
        blocks=joined(
            in_full(title),
            wrong,
            () if entry is None else _entry(entry, report, links, settings),
            _beats(found, links),
        ),
        json=links.json("schedule"),
    )


def _looked(entries: Sequence[ScheduleEntryState] | None, snapshot: Snapshot) -> Iterator[str]:
    if entries is None:
        yield "No beat has told what it sends, so it is not known which entries there are."
        return
    count = len(entries)
    of_beat = "entry of beat" if count == 1 else "entries of beat"
    yield f"It was looked for among {number(count)} {of_beat}."
    if untold := untold_entries(snapshot.beats, count):
        yield f"Beat does not list {number(untold)} more."


def _entry(
    entry: ScheduleEntryState, report: HealthReport, links: Links, settings: Settings
) -> Iterator[Block]:
    snapshot = report.snapshot
    by_name = {beat.name: beat for beat in snapshot.beats}
    if lines := list(_said(entry, by_name.get(entry.beat))):
        yield Text(id="said", lines=tuple(Cell(line, "plain") for line in lines))
    tone = tones(report.checks, "entry", entry.entry).get("beat.on_time", "")
    limit = overdue_limit(entry, settings.limits)
    yield Figures(
        id="figures",
        figures=(
            Figure("Last sent", last_sent(entry), _at(entry.last_sent_at)),
            Figure("Next", next_due(entry), _at(entry.next_due_at) if entry.enabled else "disabled"),
            Figure("Late", late(entry), f"limit {duration(limit)}" if entry.enabled else "", tone),
        ),
    )
    yield Facts(
        id="facts",
        title="The entry",
        pairs=(
            ("Task", name(entry.task, href=links.task(entry.task))),
            ("Queue", _queue(entry, links)),
            ("When", name(entry.schedule)),
            ("Enabled", Cell("yes" if entry.enabled else "no")),
            ("From one run to the next", Cell(duration(entry.interval_seconds), detail="about")),
            ("Beat", name(entry.beat, href=links.entry(entry.beat))),
        ),
    )
    tellers = [
        (beat, each) for beat in snapshot.beats for each in beat.entries or () if each.entry == entry.entry
    ]
    if len(tellers) > 1:
        yield table(
            "tellers",
            "As each beat tells it",
            (
                Column("Beat"),
                Column("State"),
                Column("When"),
                Column("Last sent", True),
                Column("Next", True),
                Column("Late", True),
                Column("Trouble"),
            ),
            [_told(beat, each, links) for beat, each in tellers],
            "",
        )


def _said(entry: ScheduleEntryState, beat: Beat | None) -> Iterator[str]:
    if not entry.enabled:
        yield "It is disabled: beat does not send it."
    if entry.last_error:
        yield f"It could not be sent the last time: {printable(entry.last_error)}"
    if entry.missed:
        yield "It was due while no beat ran, and none has made up for it."
    if entry.restarts:
        yield f"Beat has started {entry.restarts} times since it was last sent, and began anew each time."
    if beat is not None and beat.state.has_ended:
        seen = duration(beat.last_seen_seconds)
        yield f"The beat that sent it has ended: this is as it was {seen} ago. Nobody sends it now."


def _queue(entry: ScheduleEntryState, links: Links) -> Cell:
    if entry.queue is None:
        return Cell(UNKNOWN, detail=f"it goes to an exchange, or {_NOBODY_CAN_SAY}")
    return name(entry.queue, href=links.queue(entry.queue))


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S %Z}, by beat's clock"


def _since(moment: datetime | None) -> str:
    at = _at(moment)
    return at and f"since {at}"


def _told(beat: Beat, entry: ScheduleEntryState, links: Links) -> tuple[Cell, ...]:
    return (
        name(beat.name, href=links.entry(beat.name)),
        Cell(words(beat.state.value)),
        name(entry.schedule) if entry.enabled else Cell("disabled", "quiet"),
        Cell(last_sent(entry)),
        Cell(next_due(entry)),
        Cell(late(entry)),
        Cell("; ".join(trouble(entry))),
    )


def _beats(beats: Sequence[Beat], links: Links) -> Iterator[Block]:
    for place, beat in enumerate(beats, 1):
        suffix = "" if place == 1 else f"-{place}"
        state = words(beat.state.value)
        versions = [
            f"{printable(what, 40)} {printable(version, 40)}" for what, version in beat.versions.items()
        ]
        yield Facts(
            id=f"beat{suffix}",
            title="The beat" if len(beats) == 1 else f"Beat {place} of {len(beats)} of this name",
            pairs=(
                ("State", Cell(state, detail=meaning(beat))),
                ("Last seen", Cell(f"{duration(beat.last_seen_seconds)} ago")),
                ("Last sent", Cell(sent(beat))),
                ("Looked at its schedule", _ago(beat.tick_age_seconds)),
                ("Scheduler", name(beat.scheduler)._replace(detail=kept_in(beat))),
                ("Entries", Cell(number(beat.entries_total))),
                ("Runs for", Cell(duration(beat.uptime_seconds), detail=_since(beat.started_at))),
                ("Host", name(beat.hostname)),
                ("Process id", Cell(UNKNOWN if beat.pid is None else str(beat.pid))),
                ("Versions", Cell(", ".join(sorted(versions)[:10]) or UNKNOWN)),
            ),
        )
        entries = beat.entries
        yield table(
            f"entries{suffix}",
            "Its entries",
            (Column("Entry"), Column("Task"), Column("Last sent", True), Column("Next", True)),
            [_brief(entry, links) for entry in (entries or ())[:MOST_ROWS]],
            "It has not told what it sends." if entries is None else "It has none.",
            total=max(len(entries or ()), beat.entries_total or 0),
        )


def _brief(entry: ScheduleEntryState, links: Links) -> tuple[Cell, ...]:
    return (
        name(entry.entry, href=links.entry(entry.entry)),
        name(entry.task, href=links.task(entry.task)),
        Cell(last_sent(entry)),
        Cell(next_due(entry) if entry.enabled else "disabled"),
    )


def _ago(seconds: float | None) -> Cell:
    return Cell(UNKNOWN if seconds is None else f"{duration(seconds)} ago")
