"""Whether somebody takes what waits in a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from celery_health.conf import Settings
from celery_health.health.base import Check, one_more_worker
from celery_health.health.needs import Need, queues_are_read, tasks_are_sent, what_is_expected
from celery_health.reading.schedules import schedule_entries
from celery_health.records import (
    CheckResult,
    CheckStatus,
    Hold,
    QueueState,
    SharedQueue,
    Sharer,
    Snapshot,
    Worker,
    WorkerState,
)
from celery_health.text.commands import add_consumer_command


class QueuesConsumed(Check):
    """Fail when messages wait where nobody consumes; warn when nobody consumes what must be, though empty.

    Who discards what is sent there is no consumer that anybody wants: warn of one of another project.
    """

    id: ClassVar[str] = "queues.consumed"

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue without a consumer, or shared with another project, else one for all."""
        results = [
            result
            for queue in snapshot.queues
            if not queue.consumers
            for result in self._judge(queue, snapshot, settings)
        ]
        results += [self._unread(queue) for queue in snapshot.queues if queue.unread]
        results += [
            self._shared(queue, eaters) for queue in snapshot.shared_queues if (eaters := _eaters(queue))
        ]
        if results:
            yield from results
        # That a queue has no consumer is known without its depth; that none needs one is not.
        elif lack := queues_are_read(snapshot) or what_is_expected(snapshot):
            yield self.lacks(lack)
        else:
            yield self.result(CheckStatus.PASS, "Every queue that needs a consumer has one.")

    def _judge(self, queue: QueueState, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        must_be_consumed = any(
            reason == "setting" or reason.startswith("beat:") for reason in queue.expected_by
        )
        if settings.scales_to_zero(queue.name) or not (queue.ready or must_be_consumed):
            return
        if queue.consumers is None and queue.unconsumed_seconds is None:
            if snapshot.broker.is_lacking:
                return  # of every queue: said once
            why = f": {queue.consumption_unknown}" if queue.consumption_unknown else ""
            yield self.result(
                CheckStatus.UNKNOWN,
                f"Whether anybody consumes queue '{queue.name}' is not known{why}.",
                subject=queue.name,
            )
        elif queue.consumers == 0 and queue.unconsumed_seconds is not None:
            yield self._unconsumed(queue, queue.unconsumed_seconds, snapshot, settings)

    def _unconsumed(
        self, queue: QueueState, seconds: float, snapshot: Snapshot, settings: Settings
    ) -> CheckResult:
        limit = settings.limit("unconsumed_seconds", queue=queue.name)
        result = partial(
            self.result, subject=queue.name, observed=round(seconds, 1), limit=limit, unit="seconds"
        )
        held = f" and holds {queue.ready} tasks" if queue.ready else ""
        why = f"Queue '{queue.name}' has no consumer{held}."
        if queue.idle_consumers:
            why += f" It is a queue of {_listed(queue.idle_consumers)}, and nobody takes from it."
        if seconds > limit:
            return result(
                CheckStatus.FAIL if queue.ready else CheckStatus.WARN,
                why,
                recommendation=f"{why} {_fix(queue, snapshot)}",
            )
        if snapshot.is_one_shot and not queue.unconsumed_by_store:
            # It will not watch until the limit, and the next call begins anew.
            waiting = f", and {queue.ready} tasks wait" if queue.ready else ""
            now = f"Queue '{queue.name}' has no consumer now{waiting}; for how long is not known."
            return self.result(
                CheckStatus.WARN,
                now,
                subject=queue.name,
                limit=limit,
                unit="seconds",
                recommendation=f"{now} {_fix(queue, snapshot)}",
            )
        how = "since" if queue.unconsumed_by_store else "watched for"
        return result(CheckStatus.PASS, f"{why[:-1]}, {how} {seconds:.0f} s (limit {limit:g}).")

    def _unread(self, queue: QueueState) -> CheckResult:
        why = (
            f"{queue.unread} messages for broadcast '{queue.name}' lie in lists that no worker reads: on "
            "Redis, who sends them has to declare its exchange."
        )
        return self.result(
            CheckStatus.WARN,
            why,
            subject=queue.name,
            observed=queue.unread,
            limit=0,
            unit="tasks",
            recommendation=f"{why} The lines to paste: python manage.py celery_health doctor",
        )

    def _shared(self, queue: SharedQueue, eaters: Sequence[Sharer]) -> CheckResult:
        lost = sorted({name for eater in eaters for name in eater.lacks})
        workers = _listed([f"'{eater.hostname}'" for eater in eaters])
        why = (
            f"Queue '{queue.name}' is consumed by {workers} of another project, which does not register "
            f"{_listed([repr(name) for name in lost])}: what it takes of those, it discards."
        )
        return self.result(
            CheckStatus.WARN,
            why,
            subject=queue.name,
            observed=len(lost),
            limit=0,
            unit="tasks",
            recommendation=(
                f"{why} Give each project queues, a database or a virtual host of its own; "
                "the lines to paste: python manage.py celery_health doctor"
            ),
        )


def _eaters(queue: SharedQueue) -> list[Sharer]:
    """Return the workers that discard what this project sends there.

    An earlier version of this project, during a deploy, discards the newest tasks alone.
    """
    if not queue.is_used:
        return []
    return [
        one
        for one in queue.sharers
        if one.lacks and (one.is_other_project or (one.is_foreign and one.lacks == queue.sent))
    ]


def _fix(queue: QueueState, snapshot: Snapshot) -> str:
    """Return what gives a queue a consumer: the worker that stopped consuming it, or one of its own."""
    name, app = queue.name, snapshot.app.name
    start = f"Start one: {one_more_worker(snapshot, name)}"
    cancelled = next((w for w in snapshot.workers if w.state.is_live and name in w.cancelled_queues), None)
    if cancelled is None:
        unknown = _sent_in_vain(queue, snapshot)
        if not unknown:
            return start
        entries = ", ".join(repr(entry) for entry in unknown)
        tasks = ", ".join(repr(task) for task in dict.fromkeys(unknown.values()))
        which = f"{'entry' if len(unknown) == 1 else 'entries'} {entries}"
        return (
            f"First correct the schedule's {which}: no worker registers {tasks}, and one that is started for "
            "the queue alone would discard what it takes. "
            f"Then: {start[0].lower()}{start[1:]}"
        )
    return (
        f"Worker '{cancelled.hostname}' was told to consume it no more (cancel_consumer). "
        f"Undo that: {add_consumer_command(app, name, cancelled.hostname)}, or restart it."
    )


def _sent_in_vain(queue: QueueState, snapshot: Snapshot) -> Mapping[str, str]:
    """Return entry → task of all that the queue is for, where no worker registers any of them.

    Empty where something else is sent there, or a worker does not tell what it registers.
    """
    workers = [worker for worker in snapshot.workers if worker.state.is_live]
    names = [worker.registered for worker in workers if worker.registered is not None]
    silent = any(worker.state is WorkerState.UNKNOWN for worker in snapshot.workers)
    if silent or not workers or len(names) < len(workers):
        return {}
    tasks = {f"beat:{entry.entry}": entry for entry in schedule_entries(snapshot.beats) or ()}
    if not queue.expected_by or not tasks.keys() >= set(queue.expected_by):
        return {}
    sent = {tasks[reason].entry: tasks[reason].task for reason in queue.expected_by}
    return {} if frozenset().union(*names).intersection(sent.values()) else sent


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


class QueuesStalled(Check):
    """Fail when messages wait, their consumers have free slots, and none has taken anything for long."""

    id: ClassVar[str] = "queues.stalled"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, queues_are_read)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per queue that is stalled or behind a limit, else one for all."""
        by_name: dict[str, list[Worker]] = {}
        for worker in snapshot.workers:
            by_name.setdefault(worker.hostname, []).append(worker)
        results: list[CheckResult] = []
        for queue in snapshot.queues:
            if not queue.ready or queue.unread:  # queues.consumed says so
                continue
            # Of two workers under one name each may have other queues.
            consumers = [
                worker
                for name in dict.fromkeys(queue.consumer_names)
                for worker in by_name.get(name, ())
                if worker.queues is None or queue.name in worker.queues
            ]
            results += self._judge(queue, consumers, settings)
        yield from results or [self.result(CheckStatus.PASS, "No queue is stalled.")]

    def _judge(
        self, queue: QueueState, consumers: Sequence[Worker], settings: Settings
    ) -> Iterable[CheckResult]:
        if settings.scales_to_zero(queue.name):
            return
        free = [worker for worker in consumers if _has_free_slots(worker)]
        if free and not _waits_for_one(queue, consumers, free):
            yield from self._judge_free(queue, free, settings)
        elif held := [worker for worker in consumers if worker.state is WorkerState.HELD_BACK]:
            # No fault: what waits is taken when the limit allows it.
            causes = "; ".join(sorted({_held_back(worker) for worker in held}))
            yield self.result(
                CheckStatus.PASS,
                f"Queue '{queue.name}' holds {queue.ready} tasks behind a limit: {causes}.",
                subject=queue.name,
                observed=queue.ready,
                unit="tasks",
            )

    def _judge_free(
        self, queue: QueueState, free: Sequence[Worker], settings: Settings
    ) -> Iterable[CheckResult]:
        limit = settings.limit("stalled_seconds", queue=queue.name)
        idle = [_idle_seconds(worker) for worker in free]
        if queue.held_seconds is None or any(age is None for age in idle):
            yield self.result(
                CheckStatus.UNKNOWN,
                f"Whether queue '{queue.name}' moves is not known yet.",
                subject=queue.name,
            )
            return
        # Held so long, and in all that time no free consumer started or ended anything.
        stalled = min(queue.held_seconds, *(age for age in idle if age is not None))
        if stalled > limit:
            names = ", ".join(sorted(worker.hostname for worker in free))
            why = f"Queue '{queue.name}' holds {queue.ready} tasks; {names} has free slots and takes none."
            yield self.result(
                CheckStatus.FAIL,
                why,
                subject=queue.name,
                observed=round(stalled, 1),
                limit=limit,
                unit="seconds",
                recommendation=f"{why} Restart it, and read its log: its consumer or its pool hangs.",
            )


#: States that explain why a worker with free slots takes nothing.
_EXPLAINED: Final = (
    WorkerState.STARTING,
    WorkerState.DRAINING,
    WorkerState.RECONNECTING,
    WorkerState.HELD_BACK,
    WorkerState.NO_QUEUES,
)


def _has_free_slots(worker: Worker) -> bool:
    if worker.state in _EXPLAINED or not worker.state.is_live:
        return False
    if worker.active_count is None or not worker.concurrency:
        return False
    return worker.active_count < worker.concurrency


def _waits_for_one(queue: QueueState, consumers: Sequence[Worker], free: Sequence[Worker]) -> bool:
    """Say whether the broker gives to one consumer alone, and that may be one whose slots are taken."""
    single = any(queue.name in worker.single_active_queues for worker in consumers)
    return single and len(free) < sum(worker.state.is_live for worker in consumers)


def _idle_seconds(worker: Worker) -> float | None:
    """Return for how long a worker could have taken something and did not; older ones tell less."""
    return worker.progress_age_seconds if worker.idle_seconds is None else worker.idle_seconds


def _held_back(worker: Worker) -> str:
    """Say what holds a worker back: ``worker 'w@h' holds 8 of 'app.sync' for its rate limit (20/h)``."""
    holds = ", ".join(_hold(hold) for hold in worker.held_back or ())
    return f"worker '{worker.hostname}' " + (f"holds {holds}" if holds else "is held back")


def _hold(hold: Hold) -> str:
    waits_for = {"rate_limit": "for its rate limit", "eta": "until its ETA"}.get(hold.by, "for a limit")
    return f"{hold.count} of '{hold.task_name}' {waits_for}" + (f" ({hold.limit})" if hold.limit else "")
