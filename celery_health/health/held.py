"""What is said of a backlog: where it waits, whether it drains, and why workers hold so much of it. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.records import QueueState, Snapshot
from celery_health.text.formats import duration, listing, number

_MOST_NAMED: Final = 3
#: The share of a backlog from which on its change is no chance.
_CHANGE: Final = 0.05


def parts(queue: QueueState) -> str:
    """Return where it is: ``: 1,000 wait in the broker, 204 in workers``; "" where workers hold none."""
    if not queue.held:
        return ""
    ready = queue.ready or 0
    wait = "none waits" if not ready else f"{number(ready)} wait{'s' if ready == 1 else ''}"
    return f": {wait} in the broker, {number(queue.held)} in workers"


def drain(queue: QueueState) -> str:
    """Return whether there are fewer than a while ago, as a sentence with a blank before; "" if not known."""
    if queue.waiting is None or queue.waiting_before is None:
        return ""
    seconds, before = queue.waiting_before
    change = queue.waiting - before
    if abs(change) <= _CHANGE * before:
        trend = "it does not drain"
    else:
        trend = "it drains" if change < 0 else "it grows"
    return f" {duration(seconds)} ago it held {number(before)}: {trend}."


def cause_of(queue: QueueState, snapshot: Snapshot, *, holder: str | None = None) -> str:
    """Return why workers hold what could run, and what to set, with a blank after; "" where they hold little.

    Args:
        queue: of which they hold it.
        snapshot: in which they are.
        holder: the worker to ask about; None for all, where they hold at least as much as the broker.
    """
    held, options = queue.held or 0, snapshot.app.options
    if not held or (holder is None and held < (queue.ready or 0)):
        return ""
    holders = [
        worker
        for worker in snapshot.workers
        if worker.state.is_live
        and (holder is None or worker.hostname == holder)
        and queue.name in (worker.due_by_queue or {})
    ]
    unbounded = [f"'{worker.hostname}'" for worker in holders if worker.prefetch_count == 0]
    if unbounded:
        is_one = len(unbounded) == 1
        return (
            f"{'Worker' if is_one else 'Workers'} {listing(unbounded, _MOST_NAMED)} "
            f"{'takes' if is_one else 'take'} all that comes, and leave{'s' if is_one else ''} nothing to "
            f"others: {options.line('worker_prefetch_multiplier', 1)}, and restart; it is 0. "
        )
    if queue.held_with_eta * 2 >= held:
        of_them = "They" if queue.held_with_eta == held else f"{number(queue.held_with_eta)} of them"
        return (
            f"{of_them} were sent with a countdown or an ETA, and were taken before it: once it has passed, "
            f"no other worker can take them. {options.name('worker_eta_task_limit')} (Celery 5.6 and newer) "
            "says how many one worker takes so. "
        )
    return (
        f"No other worker can take what one has taken: with {options.name('worker_prefetch_multiplier')} = 1 "
        "each takes less ahead, and long tasks do better in a queue of their own. "
    )
