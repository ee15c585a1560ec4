"""The beat that runs does not have an entry that the code has.

Beat reads the schedule when it starts: after a deploy that adds an entry, a beat that was not restarted
never sends it. The same where beat imports fewer modules than this process, and ``add_periodic_task`` ran
here alone.

Compared with what the living beat reports of itself, where its schedule comes from the settings; rows in
tables may have been removed on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.wording import listed
from celery_health.records import Beat, BeatState


class BeatLacksEntry(Rule):
    """A running beat lacks configured entries."""

    number: ClassVar = 120
    name: ClassVar = "beat-lacks-entry"
    summary: ClassVar = "The beat that runs does not have an entry of the configured schedule."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per beat; none while another beat sends the entry."""
        beats = told_beats(evidence)
        if not beats or any(beat.stored_outside for beat in beats):
            return
        held = {entry.entry for beat in beats for entry in beat.entries or ()}
        missing = [entry.name for entry in evidence.entries if entry.name not in held]
        if missing:
            beat = beats[0]
            yield self.finding(
                Kind.BEAT,
                beat.name,
                f"Beat '{beat.name}' does not have the entries {listed(missing)} of the schedule: it "
                "never sends "
                "them.",
                evidence={
                    "missing": missing,
                    "started_at": str(beat.started_at) if beat.started_at else None,
                },
                fix="Restart beat with the code that this process has.",
                proven_live=True,
            )


def told_beats(evidence: Evidence) -> list[Beat]:
    """Return the living beats that say what all their entries are; none unless all of them do."""
    beats = evidence.live.snapshot.beats if evidence.live else ()
    living = [beat for beat in beats if beat.state in (BeatState.OK, BeatState.STUCK)]
    told = all(beat.entries is not None and beat.entries_total == len(beat.entries) for beat in living)
    return living if told else []
