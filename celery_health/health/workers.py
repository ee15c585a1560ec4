"""Whether somebody is there to run tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from celery_health.conf import Settings
from celery_health.health import starts
from celery_health.health.base import Check
from celery_health.health.needs import (
    BROKER,
    STORE,
    WRITABLE,
    Need,
    is_excused,
    refused_by,
    silence_is_no_proof,
    tasks_are_sent,
    workers_are_known,
)
from celery_health.records import CheckResult, CheckStatus, Exit, Snapshot, Worker, WorkerState
from celery_health.text.commands import worker_command
from celery_health.text.formats import listing, plural

NO_WORKERS = "No active Celery workers found"


class WorkersAlive(Check):
    """Fail when no worker lives, or none becomes ready; warn of too few, and of one that comes to nothing.

    That is one that was lost, that starts again and again, or whose name another has.
    """

    id: ClassVar[str] = "workers.alive"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, workers_are_known)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result for the whole, and one for each name that there is something to say of."""
        started = () if _cannot_report(snapshot) else starts.trying(snapshot, settings)
        starting = self._starting(started, snapshot, settings) if started else None
        whole = starting or self._whole(snapshot, settings)
        yield whole
        yield from self._doubled(snapshot)
        # Whom that names is named once.
        failed = _failed(snapshot) if whole.status is CheckStatus.FAIL else None
        named = started if starting else [failed] if failed else []
        told = {worker.hostname for worker in named}
        for worker in snapshot.workers:
            if worker.hostname not in told and starts.restarts(worker, settings):
                told.add(worker.hostname)
                yield self._restarting(worker, snapshot, settings)
        if not _cannot_report(snapshot):
            yield from self._lost(snapshot, settings, told)

    def _starting(
        self, started: Sequence[Worker], snapshot: Snapshot, settings: Settings
    ) -> CheckResult | None:
        """Return what to say where nobody is there but workers that start; None for nothing."""
        seconds, limit = starts.trying_seconds(snapshot, started), settings.limits.start_seconds
        is_over = seconds > limit
        # Those that drain are just being replaced. Where none must be there, the first may take its time.
        drains = any(worker.state is WorkerState.DRAINING for worker in snapshot.workers)
        if not is_over and (drains or settings.min_workers == 0):
            return None
        more = f" The same of {listing([w.hostname for w in started[1:]], 3)}." if len(started) > 1 else ""
        result = self.result(
            CheckStatus.FAIL if is_over else CheckStatus.WARN,
            f"No worker is ready: {starts.story(started[0])}.{more}",
            observed=round(seconds, 1),
            limit=limit,
            unit="seconds",
            recommendation=f"No worker is ready. {starts.remedy(started[0], snapshot)}",
        )
        # Without its broker none becomes ready.
        return replace(result, because=BROKER) if snapshot.broker.reachable is False else result

    def _restarting(self, worker: Worker, snapshot: Snapshot, settings: Settings) -> CheckResult:
        known = worker.starts
        assert known is not None
        return self.result(
            CheckStatus.WARN,
            f"{starts.story(worker)}.",
            subject=worker.hostname,
            observed=known.broken_count,
            limit=settings.limits.restarts_per_hour,
            unit="restarts",
            recommendation=(
                f"Worker '{worker.hostname}' starts again and again. {starts.remedy(worker, snapshot)}"
            ),
        )

    def _whole(self, snapshot: Snapshot, settings: Settings) -> CheckResult:
        # Who starts for too long may never come.
        live = sum(w.state.is_live and not starts.is_late(w, settings) for w in snapshot.workers)
        if live == 0:
            return self._nobody(snapshot, settings)
        count = partial(self.result, observed=live, limit=settings.min_workers, unit="workers")
        if live >= settings.min_workers:
            return count(CheckStatus.PASS, f"{live} {'worker is' if live == 1 else 'workers are'} alive.")
        few = f"Only {live} of {settings.min_workers} workers are alive (MIN_WORKERS)."
        command = worker_command(snapshot.app.name)
        return count(CheckStatus.WARN, few, recommendation=f"{few} Start more: {command}")

    def _nobody(self, snapshot: Snapshot, settings: Settings) -> CheckResult:
        none = partial(self.result, observed=0, limit=settings.min_workers, unit="workers")
        if why := _cannot_report(snapshot):
            return replace(none(CheckStatus.UNKNOWN, why), because=refused_by(snapshot))
        silent = [w.hostname for w in snapshot.workers if w.state is WorkerState.UNKNOWN]
        if silent:
            return none(
                CheckStatus.UNKNOWN,
                f"No worker has answered in time; {', '.join(silent)} may be busy, stopped or gone.",
            )
        if settings.min_workers == 0:
            return none(CheckStatus.OFF, "No worker is alive, and none must be (MIN_WORKERS 0).")
        recommendation = f"{NO_WORKERS}. Start one: {worker_command(snapshot.app.name)}"
        if not snapshot.workers and not snapshot.inspection.supported:
            return self.result(
                CheckStatus.UNSUPPORTED,
                "Remote control is off or not supported by this transport, and no worker keeps a record.",
            )
        if not snapshot.workers and not snapshot.inspection.complete:
            why = snapshot.inspection.error or "nobody was asked"
            unasked = none(CheckStatus.UNKNOWN, f"The workers could not be asked: {why}")
            # Whom it takes no question to.
            return replace(unasked, because=WRITABLE if snapshot.broker.writes.accepted is False else None)
        if not snapshot.workers and (counted := _counted_by_the_broker(snapshot)):
            return none(CheckStatus.UNKNOWN, f"No worker has answered in time, yet {counted}.")
        if failed := _failed(snapshot):
            return none(
                CheckStatus.FAIL,
                f"{NO_WORKERS}: {starts.story(failed)}.",
                recommendation=_then_start(starts.remedy(failed, snapshot), snapshot),
            )
        left = _seconds_since_left(snapshot, settings)
        if left is not None and left <= settings.limits.restart_grace_seconds:
            if snapshot.store.configured and not snapshot.store.reachable:
                return replace(
                    none(
                        CheckStatus.UNKNOWN,
                        f"No worker has answered in time, one that lived {left:.0f} s ago among them, and "
                        "the store with its record cannot be read.",
                    ),
                    because=STORE,
                )
            return none(
                CheckStatus.WARN,
                f"{NO_WORKERS}: the last one left {left:.0f} s ago, "
                f"and may come back within {settings.limits.restart_grace_seconds:g} s.",
                recommendation=recommendation,
            )
        return none(CheckStatus.FAIL, f"{NO_WORKERS}.", recommendation=recommendation)

    def _doubled(self, snapshot: Snapshot) -> Iterable[CheckResult]:
        counted = Counter(worker.hostname for worker in snapshot.workers if worker.is_doubled)
        for name, live in sorted(counted.items()):
            what = f"{live} workers live under the name '{name}'"
            yield self.result(
                CheckStatus.WARN,
                f"{what}: commands and revokes reach all of them, and one hides the others in every tool "
                "that tells workers apart by name.",
                subject=name,
                observed=live,
                limit=1,
                unit="workers",
                recommendation=f"{what}. Give each a name of its own: celery worker -n worker1@%h",
            )

    def _lost(self, snapshot: Snapshot, settings: Settings, told: Collection[str]) -> Iterable[CheckResult]:
        for worker in snapshot.workers:
            seen = worker.last_seen_seconds
            if worker.hostname in told or not _is_lost(worker) or not _is_recent(worker, settings):
                continue
            if not snapshot.store.refuses_writes and is_excused(worker, snapshot.store):
                continue  # its report may be on the way
            if worker.exit is not None:
                # Its supervisor may start it again.
                if seen is None or seen > settings.limits.worker_lost_seconds:
                    yield self._ended(worker, worker.exit, snapshot, settings)
            else:
                yield self.result(
                    CheckStatus.WARN,
                    f"Worker '{worker.hostname}' vanished without a goodbye{_taken_along(worker, snapshot)}"
                    + (": its connection to the broker is gone." if worker.is_disconnected else "."),
                    subject=worker.hostname,
                    observed=None if seen is None else round(seen, 1),
                    # A proof waits for no limit.
                    limit=None if worker.is_disconnected else settings.limits.worker_lost_seconds,
                    unit="seconds",
                    recommendation=(
                        f"Worker '{worker.hostname}' vanished. {_look(worker, snapshot)}, "
                        f"and start it again: {_command(worker, snapshot)}"
                    ),
                )

    def _ended(self, worker: Worker, end: Exit, snapshot: Snapshot, settings: Settings) -> CheckResult:
        seen = worker.last_seen_seconds
        when = " at its start" if end.at_start else ""
        return self.result(
            CheckStatus.WARN,
            f"Worker '{worker.hostname}' ended{when} by {end.cause.rstrip('.')}.",
            subject=worker.hostname,
            observed=None if seen is None else round(seen, 1),
            limit=settings.limits.worker_lost_seconds,
            unit="seconds",
            recommendation=(
                f"Worker '{worker.hostname}' ended by {end.kind}. {starts.remedy(worker, snapshot)} "
                f"Then start it again: {_command(worker, snapshot)}"
            ),
        )


