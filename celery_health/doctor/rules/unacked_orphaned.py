"""Messages are delivered, not acknowledged, and will never be handed out again.

kombu keeps delivered messages in the hash ``unacked`` of a Redis broker and their times in
``unacked_index``; what stays there over the visibility timeout goes back to its queue. A message that the
index has lost (evicted, deleted by hand) stays for ever; and nothing goes back while no worker does the
returning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule

#: How much longer than twice the visibility timeout a message may stay before nobody can be returning any.
_SLACK_SECONDS: Final = 600.0
_RESTORE: Final = (
    "In manage.py shell: c = app.connection_for_write().default_channel; "
    "[c.qos.restore_by_tag(t) for t in c.client.hkeys('unacked') if c.client.zscore('unacked_index', t) "
    "is None]"
)


class UnackedOrphaned(Rule):
    """Unacknowledged messages are orphans."""

    number: ClassVar = 124
    name: ClassVar = "unacked-orphaned"
    summary: ClassVar = "Messages are delivered and unacknowledged, and nothing will hand them out again."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        unacked = evidence.live.unacked if evidence.live else None
        timeout = evidence.conf.visibility_timeout_seconds
        if evidence.live is None or unacked is None or timeout is None:
            return
        broker = evidence.live.snapshot.broker.url
        facts = {
            "unacked": unacked.total,
            "orphaned": unacked.orphaned,
            "oldest_seconds": unacked.oldest_seconds,
        }
        if unacked.orphaned:
            yield self.finding(
                Kind.BROKER,
                broker,
                f"{unacked.orphaned} of {unacked.total} unacknowledged messages are in no index: they are "
                "never "
                "handed out again.",
                evidence=facts,
                fix=_RESTORE,
                proven_live=True,
            )
        elif (unacked.oldest_seconds or 0.0) > 2 * timeout + _SLACK_SECONDS and evidence.workers:
            yield self.finding(
                Kind.BROKER,
                broker,
                f"A message was delivered {unacked.oldest_seconds:.0f} s ago and neither acknowledged nor "
                "handed "
                f"out again, at a visibility timeout of {timeout:g} s: no worker returns what is overdue.",
                evidence=facts,
                fix="Start a worker on this broker whose visibility_timeout is that of the others, without "
                "unacked_restore_limit.",
                proven_live=True,
            )
