"""Whether tasks are known by their name, and end at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import Need, outcomes_are_kept, tasks_are_sent, workers_can_tell
from celery_health.records import CheckResult, CheckStatus, RunningTask, Snapshot, TaskOutcomes


class TasksUnknown(Check):
    """Warn when a worker lately received, and discarded, a task under a name that it does not register."""

    id: ClassVar[str] = "tasks.unknown"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, outcomes_are_kept)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per name, else one for all."""
        assert snapshot.recent is not None, "needs outcomes_are_kept"
        found = [
            self._unknown(name, outcomes, snapshot)
            for name, outcomes in sorted(snapshot.recent.items())
            if outcomes.unknown
        ]
        yield from found or [self.result(CheckStatus.PASS, "Workers knew every task that they received.")]

    def _unknown(self, name: str, outcomes: TaskOutcomes, snapshot: Snapshot) -> CheckResult:
        return self.result(
            CheckStatus.WARN,
            f"A worker received '{name}', which it does not register, and discarded it.",
            subject=name,
            observed=outcomes.unknown,
            limit=0,
            unit="tasks",
            recommendation=f"{_why_unknown(name, snapshot)}: python manage.py celery_health doctor",
        )


def _why_unknown(name: str, snapshot: Snapshot) -> str:
    for queue in snapshot.shared_queues:
        for sharer in queue.sharers:
            if queue.ours and sharer.is_other_project and name in sharer.registered:
                return (
                    f"'{name}' is a task of another project, whose worker '{sharer.hostname}' consumes queue "
                    f"'{queue.name}' as workers of this one do. Give each project queues, a database or a "
                    "virtual host of its own"
                )
    return (
        f"'{name}' is sent, and discarded as unregistered. Send it under the name that workers register, or "
        "deploy the code that defines it"
    )


class TasksStuck(Check):
    """Warn when a task runs longer than it says, than its time limit, or than it ever did."""

    id: ClassVar[str] = "tasks.stuck"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, workers_can_tell)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per stuck task, else one for all."""
        least = settings.least_stuck_seconds
        results = [
            result
            for worker in snapshot.workers
            if worker.state.is_live and worker.may_run_over(least)
            for task in worker.active
            for result in self._judge(task, snapshot, settings)
        ]
        yield from results or [self.result(CheckStatus.PASS, "No task runs longer than it should.")]

    def _judge(self, task: RunningTask, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        ran = task.runtime_seconds
        limit, source = self._limit(task, snapshot, settings)
        if ran is None or limit is None:
            # Below the floor nobody would call it stuck, whatever its history.
            if ran is None or ran > self._least_limit(task, snapshot, settings):
                yield self.result(
                    CheckStatus.UNKNOWN,
                    f"Whether '{task.task_name}' on '{task.worker}' runs too long is not known: "
                    f"it declares no length, and {self._why_unknown(task, snapshot)}.",
                    subject=task.task_name,
                    observed=None if ran is None else round(ran, 1),
                    unit="seconds",
                )
        elif ran > limit:
            why = (
                f"Task '{task.task_name}' ({task.task_id}) has run for {ran:.0f} s "
                f"on '{task.worker}' ({source}: {limit:.0f} s)."
            )
            yield self.result(
                CheckStatus.WARN,
                why,
                subject=task.task_name,
                observed=round(ran, 1),
                limit=round(limit, 1),
                unit="seconds",
                recommendation=(
                    f"{why} See where it hangs (py-spy on the child), give it a time limit, "
                    "or say how long it takes: @monitor_task(expected=...)."
                ),
            )

    def _least_limit(self, task: RunningTask, snapshot: Snapshot, settings: Settings) -> float:
        """Return what the limit is at least, where its history gives none."""
        floor, factor = (
            settings.limit(name, task=task.task_name) for name in ("stuck_floor_seconds", "stuck_factor")
        )
        seen = snapshot.observed.get(task.task_name)
        if seen is None or seen.p99_seconds is not None or seen.measured_to_seconds is None:
            return floor
        return max(floor, factor * seen.measured_to_seconds)

    def _why_unknown(self, task: RunningTask, snapshot: Snapshot) -> str:
        seen = snapshot.observed.get(task.task_name)
        if seen is not None and seen.p99_seconds is None and seen.measured_to_seconds is not None:
            return f"its longest runs took over {seen.measured_to_seconds:g} s, how long exactly is not kept"
        return "too few of its runs were seen"

    def _limit(self, task: RunningTask, snapshot: Snapshot, settings: Settings) -> tuple[float | None, str]:
        expected = settings.tasks.get(task.task_name, {}).get("expected")
        if expected is not None:
            return float(expected), "expected"
        if task.limit_seconds is not None:
            return task.limit_seconds, "declared"
        seen = snapshot.observed.get(task.task_name)
        factor, samples, floor = (
            settings.limit(name, task=task.task_name)
            for name in ("stuck_factor", "stuck_samples", "stuck_floor_seconds")
        )
        if seen is None or seen.p99_seconds is None or seen.samples <= samples:
            return None, ""
        return max(factor * seen.p99_seconds, floor), "observed"