def _taken_along(worker: Worker, snapshot: Snapshot) -> str:
    """Return what it took with it, of which `tasks.lost` says more; "" where nothing is known of that."""
    lost = (one for one in snapshot.losses.runs if one.hostname == worker.hostname and not one.are_given_up)
    count = sum(one.count for one in lost)
    return f" and took up to {plural(count, 'task')} with it" if count else ""


def _look(worker: Worker, snapshot: Snapshot) -> str:
    """Return where to see why a worker vanished, as a sentence without its end."""
    outage = snapshot.store.outage
    if outage is not None and outage.holds(worker.last_seen_seconds):
        return "It could not say why, since the store took no reports then: see its log"
    return "See why it died (out of memory, killed node)"


def _then_start(remedy: str, snapshot: Snapshot) -> str:
    """Return what to do before a worker is started; what is to be pasted stands at the end."""
    if not remedy.endswith("."):
        return f"{NO_WORKERS}. Start one after this. {remedy}"
    return f"{NO_WORKERS}. {remedy} Then start one: {worker_command(snapshot.app.name)}"


def _command(worker: Worker, snapshot: Snapshot) -> str:
    """Return the command that starts a worker as this one was."""
    queues = worker.queues or ()
    sent_to = {queue.name for queue in snapshot.queues if queue.expected_by}
    return worker_command(snapshot.app.name, sent_to.intersection(queues), queues)


