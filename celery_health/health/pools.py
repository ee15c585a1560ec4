"""Whether workers have processes that can run a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import Need, a_worker_lives, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, Snapshot, Worker, WorkerState
from celery_health.text.commands import pool_grow_command


class WorkersPool(Check):
    """Fail when no worker has a live pool process; warn of children that keep dying, and of stuck loops."""

    id: ClassVar[str] = "workers.pool"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, a_worker_lives("No worker is there to have a pool."))

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per worker in trouble, else one for all."""
        live = [worker for worker in snapshot.workers if worker.state.is_live]
        with_children = [worker for worker in live if worker.children is not None]
        childless = [worker for worker in with_children if self._is_childless(worker, settings)]
        troubles = [
            *self._childless(
                childless, snapshot.app.name, all_are=bool(childless) and len(childless) == len(live)
            ),
            *(self._dying(worker, settings) for worker in with_children if self._is_dying(worker, settings)),
            *(self._stuck(worker, settings) for worker in live if worker.state is WorkerState.STUCK),
        ]
        if troubles:
            yield from troubles
        elif not with_children:
            yield self.result(CheckStatus.PASS, "The pools in use have no processes that could die.")
        else:
            children = sum(worker.children or 0 for worker in with_children)
            yield self.result(CheckStatus.PASS, "Pool processes live.", observed=children, unit="processes")

    def _is_childless(self, worker: Worker, settings: Settings) -> bool:
        # With max_tasks_per_child, a small pool has no process for the seconds until the next is forked.
        since = worker.childless_seconds
        return worker.children == 0 and (since is None or since > settings.limits.childless_seconds)

    def _childless(self, workers: list[Worker], app_name: str, *, all_are: bool) -> Iterable[CheckResult]:
        for worker in workers:
            # Told to have none, which autoscaling would undo.
            shrunk = worker.concurrency == 0
            what = f"Worker '{worker.hostname}' has no live pool process"
            grow = pool_grow_command(app_name, worker.hostname)
            yield self.result(
                CheckStatus.FAIL if all_are else CheckStatus.WARN,
                f"{what}: its pool was shrunk to none (pool_shrink)." if shrunk else f"{what}.",
                subject=worker.hostname,
                observed=0,
                limit=1,
                unit="processes",
                recommendation=f"Worker '{worker.hostname}' can run nothing. "
                + (
                    f"Restart it, or have its pool grow: {grow}"
                    if shrunk
                    else "Read its log, and restart it."
                ),
            )

    def _is_dying(self, worker: Worker, settings: Settings) -> bool:
        lost = worker.children_lost_per_minute
        return lost is not None and lost > settings.limits.children_restarts_per_minute

    def _dying(self, worker: Worker, settings: Settings) -> CheckResult:
        return self.result(
            CheckStatus.WARN,
            f"Pool processes of worker '{worker.hostname}' keep dying.",
            subject=worker.hostname,
            observed=worker.children_lost_per_minute,
            limit=settings.limits.children_restarts_per_minute,
            unit="processes per minute",
            recommendation=(
                f"Pool processes of '{worker.hostname}' die faster than max_tasks_per_child explains. "
                "Look for killed ones (out of memory: dmesg, the container's limit) and crashing libraries."
            ),
        )

    def _stuck(self, worker: Worker, settings: Settings) -> CheckResult:
        age = worker.loop_age_seconds
        return self.result(
            CheckStatus.WARN,
            f"The event loop of worker '{worker.hostname}' does not turn.",
            subject=worker.hostname,
            observed=None if age is None else round(age, 1),
            limit=settings.limits.loop_stuck_seconds,
            unit="seconds",
            recommendation=(
                f"The main process of '{worker.hostname}' hangs. "
                "See what it waits for (py-spy dump), and restart it."
            ),
        )
