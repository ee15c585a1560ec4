"""Replies to remote control pile up in Redis.

A process that asks workers (``celery inspect``, ``celery status``, a monitor) and is killed before it has
read all replies leaves a list without an end of life. One by one they are small; deployments have collected
gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule

#: Callers that wait for replies right now have a list each.
_LEAST_LISTS: Final = 10


class ReplyQueuesLeaked(Rule):
    """Reply queues are left over."""

    number: ClassVar = 311
    name: ClassVar = "reply-queues-leaked"
    summary: ClassVar = "Left-over replies to remote control pile up in Redis."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        replies = evidence.live.reply_queues if evidence.live else None
        if evidence.live is not None and replies is not None and replies.lists >= _LEAST_LISTS:
            yield self.finding(
                Kind.BROKER,
                evidence.live.snapshot.broker.url,
                f"{replies.lists} reply queues hold {replies.messages} replies that nobody reads, and never "
                "expire.",
                evidence={"lists": replies.lists, "messages": replies.messages, "bindings": replies.bindings},
                fix="redis-cli --scan --pattern '*.reply.celery.pidbox' | xargs redis-cli UNLINK, and "
                "find who is "
                "killed while asking (celery inspect in a probe?).",
            )
