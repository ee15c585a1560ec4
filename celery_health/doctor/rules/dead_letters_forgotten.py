"""Dead letters lie there for a week and more: they only grow, and nobody looks after them.

A letter is work that was asked for and not done. Whoever keeps them means to look, and then requeues or
removes them: where the oldest of a queue has been there for a week, nobody has. It may be meant, as an
archive: a hint.

The oldest letter of each queue was looked at where it is, without moving it; on Redis alone, since on
RabbitMQ a look marks it as redelivered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.text.commands import letters_command

#: Longer than any long weekend.
_FORGOTTEN_SECONDS: Final = 7 * 86400.0


class DeadLettersForgotten(Rule):
    """Nobody empties a queue of dead letters."""

    number: ClassVar = 318
    name: ClassVar = "dead-letters-forgotten"
    summary: ClassVar = "Dead letters lie there for over a week: they only grow."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        if evidence.live is None:
            return
        sizes = evidence.live.snapshot.dead_letters or {}
        for queue, seconds in sorted(evidence.live.oldest_letters.items()):
            if seconds > _FORGOTTEN_SECONDS:
                size = sizes.get(queue)
                days = f"{seconds / 86400:.0f} days"
                yield self.finding(
                    Kind.QUEUE,
                    queue,
                    f"Queue '{queue}' has {size or 'some'} dead letters, the oldest for {days}: they only "
                    "grow.",
                    evidence={"letters": size, "oldest_seconds": round(seconds)},
                    fix=f"Look at them: {letters_command('list', queue)}; then send them again: "
                    f"{letters_command('requeue', queue)}; or remove them: {letters_command('purge', queue)}",
                )
