"""Beat starts again before an entry is due, and forgets each time when it was last sent: it is never sent.

An interval counts from the last time that an entry was sent, which beat keeps in its schedule file
(``beat_schedule_filename``, ``-s``). Where that file goes with its container, or the scheduler keeps none,
each start counts as a sending: a beat that lives for less than the interval never sends the entry, and finds
nothing overdue. Crontabs are sent all the same.

It is seen live, from what the store remembers across all beats: an entry was not sent for longer than its
interval, several beats have started since, and by the account of the last the interval began with its own
start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.spelling import assigned
from celery_health.doctor.wording import listed
from celery_health.reading.schedules import schedule_entries
from celery_health.records import ScheduleEntryState

#: A place that outlives beat on most hosts, and in a container where it is mounted.
_FILE: Final = "/var/lib/celery/beat-schedule"
_IN_FILE: Final = "celery.beat:PersistentScheduler"


class BeatForgets(Rule):
    """Entries that no beat lives long enough to send."""

    number: ClassVar = 229
    name: ClassVar = "beat-forgets"
    summary: ClassVar = "Beat starts again before entries are due, and forgets when they were sent."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most, for the longest interval: there is one schedule file for all."""
        beats = evidence.live.snapshot.beats if evidence.live else ()
        entries = [entry for entry in schedule_entries(beats) or () if entry.restarts]
        if not entries:
            return
        shortest = min(entries, key=_interval)
        names = [entry.entry for entry in sorted(entries, key=_interval)]
        scheduler = next((b.scheduler for b in beats if b.name == shortest.beat), None) or ""
        keeps_file = scheduler.endswith(".PersistentScheduler")
        option = "beat_schedule_filename" if keeps_file else "beat_scheduler"
        line = assigned(evidence, option, _FILE if keeps_file else _IN_FILE)
        place = f"{'' if keeps_file else 'with its file '}on a disk that outlives beat"
        yield self.finding(
            Kind.SETTING,
            option,
            f"Beat has started {shortest.restarts} times since it last sent {shortest.entry!r}, or first had "
            f"it, {shortest.unsent_seconds or 0:.0f} s ago, and counted its interval of "
            f"{_interval(shortest):g} s anew each time: {listed(names)} "
            f"{'is' if len(names) == 1 else 'are'} not sent.",
            evidence={
                "starts": shortest.restarts,
                "unsent_seconds": {entry.entry: round(entry.unsent_seconds or 0.0, 1) for entry in entries},
                "scheduler": scheduler,
            },
            fix=f"{line}, {place}, and see in its log why it ends.",
        )


def _interval(entry: ScheduleEntryState) -> float:
    return entry.interval_seconds or 0.0
