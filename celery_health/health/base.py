"""What a health rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.records import CheckResult, CheckStatus, Snapshot


class Check(ABC):
    """One rule: from a snapshot to what it found, one result per subject. No I/O, no clock."""

    id: ClassVar[str]
    """As in the contract; never changes."""

    @abstractmethod
    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield at least one result: what it could not know is ``unknown``, never nothing."""

    def result(
        self,
        status: CheckStatus,
        message: str,
        *,
        subject: str | None = None,
        observed: float | int | str | None = None,
        limit: float | int | None = None,
        unit: str | None = None,
        recommendation: str | None = None,
    ) -> CheckResult:
        """Return a result of this check."""
        return CheckResult(
            id=self.id,
            status=status,
            message=message,
            subject=subject,
            observed=observed,
            limit=limit,
            unit=unit,
            recommendation=recommendation,
        )

    def eager(self) -> CheckResult:
        """Return what every check of brokers and workers says of a project that runs its tasks in place."""
        return self.result(
            CheckStatus.UNSUPPORTED,
            "task_always_eager is on: tasks run in the process that calls them, without broker and worker.",
        )

    def unread(self, snapshot: Snapshot) -> CheckResult | None:
        """Return what a check of queues says where none of them could be read; None where one could."""
        if not snapshot.queues or any(queue.ready is not None for queue in snapshot.queues):
            return None
        if snapshot.broker.reachable is None:
            return self.result(CheckStatus.UNSUPPORTED, snapshot.broker.error or "No queue could be read.")
        why = snapshot.broker.error or snapshot.queues[0].error or "the broker did not say"
        return self.result(CheckStatus.UNKNOWN, f"No queue could be read: {why}")


def worker_command(app_name: str, queues: Iterable[str] = ()) -> str:
    """Return the command that starts a worker, to paste."""
    names = ",".join(sorted(queues))
    return f"celery -A {app_name} worker" + (f" -Q {names}" if names else "")
