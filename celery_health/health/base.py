"""What a health rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, final

from celery_health.conf import Settings
from celery_health.health.needs import Lack, Need, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, Snapshot
from celery_health.text.commands import worker_command as worker_command


class Check(ABC):
    """One rule: from a snapshot to what it found, one result per subject. No I/O, no clock.

    A subclass has an `id`, names what it `needs`, and holds its rule, and nothing else, in `run`::

        class QueuesFew(Check):
            id = "queues.few"
            needs = (tasks_are_sent, queues_are_read)

            def run(self, snapshot, settings):
                used = [queue.name for queue in snapshot.queues if queue.ready]
                if len(used) > 20:
                    yield self.result(CheckStatus.WARN, f"{len(used)} queues are in use.", observed=len(used))
                else:
                    yield self.result(CheckStatus.PASS, "Few queues are in use.", observed=len(used))

    To get its results, call `judge`, in tests too: `run` alone does not ask for what it needs.
    """

    id: ClassVar[str]
    """As in the contract; never changes."""
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent,)
    """What must be known before `run` can judge: functions as those in `celery_health.health.needs`.

    The first that is not met is all that the check says, so the most basic one stands first. A subclass that
    gives its own names all of them.
    """

    @abstractmethod
    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield at least one result: what it could not know is ``unknown``, never nothing.

        Implement this. When `judge` calls it, all that the check needs is known.
        """

    @final
    def judge(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Return what the check says: the first of its needs that is not met, else what `run` yields."""
        for need in self.needs:
            if lack := need(snapshot):
                return [self.lacks(lack)]
        return self.run(snapshot, settings)

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
        because: str | None = None,
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
            because=because,
        )

    def lacks(self, lack: Lack) -> CheckResult:
        """Return what the check says where a need is not met."""
        return self.result(lack.status, lack.message, because=lack.because)


def one_more_worker(snapshot: Snapshot, queue: str) -> str:
    """Return the command of a worker for `queue` that may run beside those that live."""
    live = [worker.hostname for worker in snapshot.workers if worker.state.is_live]
    return worker_command(snapshot.app.name, [queue], beside=live)
