"""Whether somebody is there to run tasks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check, worker_command
from celery_health.records import CheckResult, CheckStatus, Snapshot, WorkerState

NO_WORKERS = "No active Celery workers found"


class WorkersAlive(Check):
    """Fail when no worker lives; warn when fewer do than must, or one was lost."""

    id: ClassVar[str] = "workers.alive"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result for the whole, and one for each worker that was lost."""
        if snapshot.app.always_eager:
            yield self.eager()
            return
        if snapshot.broker.reachable is False:
            yield self.result(CheckStatus.UNKNOWN, "The workers cannot be asked while the broker is away.")
            return
        yield self._whole(snapshot, settings)
        yield from self._lost(snapshot, settings)

    def _whole(self, snapshot: Snapshot, settings: Settings) -> CheckResult:
        live = [worker for worker in snapshot.workers if worker.state.is_live]
        silent = [worker.hostname for worker in snapshot.workers if worker.state is WorkerState.UNKNOWN]
        command = worker_command(snapshot.app.name)
        count = partial(self.result, observed=len(live), limit=settings.min_workers, unit="workers")
        if len(live) >= max(1, settings.min_workers):
            return count(CheckStatus.PASS, f"{_count(len(live))} alive.")
        if live:
            few = f"Only {len(live)} of {settings.min_workers} workers are alive (MIN_WORKERS)."
            return count(
                CheckStatus.WARN,
                few,
                recommendation=f"{few} Start more: {command}",
            )
        if silent:
            return count(
                CheckStatus.UNKNOWN,
                f"No worker has answered in time; {', '.join(silent)} may be busy, stopped or gone.",
            )
        if not snapshot.inspection.supported:
            return count(
                CheckStatus.UNSUPPORTED,
                "Remote control is off or not supported by this transport, and no worker keeps a record.",
            )
        if not snapshot.inspection.complete:
            return count(CheckStatus.UNKNOWN, f"The workers could not be asked: {snapshot.inspection.error}")
        if settings.min_workers == 0:
            return count(CheckStatus.PASS, "No worker is alive, and none must be (MIN_WORKERS 0).")
        return count(
            CheckStatus.FAIL,
            f"{NO_WORKERS}.",
            recommendation=f"{NO_WORKERS}. Start one: {command}",
        )

    def _lost(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        for worker in snapshot.workers:
            if worker.state is WorkerState.GONE:
                seen = worker.last_seen_seconds
                yield self.result(
                    CheckStatus.WARN,
                    f"Worker {worker.hostname!r} vanished without a goodbye.",
                    subject=worker.hostname,
                    observed=None if seen is None else round(seen, 1),
                    limit=settings.limits.lost_worker_memory_seconds,
                    unit="seconds",
                    recommendation=(
                        f"Worker {worker.hostname!r} vanished. See why it died (out of memory, killed node), "
                        f"and start it again: {worker_command(snapshot.app.name, worker.queues or ())}"
                    ),
                )


def _count(number: int) -> str:
    return "1 worker is" if number == 1 else f"{number} workers are"
