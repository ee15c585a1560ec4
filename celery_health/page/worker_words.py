"""What a worker does, in words: what its state means, since when, and why. Pure."""

from __future__ import annotations

from typing import Final

from celery_health.page.blocks import name, words
from celery_health.records import Hold, Worker, WorkerState
from celery_health.text.formats import duration, listing, number

_MEANINGS: Final = {
    WorkerState.OK: "It has free slots.",
    WorkerState.BUSY: "It runs a task in each of its slots.",
    WorkerState.SATURATED: "It holds all that it may take ahead, and takes no more until a task ends.",
    WorkerState.STARTING: "It starts, and is not ready yet.",
    WorkerState.DRAINING: "It was told to stop, and finishes what it has.",
    WorkerState.RECONNECTING: "It has lost the broker, and tries again.",
    WorkerState.UNKNOWN: "It was asked, and did not answer in time: it may be busy, stopped or gone.",
}
_WAITS_FOR: Final = {"rate_limit": "for its rate limit", "eta": "until its ETA"}
_MOST: Final = 5


def meaning(worker: Worker) -> str:
    """Return what the state of a worker means, and since when, as far as it says."""
    state = worker.state
    if state is WorkerState.GONE:
        return _gone(worker)
    if state is WorkerState.STUCK:
        return f"Its event loop should turn, and has not {_for(worker.loop_age_seconds)}."
    if state is WorkerState.NOT_CONSUMING:
        unread = worker.read_age_seconds if worker.unread_seconds is None else worker.unread_seconds
        return f"It lives, and should have read its queues, and has not {_for(unread)}."
    if state is WorkerState.HELD_BACK:
        return f"It has free slots and takes nothing: {why_held_back(worker)}."
    if state is WorkerState.NO_QUEUES:
        return f"It lives and consumes no queue: {_why_no_queues(worker)}."
    return _MEANINGS[state]


def brief(worker: Worker) -> str:
    """Return what a list says of a state besides its name; mostly nothing."""
    if worker.state is WorkerState.GONE and worker.exit is not None:
        return f"ended by {name(worker.exit.kind).text}"
    if worker.state is WorkerState.GONE:
        return "said goodbye" if worker.said_goodbye else "was told to stop" if worker.is_draining else ""
    if worker.state is WorkerState.HELD_BACK:
        return why_held_back(worker)
    if worker.state is WorkerState.NO_QUEUES:
        return _why_no_queues(worker)
    return ""


def shown_state(worker: Worker) -> str:
    """Return the state in a word or two."""
    if worker.state is WorkerState.GONE and worker.said_goodbye:
        return "left"
    return words(worker.state.value)


def why_held_back(worker: Worker) -> str:
    """Return what holds it back from taking more."""
    holds = [_hold(hold) for hold in worker.held_back or ()]
    return f"it holds {listing(holds, _MOST)}" if holds else "what holds it back is not known"


def _hold(hold: Hold) -> str:
    what = f"{number(hold.count)} of {name(hold.task_name).text} {_WAITS_FOR.get(hold.by, 'for a limit')}"
    return what + (f" ({name(hold.limit).text})" if hold.limit else "")


def _why_no_queues(worker: Worker) -> str:
    if worker.cancelled_queues:
        queues = listing([name(queue).text for queue in worker.cancelled_queues], _MOST)
        return f"it was told to (cancel_consumer): {queues}"
    return "it was told to (cancel_consumer)" if worker.is_paused else "why is not known"


def _gone(worker: Worker) -> str:
    seen = worker.last_seen_seconds
    ago = "at a time that is not known" if seen is None else f"{duration(seen)} ago"
    if worker.said_goodbye:
        return f"It has left: it said goodbye {ago}."
    if worker.exit is not None:
        when = " at its start" if worker.exit.at_start else ""
        return f"It ended{when} {ago}, by {name(worker.exit.cause).text}."
    if worker.is_draining:
        return f"It was told to stop, and was last seen {ago}."
    proof = "its reports stay away, and its connection to the broker is gone"
    return f"It vanished without a goodbye{f': {proof}' if worker.is_disconnected else ''}; last seen {ago}."


def _for(seconds: float | None) -> str:
    return "for a time that is not known" if seconds is None else f"for {duration(seconds)}"
