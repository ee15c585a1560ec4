"""The connection to Redis has no socket timeout.

When a firewall or a NAT forgets a connection, a worker may wait on it for ever: it answers pings and
consumes nothing. With ``socket_timeout`` it notices, and connects anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import transport_option_added


class SocketTimeoutMissing(Rule):
    """Redis is spoken to without a socket timeout."""

    number: ClassVar = 305
    name: ClassVar = "socket-timeout-missing"
    summary: ClassVar = "The Redis broker has no socket_timeout: a dead connection may hang a worker."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        if evidence.is_redis and evidence.conf.socket_timeout_seconds is None and list(evidence.own_tasks):
            yield self.finding(
                Kind.SETTING,
                "broker_transport_options",
                "The connection to the broker has no socket_timeout: a worker whose connection died silently "
                "may wait for ever.",
                fix=transport_option_added(evidence, "socket_timeout", 5),
            )
