"""What only a look at the running system shows, as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from celery_health.brokers.unreadable import Unreadable
from celery_health.connections.exchanges import takes
from celery_health.connections.redis_keys import BoundQueue
from celery_health.doctor.facts import EntryFacts
from celery_health.records import ObservedRuntime, Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class OddMessage:
    """A waiting message that no worker can read."""

    position: int
    """1 is the one that is next out."""
    size_bytes: int
    found: Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingMessages:
    """The first messages of one queue, looked at where they are."""

    looked_at: int
    """How many; at most a bounded number."""
    names: Mapping[str, int] = field(default_factory=dict)
    """Task name → how many of them."""
    ahead_seconds: float | None = None
    """By how much the newest publish stamp among them is ahead of the broker's clock; None without stamps."""
    unreadable: tuple[OddMessage, ...] = ()
    """Those that no worker can read, the next one out first; of each list some few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisServer:
    """One Redis server that the project depends on."""

    role: str
    """``broker`` or ``result backend``."""
    url: str
    """Masked."""
    policy: str | None = None
    """``maxmemory-policy``; None when it could not be read."""
    maxmemory_bytes: int | None = None
    """0 is without limit; None when it could not be read."""
    evicted_keys: int | None = None
    is_shared: bool = False
    """Broker and result backend are one database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnackedMessages:
    """What a Redis broker holds as delivered and not acknowledged."""

    total: int
    orphaned: int = 0
    """Those that no index names: kombu never hands them out again."""
    oldest_seconds: float | None = None
    """Since the oldest was delivered; None when there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyQueues:
    """Lists that callers of remote control left on a Redis broker."""

    lists: int
    """How many there are with messages in them and without an end of life."""
    messages: int
    bindings: int
    """Bindings of reply queues, dead or alive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEntries:
    """What one store of schedules holds, of django-celery-beat or of RedBeat."""

    entries: tuple[EntryFacts, ...] = ()
    """Those that beat sends."""
    is_read: bool = False
    """A beat is known to read it; False where one may."""
    switched_off: frozenset[str] = frozenset()
    """Entries of the settings that stand there and are not sent; none where `is_read` is not so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveEvidence:
    """One look at workers, broker, store and schedule tables. None is what could not be looked at."""

    snapshot: Snapshot
    entries: tuple[EntryFacts, ...] = ()
    """Enabled entries of django-celery-beat's tables and of RedBeat."""
    read_from: frozenset[str] = frozenset()
    """Those of the two that beat is known to read: their names as sources."""
    switched_off: frozenset[str] = frozenset()
    """Entries of the settings that beat keeps there and does not send: disabled, expired or done."""
    observed: Mapping[str, ObservedRuntime] = field(default_factory=dict)
    """Task name → how long its runs took; empty without a store."""
    sent: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Queue → names that were ever sent there, as the store has counted; empty without one."""
    broker_fingerprint: str | None = None
    """Of the broker that this process sends to, as workers report theirs."""
    bindings: Mapping[str, tuple[BoundQueue, ...]] | None = None
    """Exchange → what the broker has bound to it, of those asked for; None where it cannot be asked."""
    waiting: Mapping[str, WaitingMessages] = field(default_factory=dict)
    """Queue → its first messages, where the broker lets them be looked at."""
    servers: tuple[RedisServer, ...] = ()
    unacked: UnackedMessages | None = None
    reply_queues: ReplyQueues | None = None
    broadcast_lists: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Exchange → lists of broadcasts that are bound to it → messages in them; of Redis, and none empty."""
    abandoned: Mapping[str, int] = field(default_factory=dict)
    """Queue that the broker knows and the project does not → messages in it."""
    oldest_letters: Mapping[str, float] = field(default_factory=dict)
    """Queue → seconds since the oldest of its dead letters failed, where that can be seen without a mark."""
    elsewhere: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Another database of the broker's Redis → workers that listen there."""

    @property
    def control_names(self) -> frozenset[str] | None:
        """Return the workers that listen for remote control on this broker; None when it cannot be asked."""
        bindings = (self.bindings or {}).get(PIDBOX)
        if bindings is None:
            return None
        return frozenset(binding.queue.removesuffix(f".{PIDBOX}") for binding in bindings)

    def takers(self, exchange: str, exchange_type: str, key: str) -> tuple[str, ...] | None:
        """Return the queues that the broker puts such a message in; None when it was not asked."""
        bindings = (self.bindings or {}).get(exchange)
        if bindings is None:
            return None
        return tuple(b.queue for b in bindings if takes(exchange_type, b.routing_key, key, is_virtual=True))


#: The exchange of Celery's remote control (``celery.app.control``, with the default ``control_exchange``).
PIDBOX = "celery.pidbox"
