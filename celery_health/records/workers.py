"""What was read of one worker, and of the tasks that it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class Source(StrEnum):
    """Where the workers' part of an answer came from."""

    HEARTBEATS = "heartbeats"
    INSPECTION = "inspection"
    MIXED = "mixed"


class WorkerState(StrEnum):
    """What a worker is doing.

    Only `stuck`, `not_consuming` and `gone` may be faults of its own, and `starting` when it takes long.
    """

    OK = "ok"
    BUSY = "busy"
    SATURATED = "saturated"
    HELD_BACK = "held_back"
    NO_QUEUES = "no_queues"
    STARTING = "starting"
    DRAINING = "draining"
    RECONNECTING = "reconnecting"
    STUCK = "stuck"
    NOT_CONSUMING = "not_consuming"
    GONE = "gone"
    UNKNOWN = "unknown"

    @property
    def is_live(self) -> bool:
        """Say whether a worker in this state is known to run."""
        return self._value_ not in _NOT_LIVE

    @property
    def takes_messages(self) -> bool:
        """Say whether a worker in this state takes messages, or will as soon as it has room for one."""
        return self._value_ in _TAKING


# By their texts: each worker is asked many times in a reading, and members are compared in Python.
_NOT_LIVE: Final = frozenset({"gone", "unknown"})
_TAKING: Final = frozenset({"ok", "busy", "saturated", "held_back"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningTask:
    """A task that a worker is executing."""

    worker: str
    task_id: str
    task_name: str
    queue: str | None = None
    """The queue it was taken from, where the worker knows."""
    time_start: float | None = None
    """Unix seconds by the worker's clock: to show, never to compute with."""
    runtime_seconds: float | None = None
    """How long it has run, measured by the worker, plus the age of its report."""
    limit_seconds: float | None = None
    """How long it may run by its own word (``expected=``, else its time limit); None when it says nothing."""
    args: str | None = None
    """Redacted text; None unless SHOW_ARGUMENTS."""
    kwargs: str | None = None
    """Redacted text; None unless SHOW_ARGUMENTS."""
    is_acknowledged: bool | None = None
    """Its message was acknowledged when it started, not when it ends (``acks_late``); None when unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReservedTask:
    """A task that a worker has taken from its queue and not started."""

    worker: str
    task_id: str
    task_name: str
    queue: str | None = None
    args: str | None = None
    kwargs: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduledTask:
    """A task that a worker holds until its ETA."""

    worker: str
    task_id: str
    task_name: str
    eta: datetime | None = None
    queue: str | None = None
    args: str | None = None
    kwargs: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why a worker with free slots takes nothing: it has all it may, and none of it may run yet."""

    by: str
    """``rate_limit`` or ``eta``."""
    task_name: str
    count: int
    """How many of this task it holds for that."""
    limit: str | None = None
    """The limit in words: ``20/h``, ``worker_eta_task_limit 100``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """Why a worker ended that nobody told to, by its own last word."""

    cause: str
    """``Class: message`` of the error, masked."""
    at_start: bool
    """It had not become ready."""

    @property
    def kind(self) -> str:
        """Return the error's class: what can stand in a sentence with a command."""
        return self.cause.partition(":")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Starts:
    """How often processes of one name of a worker started lately, as the store has kept it."""

    count: int
    """In the last hour; of more than `MAX_STARTS` the youngest."""
    seconds: float
    """Since the first of these."""
    ready_count: int
    """How many of them became ready."""
    broken_count: int
    """How many of them ended without being told to."""
    vain_count: int
    """How many in a row, the last one included, never became ready: of any age; 0 when the last one did."""
    vain_seconds: float
    """Since the first of these."""
    is_over: bool = False
    """The last one lives, and has for much longer than those that ended untold: whatever it was is over."""
    last_exit: Exit | None = None
    """Of the last that ended without being told to; None when it left no word, as after SIGKILL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueTasks:
    """What a worker holds of one queue and could run now, as of its record."""

    count: int
    """Given to its pool and not begun, or with an ETA that has passed; none that waits for a rate limit."""
    eta_count: int = 0
    """Of these, those that had an ETA."""
    oldest_seconds: float | None = None
    """How long the oldest has waited, since it was published or its ETA was; None when unknown."""
    oldest_is_minimum: bool = False
    """It is at least that old: not all were asked, or one has no stamp."""


# No slots: hundreds are copied at each reading, and copying a dictionary takes a tenth of the time.
@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker, as its own record or an inspection reply describes it."""

    hostname: str
    state: WorkerState
    source: Source
    pid: int | None = None
    app_id: str | None = None
    """The APP_ID it reports; None when it runs without celery_health."""
    queues: tuple[str, ...] | None = None
    """The queues it consumes now; None when unknown."""
    registered: frozenset[str] | None = None
    """The task names it registers; None when unknown."""
    pool: str | None = None
    """``prefork``, ``threads``, ``solo``, ``gevent``, ``eventlet`` or a class path."""
    concurrency: int | None = None
    children: int | None = None
    """Live pool processes; None for pools without any."""
    childless_seconds: float | None = None
    """How long it has had no live pool process; 0 while it has one, or needs none."""
    children_restarted: int | None = None
    """Pool processes replaced since the worker started, those of ``max_tasks_per_child`` included."""
    children_lost_per_minute: float | None = None
    """Pool processes that died in the last minute, those of ``max_tasks_per_child`` left out."""
    active: Sequence[RunningTask] = ()
    """At most a bounded number of them: see `active_count`."""
    longest_running_seconds: float | None = None
    """How long the longest of `active` has run; None when one of them does not say."""
    shortest_limit_seconds: float | None = None
    """The least `limit_seconds` of `active`; None when none has any."""
    reserved: Sequence[ReservedTask] = ()
    scheduled: Sequence[ScheduledTask] = ()
    active_count: int | None = None
    """How many run in all; None when unknown."""
    reserved_count: int | None = None
    scheduled_count: int | None = None
    active_by_queue: Mapping[str, int] = field(default_factory=dict)
    """Queue → how many of `active_count` came from it; likewise the next two."""
    reserved_by_queue: Mapping[str, int] = field(default_factory=dict)
    scheduled_by_queue: Mapping[str, int] = field(default_factory=dict)
    due_by_queue: Mapping[str, DueTasks] | None = None
    """Queue → what it could run now; None when it does not say (an older version)."""
    is_cut: bool = False
    """It holds more than it looked at: its numbers by queue are least ones."""
    processed: int | None = None
    """Tasks accepted since the worker started (``celery.worker.state.total_count``)."""
    unacked_count: int | None = None
    """Messages that it took and has not acknowledged; None where it does not say (all but Redis)."""
    unacked_clock: float | None = None
    """Unix seconds at its last record, by the clock that its messages are stamped with when it takes them."""
    unacked_tags: str | None = None
    """The first 8 characters of the delivery tag of each, of at most a bounded number, in one text."""
    prefetch_count: int | None = None
    """Messages it may hold at once; 0 is unlimited, None unknown."""
    cancelled_queues: tuple[str, ...] = ()
    """Queues that it consumed when it started, and was told to consume no more (``cancel_consumer``)."""
    names_on_broker: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of its queues, those that each process names anew, as broadcasts do: queue → their real names."""
    held_back: tuple[Hold, ...] | None = None
    """What holds it back from taking more, though it has free slots; empty for nothing, None when unknown."""
    single_active_queues: tuple[str, ...] = ()
    """Of its queues, those whose messages the broker gives to one consumer alone (single active consumer)."""
    is_paused: bool = False
    """Told to consume nothing (``cancel_consumer``), and doing so."""
    is_draining: bool = False
    """It has been told to stop (SIGTERM): if it vanishes now, that was meant."""
    said_goodbye: bool = False
    """Its last record says that it ends."""
    loop_age_seconds: float | None = None
    """Since its event loop last turned."""
    read_age_seconds: float | None = None
    """Since its consumer last came back from reading the broker."""
    progress_age_seconds: float | None = None
    """Since a task of it last started or ended."""
    unread_seconds: float | None = None
    """For how long it should have read and has not, as it measured; None when it does not say."""
    idle_seconds: float | None = None
    """For how long a slot was free, nothing held it back, and no task began or ended, as it measured."""
    last_seen_seconds: float | None = None
    """Age of its last record or reply."""
    started_at: datetime | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """``celery``, ``kombu``, ``python``, ``celery_health``: what it says of itself."""
    config: str | None = None
    """Fingerprint of its configuration, as far as routing goes; None when it says nothing."""
    broker: str | None = None
    """Fingerprint of the broker that it reads from, without credentials; None when it says nothing."""
    connection_name: str | None = None
    """The name of its connections to a Redis broker; None when they have none of ours."""
    mailbox: str | None = None
    """Its queue for remote control on RabbitMQ, while that proves that its process is connected."""
    is_disconnected: bool = False
    """It is gone by proof: its reports stay away, and the broker shows no connection of its process."""
    is_doubled: bool = False
    """Another live process reports under the same name."""
    was_ready: bool | None = None
    """It takes messages, or did once; None when it does not say."""
    exit: Exit | None = None
    """Why it ended; None while it runs, when it was told to, and when it could not say."""
    starts: Starts | None = None
    """Of its name; None where the store says nothing, or has seen it start once, and become ready."""
    writer: str | None = None
    """Tells processes of one name apart in the store; None when it does not report there."""

    def may_run_over(self, seconds: float) -> bool:
        """Say whether one of `active` may have run for longer than `seconds`, or than its own limit.

        Without looking at each: False is certain, True is not.
        """
        longest = self.longest_running_seconds
        if longest is None:
            return bool(self.active)
        limit = self.shortest_limit_seconds
        return longest > (seconds if limit is None else min(seconds, limit))
