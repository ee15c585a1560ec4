"""Beats: what each does, and what to do where none sends the schedule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from celery_health.page.blocks import Block, Cell, Code, Column, Row, Table, Text, name, table, words
from celery_health.page.links import Links
from celery_health.page.single import tones_of
from celery_health.reading.schedules import last_beat, sending_beats
from celery_health.records import Beat, BeatState, HealthReport, Snapshot
from celery_health.text.commands import beat_command
from celery_health.text.formats import duration, number
from celery_health.text.printable import printable

_MEANINGS: Final = {
    BeatState.OK: "sends the schedule",
    BeatState.STANDBY: "waits for a lock that another beat holds",
    BeatState.UNKNOWN: "has not been seen for a while",
    BeatState.STOPPED: "said goodbye",
    BeatState.GONE: "fell silent, or an error ended it",
}


def beats(report: HealthReport, links: Links) -> Table:
    """Return one row per beat that ever reported: those that run first, then the one seen last."""
    tones = tones_of(report.checks, "entry")
    return table(
        "beats",
        "Beats",
        (
            Column("Beat"),
            Column("State"),
            Column("Last seen", True),
            Column("Last sent", True),
            Column("Entries", True),
            Column("Scheduler"),
        ),
        (_row(beat, links, tones.get(beat.name, {}).get("beat.alive", "")) for beat in _ordered(report)),
        "No beat is known.",
        total=len(report.snapshot.beats),
    )


def meaning(beat: Beat) -> str:
    """Return what the state of a beat means."""
    if beat.state is BeatState.STUCK:
        since = "" if beat.late_seconds is None else f" {duration(beat.late_seconds)} ago"
        return f"lives, and its scheduler was to wake{since}, and has not"
    return _MEANINGS[beat.state]


def kept_in(beat: Beat) -> str:
    """Return where its schedule is kept."""
    return "its schedule is kept in a table or in Redis" if beat.stored_outside else "from the settings"


def sent(beat: Beat) -> str:
    """Return when it last sent anything."""
    if beat.last_sent_seconds is None:
        return "nothing yet"
    return f"{duration(beat.last_sent_seconds)} ago"


def none_runs(snapshot: Snapshot, *, with_command: bool) -> Iterator[Block]:
    """Say that nobody sends the schedule, why that is not known, and how to start a beat."""
    if sending_beats(snapshot.beats):
        return
    text, needs_one = _why_none(snapshot)
    yield Text(id="no-beat", lines=(Cell(text, "plain"),))
    if needs_one and with_command:
        yield Code(id="start-beat", title="Start one", text=beat_command(snapshot.app.name))


def _why_none(snapshot: Snapshot) -> tuple[str, bool]:
    """Return what is so, and whether a beat is what is missing."""
    store, last = snapshot.store, last_beat(snapshot.beats)
    if snapshot.app.always_eager:
        return "Tasks run in the process that calls them (task_always_eager): beats are not looked at.", False
    if not store.configured:
        return "Beats report themselves to a store, and there is none: set STORE_URL to a Redis.", False
    if not store.reachable:
        why = printable(store.late or store.error or "the store was not asked")
        return f"Whether a beat runs is not known: {why.rstrip('.')}.", False
    if any(beat.state is BeatState.STANDBY for beat in snapshot.beats):
        return "No beat sends the schedule: those that run wait for a lock that another holds.", False
    if last is not None:
        did = "said goodbye" if last.state is BeatState.STOPPED else "was last seen"
        seen = duration(last.last_seen_seconds)
        return (
            f"No beat runs: '{name(last.name).text}' {did} {seen} ago. Nothing is sent by a schedule.",
            True,
        )
    if snapshot.schedule_exists is False:
        return "No beat was ever seen, and the settings hold no schedule: there is nothing to send.", False
    return (
        "No beat was ever seen: nothing is sent by a schedule. One without celery_health is not seen.",
        True,
    )


def _ordered(report: HealthReport) -> Iterable[Beat]:
    return sorted(
        report.snapshot.beats, key=lambda beat: (beat.state.has_ended, beat.last_seen_seconds, beat.name)
    )


def _row(beat: Beat, links: Links, tone: str) -> Row:
    cells = (
        name(beat.name, href=links.entry(beat.name)),
        Cell(words(beat.state.value), tone, detail=meaning(beat)),
        Cell(f"{duration(beat.last_seen_seconds)} ago"),
        Cell(sent(beat)),
        Cell(number(beat.entries_total)),
        name(beat.scheduler)._replace(detail=kept_in(beat)),
    )
    return Row(cells, tone or ("quiet" if beat.state.has_ended else ""))
