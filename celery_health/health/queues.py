"""Whether too much waits in a queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check, worker_command
from celery_health.records import CheckResult, CheckStatus, QueueState, Snapshot


class QueuesDepth(Check):
    """Warn when more messages are ready in a queue than its limit."""

    id: ClassVar[str] = "queues.depth"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue over its limit or unreadable, else one for all."""
        if snapshot.app.always_eager:
            yield self.eager()
            return
        troubled = False
        for queue in snapshot.queues:
            limit = settings.limit("depth", queue=queue.name)
            if queue.ready is None:
                troubled = True
                yield self._unknown(queue)
            elif queue.ready > limit:
                troubled = True
                yield self._deep(queue, queue.ready, limit, snapshot.app.name)
        if not troubled:
            deepest = max((queue.ready or 0 for queue in snapshot.queues), default=0)
            yield self.result(
                CheckStatus.PASS,
                "No queue is over its limit." if snapshot.queues else "No queue is known.",
                observed=deepest,
                limit=settings.limits.depth,
                unit="tasks",
            )

    def _unknown(self, queue: QueueState) -> CheckResult:
        why = queue.error or "not supported by this transport"
        return self.result(
            CheckStatus.UNKNOWN,
            f"The depth of queue '{queue.name}' could not be read: {why}",
            subject=queue.name,
            unit="tasks",
        )

    def _deep(self, queue: QueueState, ready: int, limit: float, app_name: str) -> CheckResult:
        held = f"Queue '{queue.name}' holds {ready} tasks (limit {limit:g})."
        return self.result(
            CheckStatus.WARN,
            held,
            subject=queue.name,
            observed=ready,
            limit=limit,
            unit="tasks",
            recommendation=f"{held} Add workers: {worker_command(app_name, [queue.name])}",
        )
