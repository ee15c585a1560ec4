"""Whether the broker can be reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.records import CheckResult, CheckStatus, Snapshot


class BrokerReachable(Check):
    """Fail when the broker did not answer within the deadline."""

    id: ClassVar[str] = "broker.reachable"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result."""
        broker = snapshot.broker
        if broker.late:
            yield self.result(
                CheckStatus.UNKNOWN, f"Whether the broker at {broker.url} answers is not known. {broker.late}"
            )
        elif broker.reachable is None and broker.error:
            yield self.result(CheckStatus.UNSUPPORTED, broker.error)
        elif broker.reachable is None:
            yield self.result(CheckStatus.UNKNOWN, f"The broker at {broker.url} was not asked.")
        elif broker.reachable:
            took = broker.latency_seconds
            yield self.result(
                CheckStatus.PASS,
                f"The broker at {broker.url} answers.",
                observed=None if took is None else round(took, 4),
                limit=settings.deadline,
                unit="seconds",
            )
        else:
            yield self.result(
                CheckStatus.FAIL,
                f"The broker at {broker.url} cannot be reached: {broker.error}",
                limit=settings.deadline,
                unit="seconds",
                recommendation=(
                    f"The broker at {broker.url} cannot be reached. "
                    "Check that it runs, and that broker_url names its address and password."
                ),
            )
