"""What every broker reader offers, and what it says of its own limits."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar, cast

from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LateError
from celery_health.records import Writes


class Mark(StrEnum):
    """By what a broker shows that a worker's process is connected; a field of the worker's record."""

    CONNECTION_NAME = "connection_name"
    MAILBOX = "mailbox"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a transport can be asked without changing anything on it."""

    supports_length: bool = False
    """Ready messages of a queue."""
    supports_age: bool = False
    """Age of the oldest ready message."""
    supports_unacked: bool = False
    """Delivered and unacknowledged messages per queue."""
    supports_consumer_count: bool = False
    """Consumers of a queue, by the broker's own count."""
    supports_roster: bool = False
    """Names of the workers that listen for remote control."""
    supports_peek: bool = False
    """Reading waiting messages without marking or moving them."""
    supports_remote_control: bool = False
    """Celery's broadcast commands."""
    mark: Mark | None = None
    """What `Broker.present` looks for; None where a worker's end does not show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueReading:
    """What the broker says of one queue."""

    name: str
    ready: int | None = None
    """Waiting messages over all priority steps; None when it could not be read."""
    consumers: int | None = None
    """None where the broker does not know."""
    unacked: int | None = None
    oldest_published_at: float | None = None
    """The publish stamp (unix seconds) of the oldest ready message; None when empty or not stamped."""
    oldest_message_id: str | None = None
    """Its task id: the same id at the tail N seconds later is at least N seconds old."""
    oldest_has_eta: bool = False
    """The oldest message is not due yet, or names an ETA: its age says nothing."""
    unread: int = 0
    """Of `ready`, what lies where no worker reads: in the lists of a broadcast on Redis."""
    exists: bool = True
    """False when the broker has no such queue; it then holds 0 messages."""
    error: str | None = None
    """Masked; why `ready` is None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnackedMessage:
    """A message that somebody took, and nobody has acknowledged."""

    tag: str
    """Its delivery tag."""
    queue: str | None
    """The queue it was taken from; None when that cannot be told."""
    taken_at: float
    """When, unix seconds, by the clock of the host that took it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LongUnacked:
    """The messages that were taken over so many seconds ago, and not acknowledged."""

    seconds: float = 60.0
    total: int
    messages: tuple[UnackedMessage, ...] = ()
    """Those taken first; not all where there are many, or large ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerReading:
    """One reading of the broker."""

    reachable: bool | None
    """None when this transport cannot be asked without changing something, or `late` says why not."""
    queues: dict[str, QueueReading] = field(default_factory=dict)
    error: str | None = None
    """Masked; set when not reachable."""
    server_time: float | None = None
    """The broker's own clock, unix seconds, where it has one to read."""
    latency_seconds: float | None = None
    late: str | None = None
    """Why this process itself was too late to know; nothing is said of the broker then."""
    long_unacked: LongUnacked | None = None
    """None where the broker does not list what is not acknowledged."""
    writes: Writes = field(default_factory=Writes)
    """Whether it takes messages, where it answered."""

    @property
    def is_lacking(self) -> bool:
        """Say whether no answer came where one was to come: the broker is away, or this process was late."""
        return self.reachable is False or self.late is not None


def unanswered(error: BrokerError, latency_seconds: float) -> BrokerReading:
    """Return the reading of a broker that gave no answer: by `error`, which is masked."""
    if isinstance(error, LateError):
        return BrokerReading(reachable=None, late=str(error), latency_seconds=latency_seconds)
    return BrokerReading(reachable=False, error=str(error), latency_seconds=latency_seconds)


class Closable(Protocol):
    """What several readers share."""

    def close(self) -> None:
        """Close what is open."""


S = TypeVar("S", bound=Closable)


class Shared:
    """What all readers of one broker in this process have in common: how it took the last messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: Closable | None = None

    def writes(self, make: Callable[[], S]) -> S:
        """Return the one that there is, else what `make` returns."""
        with self._lock:
            if self._writes is None:
                self._writes = make()
            return cast(S, self._writes)

    def close(self) -> None:
        """Close it, if there is one."""
        if self._writes is not None:
            self._writes.close()


class Broker(ABC):
    """Reads one broker, with a connection of its own, and never changes anything on it.

    One thread at a time uses an instance; it survives a fork by opening a new connection. `read` never
    raises for a broker that is down, slow or refuses: it says so in the reading.
    """

    capabilities: Capabilities

    transport: str
    """kombu's driver name."""

    url: str
    """Masked."""

    @abstractmethod
    def read(self, queues: Sequence[str], deadline: Deadline) -> BrokerReading:
        """Read all `queues` in a constant number of round trips, within `deadline`."""

    def roster(self, deadline: Deadline) -> tuple[str, ...] | None:
        """Return the host names bound for remote control, dead ones included; None when unknown.

        Raises:
            BrokerError: the broker did not answer.
        """
        return None

    def present(self, marks: Collection[str], deadline: Deadline) -> Mapping[str, float | None] | None:
        """Return those of `marks` that are there now: mark to the seconds since when, None if unknown.

        What is left out is not there. None when the broker did not say: it is away, or does not allow it.
        """
        return None

    @abstractmethod
    def ping(self, deadline: Deadline) -> Writes:
        """Make one round trip, and return whether the broker takes messages, as far as it says so.

        Raises:
            BrokerError: the broker did not answer within `deadline`; the message is masked.
            UnsupportedError: this transport cannot be asked.
        """

    def close(self) -> None:  # noqa: B027 - a reader without a connection has nothing to close
        """Close the connection, if one is open; the next call opens a new one."""
