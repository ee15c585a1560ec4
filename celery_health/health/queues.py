"""Whether too much waits for a slot, or for too long: in the broker, and in workers that took it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health.base import Check, one_more_worker
from celery_health.health.held import cause_of, drain, parts
from celery_health.health.needs import Need, queues_are_read, queues_are_readable, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, QueueState, Snapshot
from celery_health.text.formats import number


class QueuesDepth(Check):
    """Warn when more could run and waits, ready in a queue or held by workers, than its limit."""

    id: ClassVar[str] = "queues.depth"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, queues_are_readable)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue over its limit or unreadable, else one for all."""
        troubled = False
        for queue in snapshot.queues:
            waiting = queue.waiting
            if waiting == 0 or queue.unread:  # queues.consumed says so
                continue
            limit = settings.limit("depth", queue=queue.name)
            if waiting is None:
                troubled = True
                yield self._unknown(queue)
            elif waiting > limit and not settings.scales_to_zero(queue.name):
                troubled = True
                yield self._deep(queue, waiting, limit, snapshot)
        if not troubled:
            deepest = max((queue.waiting or 0 for queue in snapshot.queues), default=0)
            yield self.result(
                CheckStatus.PASS,
                "No queue is over its limit." if snapshot.queues else "No queue is known.",
                observed=deepest,
                limit=settings.limits.depth,
                unit="tasks",
            )

    def _unknown(self, queue: QueueState) -> CheckResult:
        why = queue.error or "the broker did not say"
        return self.result(
            CheckStatus.UNKNOWN,
            f"The depth of queue '{queue.name}' could not be read: {why}",
            subject=queue.name,
            unit="tasks",
        )

    def _deep(self, queue: QueueState, waiting: int, limit: float, snapshot: Snapshot) -> CheckResult:
        least = "at least " if queue.held_is_minimum else ""
        count = number(waiting) if queue.held else waiting
        fact = f"Queue '{queue.name}' holds {least}{count} tasks (limit {limit:g})"
        message = f"{fact}{parts(queue)}.{drain(queue)}"
        return self.result(
            CheckStatus.WARN,
            message,
            subject=queue.name,
            observed=waiting,
            limit=limit,
            unit="tasks",
            recommendation=_advice(f"{fact}{parts(queue)}.", cause_of(queue, snapshot), queue, snapshot),
        )


class QueuesAge(Check):
    """Warn when the oldest that could run has waited longer than its limit; before its ETA nothing waits."""

    id: ClassVar[str] = "queues.age"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, queues_are_read)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue that is late, or whose age is unknown while it holds messages."""
        results = [
            result
            for queue in snapshot.queues
            if queue.waiting != 0 and not queue.unread
            for result in self._judge(queue, snapshot, settings)
        ]
        if results:
            yield from results
            return
        oldest = max((queue.oldest_age_seconds or 0.0 for queue in snapshot.queues), default=0.0)
        yield self.result(
            CheckStatus.PASS,
            "Nothing has waited too long.",
            observed=round(oldest, 1),
            limit=settings.limits.age_seconds,
            unit="seconds",
        )

    def _judge(self, queue: QueueState, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        limit = settings.limit("age_seconds", queue=queue.name)
        age = queue.oldest_age_seconds
        if age is not None and age > limit:
            least = "at least " if queue.oldest_age_is_minimum else ""
            waited = (
                f"The oldest task in queue '{queue.name}' has waited {least}{age:.0f} s (limit {limit:g})"
            )
            holder = queue.oldest_held_by
            waited += f": worker '{holder}' took it, and has not begun it." if holder else "."
            cause = cause_of(queue, snapshot, holder=holder) if holder else ""
            yield self.result(
                CheckStatus.WARN,
                waited,
                subject=queue.name,
                observed=round(age, 1),
                limit=limit,
                unit="seconds",
                recommendation=_advice(waited, cause, queue, snapshot),
            )
        elif queue.ready and (age is None or queue.ready_age_is_unknown):
            yield self.result(
                CheckStatus.UNKNOWN,
                f"How long the {queue.ready} tasks in queue '{queue.name}' have waited is not known yet.",
                subject=queue.name,
                unit="seconds",
            )


def _advice(fact: str, cause: str, queue: QueueState, snapshot: Snapshot) -> str:
    # More workers take nothing of what one holds.
    add = "Add workers" if queue.ready or not queue.held else "For what is still to come, add workers"
    return f"{fact} {cause}{add}: {one_more_worker(snapshot, queue.name)}"
