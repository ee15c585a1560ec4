"""A message waits that no worker can read: it is no task message of Celery's, or a broken one.

On Redis a worker that takes it ends, or gives up its connection and makes another; nothing counts that. The
message is gone then: only while it waits can it be seen, and set aside. Where what a worker does with it
comes late enough, it goes back to its queue, and ends one worker after the other.

The first messages of each queue are looked at where they are, and judged as kombu and Celery read them;
nothing is moved, unpickled or unpacked. Of larger ones than 64 KiB only the begin is. On RabbitMQ nobody
looks, since a look marks messages as redelivered; nor does such a message end a worker there. Celery deletes
what is no task, with a line in its log. What lacks an id, a content type or a body of three parts it keeps
without a word, neither run nor acknowledged, until it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

from celery_health.brokers.unreadable import Effect
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.text.commands import letters_command
from celery_health.text.formats import plural

_EFFECTS: Final[Mapping[Effect, str]] = {
    Effect.ENDS: "The worker that takes it ends, and the message is gone",
    Effect.ENDS_EACH: "Each worker that takes it ends, and it comes back for the next one",
    Effect.RECONNECTS: "The worker that takes it gives up its connection and makes another, and the message "
    "is gone",
    Effect.RECONNECTS_EACH: "The worker that takes it makes its connection anew and takes it again, for ever",
}


class MessageUnreadable(Rule):
    """No worker can read a waiting message."""

    number: ClassVar = 132
    name: ClassVar = "message-unreadable"
    summary: ClassVar = "A message waits that no worker can read: who takes it ends, or loses its connection."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        for queue, waiting in sorted((evidence.live.waiting if evidence.live else {}).items()):
            # Dead letters are for people: what cannot be read is set aside there.
            is_others = queue.endswith(evidence.dead_letter_suffix) or queue in evidence.ignored_queues
            if is_others or not waiting.unreadable:
                continue
            first, others = waiting.unreadable[0], len(waiting.unreadable) - 1
            more = f" {plural(others, 'other')} of those looked at cannot be read either." if others else ""
            yield self.finding(
                Kind.QUEUE,
                queue,
                f"Message {first.position} from the head of queue '{queue}' "
                f"({plural(first.size_bytes, 'byte')}) cannot be read by any worker: {first.found.why}. "
                f"{_EFFECTS[first.found.effect]}.{more}",
                evidence={
                    "position": first.position,
                    "size_bytes": first.size_bytes,
                    "why": first.found.why,
                    "effect": first.found.effect.value,
                    "others": others,
                },
                fix=f"Find out who else writes to '{queue}' on this Redis. Set aside what cannot be read, "
                f"before a worker takes it: {letters_command('set-aside', queue)}",
                proven_live=True,
            )
