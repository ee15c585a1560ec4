"""A queue has arguments that only RabbitMQ obeys, and the broker is another.

Dead-letter exchanges, message and queue expiry and length limits are arguments of AMQP. On Redis and the
other transports kombu sends them nowhere: rejected messages are gone, and queues grow without limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed

#: What people rely on. ``x-max-priority`` is not among them: kombu has priorities of its own on Redis.
_RELIED_ON: Final = (
    "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-message-ttl", "x-expires", "x-max-length",
    "x-max-length-bytes", "x-overflow", "x-delivery-limit",
)  # fmt: skip


class QueueArgumentsIgnored(Rule):
    """A queue's arguments are ignored by the transport."""

    number: ClassVar = 203
    name: ClassVar = "queue-arguments-ignored"
    summary: ClassVar = "A queue has dead-letter, expiry or length arguments, and the transport ignores them."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per queue."""
        if evidence.is_amqp:
            return
        for queue in evidence.queues:
            ignored = [name for name in _RELIED_ON if queue.arguments.get(name) is not None]
            if ignored:
                instead = (
                    "'DEAD_LETTERS': {'enabled': True} in CELERY_HEALTH"
                    if any(name.startswith("x-dead-letter") for name in ignored)
                    else "expires= on the tasks, and the limits of CELERY_HEALTH to be warned"
                )
                yield self.finding(
                    Kind.QUEUE,
                    queue.name,
                    f"Queue '{queue.name}' has {listed(ignored)}, which {evidence.transport} ignores.",
                    evidence={"arguments": ignored, "transport": evidence.transport},
                    fix=f"Remove them, and use what works on {evidence.transport}: {instead}.",
                )
