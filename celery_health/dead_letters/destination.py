"""Whether what is sent back to its queue would be taken from there. Pure."""

from __future__ import annotations

from celery_health.records import Snapshot
from celery_health.text.commands import worker_command


def why_unconsumed(snapshot: Snapshot, queue: str) -> str | None:
    """Return why letters should not be sent to `queue` now, and what to do; None where it is consumed."""
    if any(queue in worker.names_on_broker for worker in snapshot.workers):
        return (
            f"'{queue}' is no queue that a message can be sent back to: each worker has one of its own, by "
            "another name, and what is sent to this one reaches nobody. Call the task again instead."
        )
    consumers = _consumers(snapshot, queue)
    if consumers:
        return None
    command = worker_command(snapshot.app.name, [queue])
    said = "Nobody consumes" if consumers == 0 else "It is not known whether anybody consumes"
    return f"{said} queue '{queue}': what is sent there would wait. Start a worker ({command}), or force it."


def _consumers(snapshot: Snapshot, queue: str) -> int | None:
    """Return how many consumers a queue has; None when nobody knows."""
    if any(worker.state.is_live and queue in (worker.queues or ()) for worker in snapshot.workers):
        return 1
    for state in snapshot.queues:
        if state.name == queue:
            return state.consumers
    return None
