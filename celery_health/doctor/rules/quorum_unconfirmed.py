"""A quorum queue is published to without confirmation.

A quorum queue that has no majority takes nothing, and a publisher that does not ask for confirmation never
learns of it: the message is gone and the call succeeded. Celery asks only with ``broker_transport_options =
{"confirm_publish": True}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import transport_option_added
from celery_health.doctor.wording import subjects


class QuorumUnconfirmed(Rule):
    """Quorum queues want publisher confirms."""

    number: ClassVar = 214
    name: ClassVar = "quorum-unconfirmed"
    summary: ClassVar = "A quorum queue is published to without confirmation: lost messages go unnoticed."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        quorum = [queue.name for queue in evidence.queues if queue.is_quorum]
        if evidence.is_amqp and quorum and not evidence.conf.confirms_publishes:
            yield self.finding(
                Kind.SETTING,
                "broker_transport_options",
                f"{subjects(quorum, 'is a quorum queue', 'are quorum queues')}, and publishers do not wait "
                "for confirmation: a message that the broker does not take is lost without an error.",
                evidence={"queues": quorum},
                fix=transport_option_added(evidence, "confirm_publish", True),
            )
