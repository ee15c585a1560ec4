"""What checks need to know before they can judge, and what they say without it.

A need is a pure function of the snapshot. It returns None where it is met, else what the check says instead
of judging. Its name is the condition, so that ``needs = (tasks_are_sent, queues_are_read)`` reads as one.
What another check says of its own is named (`Lack.because`), so that people read one cause once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from celery_health.connections.urls import is_same_server
from celery_health.records import BeatState, CheckStatus, Snapshot, StoreState, Worker, WorkerState

#: The checks that say of their own what others lack.
BROKER: Final = "broker.reachable"
WRITABLE: Final = "broker.writable"
STORE: Final = "store.reachable"
WORKERS: Final = "workers.alive"
RESULTS: Final = "results.reachable"


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
    lack = queues_are_readable(snapshot)
    if lack or not snapshot.queues or any(queue.ready is not None for queue in snapshot.queues):
        return lack
    why = f"No queue could be read: {snapshot.queues[0].error or 'the broker did not say'}"
    return _unknown(why, because=WRITABLE if snapshot.broker.writes.accepted is False else None)


def queues_are_readable(snapshot: Snapshot) -> Lack | None:
    """Need a broker that could be asked for its queues, or one queue that could be read without it."""
    broker = snapshot.broker
    if broker.reachable or any(queue.ready is not None for queue in snapshot.queues):
        return None
    if broker.reachable is None and broker.error:
        return _unsupported(broker.error, because=BROKER)
    if broker.late:
        return _unknown(f"No queue could be read. {broker.late}", because=BROKER)
    why = broker.error or ("the broker was not asked" if broker.reachable is None else "the broker is away")
    return _unknown(f"No queue could be read: {why}", because=BROKER)


def what_is_expected(snapshot: Snapshot) -> Lack | None:
    """Need the project's task modules to be imported: they say which queues are to be consumed."""
    why = snapshot.importing or snapshot.tasks_error
    return _unknown(why) if why else None


def the_broker_answers(snapshot: Snapshot) -> Lack | None:
    """Need a broker that was asked and answered."""
    broker = snapshot.broker
    if broker.reachable:
        return None
    if broker.reachable is None and broker.error:
        return _unsupported(broker.error, because=BROKER)
    if broker.late:
        return _unknown(f"Whether the broker takes messages is not known. {broker.late}", because=BROKER)
    why = "the broker was not asked" if broker.reachable is None else "the broker is away"
    return _unknown(f"Whether messages are taken is not known: {why}.", because=BROKER)


def refused_by(snapshot: Snapshot) -> str:
    """Return the check that says why the store takes no reports: the broker's, where both are one server."""
    broker, store = snapshot.broker, snapshot.store
    one = broker.writes.accepted is False and is_same_server(broker.url, store.url)
    return WRITABLE if one else STORE


def letters_are_counted(snapshot: Snapshot) -> Lack | None:
    """Need a broker that could be asked for dead letters, where they are on."""
    letters = snapshot.dead_letters
    if letters is None or not snapshot.broker.is_lacking:
        return None
    return _unknown(f"Dead letters cannot be counted{_while(snapshot)}", because=BROKER)


def workers_are_known(snapshot: Snapshot) -> Lack | None:
    """Need a worker, or a broker over which workers can be asked."""
    if snapshot.workers or not snapshot.broker.is_lacking:
        return None
    return _unknown(f"The workers cannot be asked{_while(snapshot)}", because=BROKER)


def a_worker_lives(message: str) -> Need:
    """Return the need of a worker that lives; where none is there, the check says `message`."""

    def need(snapshot: Snapshot) -> Lack | None:
        if lack := workers_can_tell(snapshot):
            return lack
        if any(worker.state.is_live for worker in snapshot.workers):
            return None
        return _unknown(message, because=WORKERS)

    return need


