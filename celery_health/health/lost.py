"""Whether runs were lost with a worker that ended, and whether messages are held by nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from celery_health.conf import Settings
from celery_health.health.base import Check
from celery_health.health.needs import WORKERS, Need, losses_are_told, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, LostRun, LostRuns, Orphans, Snapshot, WorkerState
from celery_health.text.formats import duration, listing, number, plural
from celery_health.text.printable import printable

#: Workers that are named one by one; those of a lost machine vanish together.
_MOST_WORKERS: Final = 20
#: Runs that are named in a message, and in what to do about them.
_MOST_RUNS: Final = 5
_MOST_TO_SEND: Final = 20
_MOST_NAME: Final = 80
#: How often a worker looks for what is to be handed out again (``kombu/transport/redis.py``: every tenth time
#: of one in 10 s).
_LOOK_SECONDS: Final = 100
_DUE: Final = f"workers look for such messages every {_LOOK_SECONDS} s by default"
_MORE_TIME: Final = (
    "Give it longer to stop than its longest task runs (Kubernetes: terminationGracePeriodSeconds, Docker: "
    "stop_grace_period, systemd: TimeoutStopSec)."
)
_WARM: Final = (
    "SIGTERM lets it wait for what runs; SIGQUIT (REMAP_SIGTERM) and a second Ctrl-C do not, or only for "
    "worker_soft_shutdown_timeout seconds."
)


class TasksLost(Check):
    """Warn of runs that a worker took with it, and of messages that nobody holds."""

    id: ClassVar[str] = "tasks.lost"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, losses_are_told)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per worker that took runs with it and per queue with orphans, else one for all."""
        losses = snapshot.losses
        results = [self._runs(lost, snapshot) for lost in losses.runs[:_MOST_WORKERS]]
        if more := losses.runs[_MOST_WORKERS:]:
            results.append(self._more(more))
        results += [self._orphans(one, snapshot, settings) for one in losses.orphans if one.count is not None]
        if untold := [one for one in losses.orphans if one.count is None]:
            results.append(self._unknown(untold, settings))
        yield from results or [self.result(CheckStatus.PASS, "No task is known to be lost.", observed=0)]

    def _runs(self, lost: LostRuns, snapshot: Snapshot) -> CheckResult:
        if lost.are_given_up:
            how = f"was stopped without waiting for its tasks, and gave up {number(lost.count)} that ran"
        else:
            how = "vanished while it drained, and ran" if lost.was_draining else "vanished while it ran"
            how += f" up to {plural(lost.count, 'task')}"
        fact = f"Worker '{lost.hostname}' {how}."
        said, todo = [fact], [fact]
        if gone := lost.gone:
            were = "was acknowledged when it" if len(gone) == 1 else "were acknowledged when they"
            does = "does" if len(gone) == 1 else "do"
            said.append(f"{number(len(gone))} {were} started, and {does} not come back: {_named(gone)}.")
            todo.append(
                f"Send again what matters: {_named(gone, _MOST_TO_SEND)}. "
                "A task that may run twice comes back by itself with acks_late=True."
            )
        if returning := lost.returning:
            said.append(f"{_back(returning, snapshot)}: {_named(returning)}.")
            if not gone:
                todo.append(
                    "Wait for what comes back; send again what cannot wait, if it may run twice: "
                    f"{_named(returning, _MOST_TO_SEND)}."
                )
        if lost.untold:
            named = [run for run in lost.runs if run.is_acknowledged is None]
            names = f": {_named(named)}" if named else ""
            said.append(f"Whether {number(lost.untold)} of them come back is not known{names}.")
        if lost.are_given_up:
            todo.append(_WARM)
        elif lost.was_draining:
            todo.append(_MORE_TIME)
        return self.result(
            CheckStatus.WARN,
            " ".join(said),
            subject=lost.hostname,
            observed=lost.count,
            limit=0,
            unit="runs",
            because=WORKERS if _is_missed(lost, snapshot) else None,
            recommendation=" ".join(todo) if len(todo) > 1 else f"{fact} Look whether their work was done.",
        )

    def _more(self, more: Sequence[LostRuns]) -> CheckResult:
        count = sum(lost.count for lost in more)
        return self.result(
            CheckStatus.WARN,
            f"{plural(len(more), 'more worker')} took up to {plural(count, 'task')} with them.",
            observed=count,
            limit=0,
            unit="runs",
        )

    def _orphans(self, one: Orphans, snapshot: Snapshot, settings: Settings) -> CheckResult:
        count = one.count or 0
        least = "At least " if one.is_minimum else ""
        source = f" from queue '{one.queue}'" if one.queue is not None else ""
        were, them = ("was", "it") if count == 1 else ("were", "them")
        fact = (
            f"{least}{plural(count, 'message')}{source} {were} taken over "
            f"{settings.limits.lost_seconds:g} s ago and not acknowledged, and no worker that reports holds "
            f"{them}"
        )
        if one.held_by:
            fact += f": {_workers(one.held_by)} did, and vanished"
        back = _between(one, snapshot)
        when = back or "The broker hands them out again after its visibility timeout."
        return self.result(
            CheckStatus.WARN,
            f"{fact}.{f' {back}' if back else ''}",
            subject=one.queue,
            observed=count,
            limit=0,
            unit="messages",
            recommendation=f"{fact}. {when} {_sooner(snapshot)}",
        )

    def _unknown(self, untold: Sequence[Orphans], settings: Settings) -> CheckResult:
        first = untold[0]
        more = f" (and of {plural(len(untold) - 1, 'more queue')})" if len(untold) > 1 else ""
        return self.result(
            CheckStatus.UNKNOWN,
            f"Whether somebody holds the messages of queue '{first.queue}' that were taken over "
            f"{settings.limits.lost_seconds:g} s ago is not known{more}: {first.unknown}.",
            unit="messages",
        )


