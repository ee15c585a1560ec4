"""What checks need to know before they can judge, and what they say without it.

A need is a pure function of the snapshot. It returns None where it is met, else what the check says instead
of judging. Its name is the condition, so that ``needs = (tasks_are_sent, queues_are_read)`` reads as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_health.records import CheckStatus, Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """What a check says instead of judging."""

    status: CheckStatus
    """``UNSUPPORTED`` where this project can never know, ``UNKNOWN`` where the next reading may."""
    message: str
    """What is lacking, and why."""
    because: str | None = None
    """The id of the check that says so of its own: ``broker.reachable``."""


Need = Callable[[Snapshot], Lack | None]


def tasks_are_sent(snapshot: Snapshot) -> Lack | None:
    """Need a project whose tasks go through a broker to workers."""
    if not snapshot.app.always_eager:
        return None
    return _unsupported(
        "task_always_eager is on: tasks run in the process that calls them, without broker and worker."
    )


def queues_are_read(snapshot: Snapshot) -> Lack | None:
    """Need one queue that could be read, where there are any."""
    if not snapshot.queues or any(queue.ready is not None for queue in snapshot.queues):
        return None
    if snapshot.broker.reachable is None:
        return _unsupported(snapshot.broker.error or "No queue could be read.")
    why = snapshot.broker.error or snapshot.queues[0].error or "the broker did not say"
    return _unknown(f"No queue could be read: {why}")


def queues_are_readable(snapshot: Snapshot) -> Lack | None:
    """Need a broker that can be asked for its queues; whether it answers is for the check to say."""
    return queues_are_read(snapshot) if snapshot.broker.reachable is None else None


def workers_are_known(snapshot: Snapshot) -> Lack | None:
    """Need a worker, or a broker over which workers can be asked."""
    if snapshot.workers or snapshot.broker.reachable is not False:
        return None
    return _unknown("The workers cannot be asked while the broker is away.")


def a_worker_lives(message: str) -> Need:
    """Return the need of a worker that lives; without one, the check says `message`."""

    def need(snapshot: Snapshot) -> Lack | None:
        return None if any(worker.state.is_live for worker in snapshot.workers) else _unknown(message)

    return need


def outcomes_are_kept(snapshot: Snapshot) -> Lack | None:
    """Need what became of tasks lately (``snapshot.recent``)."""
    if snapshot.recent is not None:
        return None
    if not snapshot.store.configured:
        return _unsupported("Without a store, outcomes are not kept.")
    return _unknown("The store could not be read.")


def beats_are_seen(snapshot: Snapshot) -> Lack | None:
    """Need the store to which beats report themselves."""
    if not snapshot.store.configured:
        return _unsupported(
            "Beats report themselves to a store, and there is none: set STORE_URL to a Redis."
        )
    if snapshot.store.reachable is not True:
        return _unknown(f"Beats cannot be seen while the store is away: {snapshot.store.error}")
    return None


def dead_letters_are_on(snapshot: Snapshot) -> Lack | None:
    """Need dead letters (``snapshot.dead_letters``)."""
    return _unsupported("Dead letters are off (DEAD_LETTERS).") if snapshot.dead_letters is None else None


def _unsupported(message: str) -> Lack:
    return Lack(status=CheckStatus.UNSUPPORTED, message=message)


def _unknown(message: str) -> Lack:
    return Lack(status=CheckStatus.UNKNOWN, message=message)
