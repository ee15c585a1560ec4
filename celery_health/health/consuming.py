"""Whether the workers that live take tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import WORKERS, Need, a_worker_lives, reads_are_told, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, Snapshot, Worker, WorkerState
from celery_health.text.commands import add_consumer_command


class WorkersConsuming(Check):
    """Fail when every worker has stopped reading its queues; warn when one has, or consumes no queue."""

    id: ClassVar[str] = "workers.consuming"
    needs: ClassVar[Sequence[Need]] = (
        tasks_are_sent,
        a_worker_lives("No worker is there to read."),
        reads_are_told,
    )

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per worker that has stopped or consumes nothing, else one for all."""
        live = [worker for worker in snapshot.workers if worker.state.is_live]
        if all(worker.state is WorkerState.STARTING for worker in live):
            yield self.result(CheckStatus.UNKNOWN, "No worker is ready to read.", because=WORKERS)
            return
        stopped = [w for w in live if w.state in (WorkerState.NOT_CONSUMING, WorkerState.STUCK)]
        idle = [w for w in live if w.state is WorkerState.NO_QUEUES]
        # Those that drain, reconnect or consume nothing read nothing either, and rightly: they excuse nobody.
        status = CheckStatus.WARN if any(w.state.takes_messages for w in live) else CheckStatus.FAIL
        for worker in stopped:
            yield self._stopped(snapshot, worker, status, settings)
        for worker in idle:
            yield self._without_queues(worker, snapshot.app.name)
        if not stopped and not idle:
            yield self._well(live)

    def _well(self, live: list[Worker]) -> CheckResult:
        known = [w for w in live if w.read_age_seconds is not None or w.unread_seconds is not None]
        if not known:
            return self.result(
                CheckStatus.UNKNOWN, "No worker says when it last read: they keep no records in the store."
            )
        return self.result(
            CheckStatus.PASS, "Workers read their queues.", observed=len(known), unit="workers"
        )

    def _without_queues(self, worker: Worker, app_name: str) -> CheckResult:
        what = f"Worker '{worker.hostname}' consumes no queue"
        if worker.cancelled_queues:
            why = f"{what}: its consumer was cancelled (cancel_consumer)."
            commands = " && ".join(
                add_consumer_command(app_name, queue, worker.hostname) for queue in worker.cancelled_queues
            )
            fix = f"Restart it, or have it consume again: {commands}"
        else:
            why, fix = f"{what}; why is not known.", "Restart it."
        return self.result(
            CheckStatus.WARN,
            why,
            subject=worker.hostname,
            observed=0,
            limit=1,
            unit="queues",
            recommendation=f"{why} {fix}",
        )

    def _stopped(
        self, snapshot: Snapshot, worker: Worker, status: CheckStatus, settings: Settings
    ) -> CheckResult:
        stuck, options = worker.state is WorkerState.STUCK, snapshot.app.options
        unread = worker.read_age_seconds if worker.unread_seconds is None else worker.unread_seconds
        age = worker.loop_age_seconds if stuck else unread
        what = (
            "has an event loop that does not turn" if stuck else "answers, but has stopped reading its queues"
        )
        return self.result(
            status,
            f"Worker '{worker.hostname}' {what}.",
            subject=worker.hostname,
            observed=None if age is None else round(age, 1),
            limit=settings.limits.loop_stuck_seconds if stuck else settings.limits.not_consuming_seconds,
            unit="seconds",
            recommendation=(
                f"Worker '{worker.hostname}' takes no tasks. Restart it. On Redis: "
                f"{options.entry('broker_transport_options', 'socket_timeout', 5)}, and it notices a dead "
                "connection itself."
            ),
        )