def _sooner(snapshot: Snapshot) -> str:
    options = snapshot.app.options.in_words("broker_transport_options")
    return (
        f"To have such messages back sooner, set 'visibility_timeout' in {options} to little more than the "
        "longest task and ETA, on all workers."
    )


def _is_missed(lost: LostRuns, snapshot: Snapshot) -> bool:
    """Say whether `workers.alive` tells of the worker: none of its name lives, and it was not told to go."""
    if lost.are_given_up or lost.was_draining:
        return False
    return not any(w.hostname == lost.hostname and w.state is not WorkerState.GONE for w in snapshot.workers)


def _named(runs: Sequence[LostRun], most: int = _MOST_RUNS) -> str:
    """Return the names and ids of some runs: ``shop.pay (a1, a2), shop.ship (b1) and 3 more``."""
    by_name: dict[str, list[str]] = {}
    for run in runs[:most]:
        ids = by_name.setdefault(printable(run.task_name, _MOST_NAME), [])
        ids.append(printable(run.task_id, _MOST_NAME))
    named = ", ".join(f"{name} ({', '.join(ids)})" for name, ids in by_name.items())
    return named if len(runs) <= most else f"{named} and {number(len(runs) - most)} more"


def _workers(names: Sequence[str]) -> str:
    return f"{'worker' if len(names) == 1 else 'workers'} {listing([repr(name) for name in names], 3)}"


def _back(runs: Sequence[LostRun], snapshot: Snapshot) -> str:
    """Return how many come back, and when."""
    times = [run.returns_seconds for run in runs if run.returns_seconds is not None]
    are, come = ("is", "comes") if len(runs) == 1 else ("are", "come")
    if not times:
        return f"{number(len(runs))} {are} not acknowledged, and may come back"
    if max(times) <= 0:
        return f"{number(len(runs))} {are} due to come back ({_DUE})"
    by = "by about " if len(runs) > 1 else "at about "
    return f"{number(len(runs))} {come} back {by}{_clock(max(times), snapshot)}"


def _between(one: Orphans, snapshot: Snapshot) -> str | None:
    """Return when the broker hands the messages out again."""
    first, last = one.first_returns_seconds, one.last_returns_seconds
    if first is None or last is None:
        return None
    they = "It comes" if one.count == 1 else "They come"
    if -_LOOK_SECONDS <= last <= 0:
        return f"{'It is' if one.count == 1 else 'They are'} due to come back: {_DUE}."
    if last <= 0:
        was = "It was" if one.count == 1 else "They were"
        return f"{was} to come back {duration(-last)} ago: that takes a worker that reads from this broker."
    end = _clock(last, snapshot)
    begin = _clock(max(0.0, first), snapshot)
    return (
        f"{they} back at about {end}."
        if begin == end
        else f"{they} back from about {begin.removesuffix(' UTC')} to {end}."
    )


def _clock(seconds: float, snapshot: Snapshot) -> str:
    """Return the time of day, so many seconds after the snapshot was taken."""
    at = snapshot.taken_at + timedelta(seconds=seconds)
    return f"{at:%H:%M} UTC" if seconds < 86400 / 2 else f"{at:%Y-%m-%d %H:%M} UTC"
