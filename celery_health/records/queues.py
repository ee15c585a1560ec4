"""What was read of one queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """One queue, as the broker and its consumers describe it."""

    name: str
    ready: int | None = None
    """Messages waiting, over all priority steps; None when it could not be read."""
    reserved: int | None = None
    """Taken by workers and not started; None when no worker says."""
    unacked: int | None = None
    """Delivered and not acknowledged, by the broker's own count."""
    scheduled: int | None = None
    """Held by workers until their ETA."""
    active: int | None = None
    """Running now, of those that came from this queue."""
    oldest_age_seconds: float | None = None
    """Age of the oldest ready message; None when empty or unknown."""
    oldest_age_is_minimum: bool = False
    """True when the age was watched, not stamped: it is at least that old."""
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
