"""What was read of one queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """One queue, as the broker and its consumers describe it."""

    name: str
    ready: int | None = None
    """Messages waiting, over all priority steps; None when it could not be read."""
    unread: int = 0
    """Of `ready`, what lies where no worker reads: misrouted messages of a broadcast, on Redis."""
    reserved: int | None = None
    """Taken by workers and not started; None when no worker says."""
    unacked: int | None = None
    """Delivered and not acknowledged, by the broker's own count."""
    scheduled: int | None = None
    """Held by workers until their ETA."""
    active: int | None = None
    """Running now, of those that came from this queue."""
    held: int | None = None
    """Of what workers took, what could run now: no ETA ahead, no rate limit; None when no worker says."""
    held_is_minimum: bool = False
    """A worker does not say, or holds more than it counted: there are at least so many."""
    held_with_eta: int = 0
    """Of `held`, those that had an ETA, which has passed."""
    waiting_before: tuple[float, int] | None = None
    """How many waited, ready and held, so many seconds ago; None when this process did not look then."""
    oldest_age_seconds: float | None = None
    """How long the oldest of `ready` and `held` has waited, since it was published or its ETA was.

    None when there is none, or nobody can say.
    """
    oldest_age_is_minimum: bool = False
    """True when the age was watched, not stamped, or another may be older: it is at least that old."""
    oldest_held_by: str | None = None
    """The worker that holds the oldest; None where that is ready."""
    ready_age_is_unknown: bool = False
    """Nobody can say how old the oldest ready message is, whatever workers hold."""
    consumers: int | None = None
    """Workers (or, without them, broker consumers) that take from it; None when unknown."""
    consumer_names: tuple[str, ...] = ()
    """Our workers among `consumers`: one that drains, reconnects or hangs takes nothing and is left out."""
    foreign_consumers: tuple[str, ...] = ()
    """The workers of other applications among `consumers`."""
    idle_consumers: tuple[str, ...] = ()
    """Our workers that have it among their queues and take nothing now, each with its state."""
    capacity: int | None = None
    """Tasks its consumers can run at once; None when unknown."""
    unconsumed_seconds: float | None = None
    """How long nobody has consumed it, at least: as long as this process watched, or as the store says.

    0 while somebody does; None when nobody can say.
    """
    unconsumed_by_store: bool = False
    """The store says since when; else this process has only watched it."""
    consumption_unknown: str | None = None
    """Why nobody can say whether it is consumed."""
    held_seconds: float | None = None
    """How long it has not been empty, at least; None when it is empty or nobody can say."""
    expected_by: tuple[str, ...] = ()
    """Why somebody should consume it: ``task:<name>``, ``beat:<entry>``, ``setting``; or nobody must."""
    error: str | None = None
    """Why `ready` is None, where that is known."""

    @property
    def waiting(self) -> int | None:
        """Return how many could run and do not, in the broker and in workers, as far as is known."""
        return None if self.ready is None else self.ready + (self.held or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharer:
    """A worker that may not know what this project sends to a queue which it consumes."""

    hostname: str
    registered: frozenset[str]
    """The task names that it registers."""
    lacks: tuple[str, ...] = ()
    """Of the names that this project sends there, those that it does not register: it discards them."""
    app_id: str | None = None
    """The APP_ID that it reports; None when it runs without celery_health."""
    is_foreign: bool = True
    """It is no worker of ours, by its own word or by what it registers."""
    is_other_project: bool = False
    """What it registers is another project's: no earlier or later version of this one."""

    @property
    def tasks(self) -> frozenset[str]:
        """Return what it registers, without the tasks of Celery's that every worker has."""
        return frozenset(name for name in self.registered if not name.startswith("celery."))


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedQueue:
    """A queue of this project that workers consume which are not its own."""

    name: str
    sharers: tuple[Sharer, ...]
    ours: tuple[str, ...] = ()
    """Our workers that take from it."""
    sent: tuple[str, ...] = ()
    """The task names that this project sends there."""
    is_used: bool = False
    """That this project uses it is known: its workers take from it, its beat or its processes sent there."""