def _cannot_report(snapshot: Snapshot) -> str | None:
    """Return why it is no wonder that nobody reports any more; None where it is one."""
    why = silence_is_no_proof(snapshot)
    return None if why is None else f"Whether workers live is not known: {why}."


def _counted_by_the_broker(snapshot: Snapshot) -> str | None:
    """Return of which queue the broker counts a consumer whom nobody knows by name; None where of none."""
    for queue in snapshot.queues:
        unnamed = (queue.consumers or 0) - len(queue.consumer_names) - len(queue.foreign_consumers)
        if queue.expected_by and unnamed > 0:
            return (
                f"the broker counts {plural(unnamed, 'consumer')} of queue '{queue.name}': a worker "
                "that is busy in its main process, or a program that is none"
            )
    return None


def _is_lost(worker: Worker) -> bool:
    """Say whether it went without being told to; one that drains was told, and may be killed over it."""
    return worker.state is WorkerState.GONE and not worker.said_goodbye and not worker.is_draining


def _failed(snapshot: Snapshot) -> Worker | None:
    """Return the last worker to end, if it did so at its start and nobody lives; else None."""
    if any(worker.state.is_live for worker in snapshot.workers):
        return None
    seen = [worker for worker in snapshot.workers if worker.last_seen_seconds is not None]
    last = min(seen, key=lambda worker: worker.last_seen_seconds or 0.0, default=None)
    return last if last is not None and starts.has_failed(last) else None


def _is_recent(worker: Worker, settings: Settings) -> bool:
    """Say whether it was seen lately enough to be missed."""
    seen = worker.last_seen_seconds
    return seen is None or seen <= settings.limits.lost_worker_memory_seconds


def _seconds_since_left(snapshot: Snapshot, settings: Settings) -> float | None:
    """Return how long ago the last worker left by its own word; None when one was lost, or never any was."""
    goodbyes = [
        worker.last_seen_seconds
        for worker in snapshot.workers
        if (worker.said_goodbye or worker.exit is not None) and worker.last_seen_seconds is not None
    ]
    if goodbyes:
        return min(goodbyes)
    # No record at all: gone with a restart of the store, or never kept; this process may remember.
    lost = any(_is_lost(worker) and _is_recent(worker, settings) for worker in snapshot.workers)
    return None if lost else snapshot.live_worker_seen_seconds
