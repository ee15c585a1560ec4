"""Two beats send the same entries: everything periodic is done twice.

It happens when beat runs in a deployment with two replicas, or embedded (``-B``) in more than one worker. A
RedBeat that waits for its lock is no second beat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.wording import listed
from celery_health.records import BeatState

_LATELY_SECONDS: Final = 120.0


class BeatsDoubled(Rule):
    """Several beats send one schedule."""

    number: ClassVar = 219
    name: ClassVar = "beats-doubled"
    summary: ClassVar = "Two beats send the same entries: everything periodic is done twice."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per beat that sends what one before it sends."""
        beats = evidence.live.snapshot.beats if evidence.live else ()
        sending = [
            beat
            for beat in beats
            if beat.state is BeatState.OK
            and beat.last_sent_seconds is not None
            and beat.last_sent_seconds < _LATELY_SECONDS
        ]
        seen: dict[str, str] = {}
        for beat in sending:
            # Celery's own clean-up is in every beat's schedule, and does no harm twice.
            names = [
                entry.entry
                for entry in beat.entries or ()
                if entry.enabled and not entry.task.startswith("celery.")
            ]
            twice = sorted(name for name in names if name in seen)
            if twice:
                yield self.finding(
                    Kind.BEAT,
                    beat.name,
                    f"Beat '{beat.name}' and beat '{seen[twice[0]]}' both send {listed(twice)}.",
                    evidence={
                        "entries": twice,
                        "other": seen[twice[0]],
                        "hosts": [b.hostname for b in sending],
                    },
                    fix="Run one beat: one replica, without -B on workers; or RedBeat, whose lock lets "
                    "one work.",
                )
            for name in names:
                seen.setdefault(name, beat.name)
