"""What the starts of workers come to: somebody starts and nobody is ready, or one starts again and again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from celery_health.conf import Settings
from celery_health.records import Exit, Snapshot, Starts, Worker, WorkerState
from celery_health.text.commands import queue_delete_command
from celery_health.text.formats import duration, plural

#: What RabbitMQ says to who declares a queue in another way than it was.
_INEQUIVALENT: Final = re.compile(
    r"PRECONDITION_FAILED - inequivalent arg '(?P<argument>[^']+)' for queue '(?P<queue>[^']+)' in vhost '"
)
#: What a worker says of a message that no worker can read (celery_health/worker/misread.py).
_UNREADABLE: Final = re.compile(r"No worker can read what it took from queue '(?P<queue>[^']+)'")
_UNEXPLAINED: Final = "could not say why (killed?)"


def is_trying(worker: Worker, settings: Settings) -> bool:
    """Say whether somebody starts a worker here: it starts now, or ended at its start and may come again."""
    if worker.state is WorkerState.STARTING:
        return True
    seen = worker.last_seen_seconds
    is_recent = seen is not None and seen <= settings.limits.restart_grace_seconds
    return has_failed(worker) and is_recent


def has_failed(worker: Worker) -> bool:
    """Say whether a worker has ended at its start, by its own word."""
    return worker.state is WorkerState.GONE and worker.exit is not None and worker.exit.at_start


def trying(snapshot: Snapshot, settings: Settings) -> Sequence[Worker]:
    """Return the workers that somebody starts, where nobody else is there who is not about to leave."""
    others = (w for w in snapshot.workers if w.state.is_live and w.state is not WorkerState.STARTING)
    if any(worker.state is not WorkerState.DRAINING for worker in others):
        return ()
    # Of who is silent nobody knows whether he works.
    if any(worker.state is WorkerState.UNKNOWN for worker in snapshot.workers):
        return ()
    started = (worker for worker in snapshot.workers if is_trying(worker, settings))
    return sorted(started, key=_in_vain, reverse=True)


def trying_seconds(snapshot: Snapshot, started: Sequence[Worker]) -> float:
    """Return for how long there has been nobody but `started`; 0 where that is not known.

    A worker that starts again and again does not begin anew each time; one that was ready does.
    """
    in_vain = max(map(_in_vain, started), default=0.0)
    names = {worker.hostname for worker in started}
    left = (
        worker.last_seen_seconds
        for worker in snapshot.workers
        if not worker.state.is_live and worker.hostname not in names and worker.was_ready is not False
    )
    return min((seen for seen in left if seen is not None and seen < in_vain), default=in_vain)


def _in_vain(worker: Worker) -> float:
    return 0.0 if worker.starts is None else worker.starts.vain_seconds


def is_late(worker: Worker, settings: Settings) -> bool:
    """Say whether a worker starts, or is started again and again, for longer than it may."""
    return worker.state is WorkerState.STARTING and _in_vain(worker) > settings.limits.start_seconds


def restarts(worker: Worker, settings: Settings) -> Starts | None:
    """Return the starts of a worker whose processes end too often without being told to; else None."""
    known = worker.starts
    if known is None or known.is_over:
        return None
    return known if known.broken_count > settings.limits.restarts_per_hour else None


def story(worker: Worker) -> str:
    """Return what became of the starts of a worker, as a sentence without its end."""
    starts, who = worker.starts, f"Worker '{worker.hostname}'"
    last = worker.exit or (starts.last_exit if starts is not None else None)
    if starts is None or max(starts.count, starts.vain_count) < 2 or _is_sound(worker, starts):
        if worker.state is WorkerState.STARTING:
            since = f" for {duration(starts.vain_seconds)}" if starts is not None else ""
            return f"{who} has been starting{since}, and is not ready yet"
        return f"{who} ended at its start by {_said(last)}"
    ended = f"; the last time it ended by {_said(last)}" if last is not None else f"; the last {_UNEXPLAINED}"
    if starts.broken_count == 0 and starts.vain_count < 2:
        ended = ""
    if starts.ready_count == 0:
        # The store counts further back than it keeps each start.
        is_longer = starts.vain_count >= starts.count
        count = starts.vain_count if is_longer else starts.count
        seconds = starts.vain_seconds if is_longer else starts.seconds
        return (
            f"{who} has started {plural(count, 'time')} in {duration(seconds)} and never became ready{ended}"
        )
    return (
        f"{who} has started {plural(starts.count, 'time')} in {duration(starts.seconds)}, became ready "
        f"{plural(starts.ready_count, 'time')}, and ended {plural(starts.broken_count, 'time')} "
        f"without being told to{ended}"
    )


def _is_sound(worker: Worker, starts: Starts) -> bool:
    """Say whether it starts as often as it was told to, and every time came up before."""
    return worker.state is WorkerState.STARTING and starts.broken_count == 0 and starts.vain_count < 2


def remedy(worker: Worker, snapshot: Snapshot) -> str:
    """Return what to do about a worker that does not come up, or not stay."""
    starts = worker.starts
    last = worker.exit or (starts.last_exit if starts is not None else None)
    who = f"'{worker.hostname}'"
    if last is None:
        if starts is not None and starts.broken_count:
            outage = snapshot.store.outage
            if outage is not None and outage.ended_seconds <= starts.seconds:
                return (
                    f"The store took no reports for a time, so {who} could not say why it ended: see its log."
                )
            return (
                f"See what kills {who}: the kernel (out of memory: dmesg), the container's limit, or a probe "
                "that does not wait for its start."
            )
        return f"See the log of {who} for what its start waits for."
    if found := _INEQUIVALENT.search(last.cause):
        queue, argument = found["queue"], found["argument"]
        delete = queue_delete_command(snapshot.app.name, queue)
        return (
            f"RabbitMQ holds queue '{queue}' with another '{argument}' than the worker declares. Declare it "
            f"in {snapshot.app.options.in_words('task_queues')} as it is there; or, where it is empty and "
            "nobody else declares it so, delete it, "
            f"and the worker declares it anew: {delete}"
        )
    if found := _UNREADABLE.search(last.cause):
        return (
            f"Find out who else writes to '{found['queue']}' on this Redis. The doctor names what cannot be "
            "read and still waits there, and the command that sets it aside."
        )
    if last.kind == "MemoryError":
        return f"Give {who} more memory, or let it run fewer tasks at once (--concurrency)."
    return f"Correct what ends {who} ({last.kind}); its log has the traceback."


def _said(last: Exit | None) -> str:
    return "an error" if last is None else last.cause.rstrip(".")