def workers_can_tell(snapshot: Snapshot) -> Lack | None:
    """Need a worker that lives, or to know that none does."""
    workers, inspection = snapshot.workers, snapshot.inspection
    if any(worker.state.is_live for worker in workers):
        return None
    if lack := workers_are_known(snapshot):
        return lack
    is_anybody_silent = any(worker.state is WorkerState.UNKNOWN for worker in workers)
    if not is_anybody_silent and (workers or inspection.complete):
        return None
    if not workers and not inspection.supported:
        return _unsupported("No worker can be asked, and none keeps a record.", because=WORKERS)
    return _unknown("Whether a worker is there is not known.", because=WORKERS)


def reads_are_told(snapshot: Snapshot) -> Lack | None:
    """Need the store in which workers say when they last read; one that takes nothing needs none."""
    stopped = (WorkerState.NOT_CONSUMING, WorkerState.STUCK, WorkerState.NO_QUEUES)
    if snapshot.store.configured or any(worker.state in stopped for worker in snapshot.workers):
        return None
    if any(worker.read_age_seconds is not None for worker in snapshot.workers):
        return None
    return _unsupported("Without a store, workers do not say when they last read.", because=STORE)


def outcomes_are_kept(snapshot: Snapshot) -> Lack | None:
    """Need what became of tasks lately (``snapshot.recent``)."""
    if snapshot.recent is not None:
        return None
    if not snapshot.store.configured:
        return _unsupported("Without a store, outcomes are not kept.", because=STORE)
    return _unread(snapshot, "Outcomes are not known")


def losses_are_told(snapshot: Snapshot) -> Lack | None:
    """Need the store in which workers say what they run and hold, and that it takes what they say."""
    store = snapshot.store
    if not store.configured:
        return _unsupported("Without a store, workers do not say what they run and hold.", because=STORE)
    if not store.reachable:
        return _unread(snapshot, "What workers that vanished ran is not known")
    if why := silence_is_no_proof(snapshot):
        return _unknown(f"What is lost is not known: {why}.", because=refused_by(snapshot))
    return None


def silence_is_no_proof(snapshot: Snapshot) -> str | None:
    """Return why it is no wonder that nobody reports any more; None where it is one."""
    if any(worker.state.is_live for worker in snapshot.workers):
        return None
    store = snapshot.store
    excused = store.refuses_writes or any(is_excused(worker, store) for worker in snapshot.workers)
    return store.no_reports if excused else None


def is_excused(worker: Worker, store: StoreState) -> bool:
    """Say whether a worker is called gone for its silence alone, and could not report."""
    is_silent = worker.state is WorkerState.GONE and not worker.said_goodbye and worker.exit is None
    return is_silent and not worker.is_disconnected and store.excuses(worker.last_seen_seconds)


def beats_are_seen(snapshot: Snapshot) -> Lack | None:
    """Need the store to which beats report themselves."""
    if not snapshot.store.configured:
        return _unsupported(
            "Beats report themselves to a store, and there is none: set STORE_URL to a Redis.", because=STORE
        )
    store = snapshot.store
    if not store.reachable:
        return _unread(snapshot, "Beats cannot be seen")
    silent = (BeatState.UNKNOWN, BeatState.GONE)
    beats = snapshot.beats
    excused = any(store.excuses(beat.last_seen_seconds) for beat in beats)
    if excused and all(beat.state in silent for beat in beats):
        return _unknown(f"Beats cannot be seen: {store.no_reports}.", because=refused_by(snapshot))
    return None


def _while(snapshot: Snapshot) -> str:
    late = snapshot.broker.late
    return f". {late}" if late else " while the broker is away."


def _unread(snapshot: Snapshot, what: str) -> Lack:
    store = snapshot.store
    if store.late and not snapshot.broker.late:
        return _unknown(f"{what}. {store.late}", because=STORE)
    if store.reachable is None:
        # Where both are away, only the broker is asked: it is what used the time up.
        because = BROKER if snapshot.broker.is_lacking else STORE
        return _unknown(f"{what}: the store was not asked.", because=because)
    return _unknown(f"{what} while the store is away: {store.error or 'no reason is known'}", because=STORE)


def _unsupported(message: str, *, because: str | None = None) -> Lack:
    return Lack(status=CheckStatus.UNSUPPORTED, message=message, because=because)


def _unknown(message: str, *, because: str | None = None) -> Lack:
    return Lack(status=CheckStatus.UNKNOWN, message=message, because=because)
