"""The frozen records that cross from one room to another: what was read, and what was judged of it.

None means unknown or unset; zero is a value. Ages and last-seen are seconds on one clock: the store's, or
elapsed seconds measured by whoever reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from celery_health.beat_records import Beat


class Source(StrEnum):
    """Where the workers' part of an answer came from."""

    HEARTBEATS = "heartbeats"
    INSPECTION = "inspection"
    MIXED = "mixed"


class WorkerState(StrEnum):
    """What a worker is doing; only `stuck`, `not_consuming` and `gone` may be faults."""

    OK = "ok"
    BUSY = "busy"
    SATURATED = "saturated"
    DRAINING = "draining"
    RECONNECTING = "reconnecting"
    STUCK = "stuck"
    NOT_CONSUMING = "not_consuming"
    GONE = "gone"
    UNKNOWN = "unknown"

    @property
    def is_live(self) -> bool:
        """Say whether a worker in this state is known to run."""
        return self not in (WorkerState.GONE, WorkerState.UNKNOWN)


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
    active: tuple[RunningTask, ...] = ()
    """At most a bounded number of them: see `active_count`."""
    reserved: tuple[ReservedTask, ...] = ()
    scheduled: tuple[ScheduledTask, ...] = ()
    active_count: int | None = None
    """How many run in all; None when unknown."""
    reserved_count: int | None = None
    scheduled_count: int | None = None
    active_by_queue: Mapping[str, int] = field(default_factory=dict)
    """Queue → how many of `active_count` came from it; likewise the next two."""
    reserved_by_queue: Mapping[str, int] = field(default_factory=dict)
    scheduled_by_queue: Mapping[str, int] = field(default_factory=dict)
    processed: int | None = None
    """Tasks accepted since the worker started (``celery.worker.state.total_count``)."""
    prefetch_count: int | None = None
    """Messages it may hold at once; 0 is unlimited, None unknown."""
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
    last_seen_seconds: float | None = None
    """Age of its last record or reply."""
    started_at: datetime | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """``celery``, ``kombu``, ``python``, ``celery_health``: what it says of itself."""


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
    """The workers among `consumers`."""
    capacity: int | None = None
    """Tasks its consumers can run at once; None when unknown."""
    last_consumed_seconds: float | None = None
    """Since somebody last consumed it, by the store; None when never or without a store."""
    unconsumed_seconds: float | None = None
    """How long nobody has consumed it, at least; 0 while somebody does; None when nobody can say."""
    held_seconds: float | None = None
    """How long it has not been empty, at least; None when it is empty or nobody can say."""
    expected_by: tuple[str, ...] = ()
    """Why somebody should consume it: ``task:<name>``, ``beat:<entry>``, ``setting``; or nobody must."""
    error: str | None = None
    """Why `ready` is None, where that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFacts:
    """Which Celery app was asked about, and what of its configuration judging needs."""

    app_id: str
    name: str
    """For ``celery -A <name>`` in recommendations."""
    always_eager: bool = False
    """``task_always_eager``: tasks run in the caller, and no worker or broker is needed."""
    default_queue: str = "celery"


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerState:
    """Whether the broker answered, and how."""

    transport: str
    """kombu's driver name: ``redis``, ``amqp``, ``filesystem``, ..."""
    url: str
    """Masked."""
    reachable: bool | None = None
    """None when it was not asked."""
    error: str | None = None
    """Masked text, when it did not answer."""
    latency_seconds: float | None = None
    """Wall time of the one read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreState:
    """Whether the store of records answered."""

    configured: bool
    """False without a Redis broker, result backend or STORE_URL."""
    reachable: bool | None = None
    error: str | None = None
    url: str | None = None
    """Masked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectionState:
    """What the live inspection could say, where it was used."""

    supported: bool = True
    """False where the transport or the project has remote control off."""
    asked: bool = False
    """False where records answered, or the broker is down."""
    complete: bool = False
    """True when the roster is known and each member of it has answered."""
    roster: tuple[str, ...] | None = None
    """Who was asked; None when no roster could be had."""
    silent: tuple[str, ...] = ()
    """Members of the roster that did not answer in time."""
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOutcomes:
    """What became of the runs of one task lately."""

    succeeded: int = 0
    failed: int = 0
    """Failed for good: no retry follows."""
    retried: int = 0
    unknown: int = 0
    """Received by a worker that does not register the name, and discarded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedRuntime:
    """How long the finished runs of one task took."""

    samples: int
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Everything one reading of store, broker and workers found. Judged by pure rules."""

    taken_at: datetime
    """Aware, UTC, by this process's clock: to show."""
    app: AppFacts
    broker: BrokerState
    store: StoreState
    inspection: InspectionState
    workers: tuple[Worker, ...] = ()
    """Ours only, by hostname."""
    queues: tuple[QueueState, ...] = ()
    """By name."""
    recent: Mapping[str, TaskOutcomes] | None = None
    """Task name → outcomes of the last ``recent_seconds``; None without a store."""
    observed: Mapping[str, ObservedRuntime] = field(default_factory=dict)
    """Task name → observed runtimes, of those that a rule needs them of."""
    beats: tuple[Beat, ...] = ()
    """Those that ever reported, by name; the dead are among them."""
    schedule_exists: bool | None = None
    """Whether the settings hold a schedule; None when it may be kept elsewhere."""
    store_age_seconds: float | None = None
    """How long there have been reports in the store; None when there are none."""
    dead_letters: Mapping[str, int | None] | None = None
    """Queue → letters in its dead letter queue; None while dead letters are off."""
    live_worker_seen_seconds: float | None = None
    """Since this process last saw a live worker; None when it never did."""
    source: Source = Source.INSPECTION


class CheckStatus(StrEnum):
    """The outcome of one check; only `warn` and `fail` worsen the verdict."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    UNSUPPORTED = "unsupported"


class Status(StrEnum):
    """The verdict."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What one check found of one subject."""

    id: str
    """Stable, as in the contract: ``queues.depth``."""
    status: CheckStatus
    message: str
    """One sentence for people."""
    subject: str | None = None
    """The queue, worker, task or entry; None when it is about the whole."""
    observed: float | int | str | None = None
    limit: float | int | None = None
    unit: str | None = None
    """``tasks``, ``seconds``, ``workers``, ..."""
    recommendation: str | None = None
    """What to do, with the command to paste; None when all is well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthReport:
    """The verdict with everything that led to it: what HTTP, command, page and metrics all show."""

    status: Status
    checks: tuple[CheckResult, ...]
    snapshot: Snapshot
    age_seconds: float
    """How old the snapshot was when this report was made."""

    @property
    def recommendations(self) -> tuple[str, ...]:
        """Return what to do, most severe first, each once."""
        rank = {CheckStatus.FAIL: 0, CheckStatus.WARN: 1}
        troubled = sorted((c for c in self.checks if c.status in rank), key=lambda c: rank[c.status])
        return tuple(dict.fromkeys(c.recommendation for c in troubled if c.recommendation))
