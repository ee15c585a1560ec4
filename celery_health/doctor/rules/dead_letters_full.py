"""A queue's dead letters are at their limit: each new one pushes out the oldest.

What failed for good is kept so that somebody can look at it and send it again. At
``DEAD_LETTERS["max_length"]`` letters of one queue the oldest goes for each that comes, and with it the only
copy of its message.

The broker was asked how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.text.commands import letters_command


class DeadLettersFull(Rule):
    """There is no room for more dead letters."""

    number: ClassVar = 125
    name: ClassVar = "dead-letters-full"
    summary: ClassVar = "The dead letters of a queue are at their limit: each new one pushes out the oldest."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        letters = (evidence.live.snapshot.dead_letters if evidence.live else None) or {}
        limit = evidence.most_dead_letters
        for queue, size in sorted(letters.items()):
            if size is not None and size >= limit:
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"Queue '{queue}' has {size} dead letters, as many as are kept: each new one pushes out "
                    "the oldest for good.",
                    evidence={"letters": size, "max_length": limit},
                    fix=f"Look at them: {letters_command('list', queue)}; send them again: "
                    f"{letters_command('requeue', queue)}; or make room: {letters_command('purge', queue)}",
                    proven_live=True,
                )
