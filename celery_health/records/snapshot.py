"""Everything that one reading found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from celery_health.records.beats import Beat
from celery_health.records.lost import Losses
from celery_health.records.options import OptionNames
from celery_health.records.queues import QueueState, SharedQueue
from celery_health.records.results import ResultsState
from celery_health.records.streaks import TaskStreak
from celery_health.records.troubles import Refused
from celery_health.records.workers import RunningTask, Source, Worker, WorkerState
from celery_health.records.writes import Writes


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFacts:
    """Which Celery app was asked about, and what of its configuration judging needs."""

    app_id: str
    name: str
    """For ``celery -A <name>`` in recommendations."""
    always_eager: bool = False
    """``task_always_eager``: tasks run in the caller, and no worker or broker is needed."""
    default_queue: str = "celery"
    options: OptionNames = field(default_factory=OptionNames)
    """How the project writes the options of the app."""
    broker_is_set: bool = True
    """Somebody said where the broker is; else it is Celery's default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerState:
    """Whether the broker answered, and how."""

    transport: str
    """kombu's driver name: ``redis``, ``amqp``, ``filesystem``, ..."""
    url: str
    """Masked."""
    reachable: bool | None = None
    """None when it was not asked, or cannot be: `error` then says that the transport is the reason."""
    error: str | None = None
    """Masked text, when it did not answer or cannot be asked."""
    latency_seconds: float | None = None
    """Wall time of the one read."""
    late: str | None = None
    """Why this process itself was too late to know; `reachable` is None then. A whole sentence."""
    writes: Writes = field(default_factory=Writes)
    """Whether it takes messages, where it answered."""

    @property
    def is_lacking(self) -> bool:
        """Say whether no answer came where one was to come: it is away, or this process was late."""
        return self.reachable is False or self.late is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outage:
    """A time in which the store took no reports, as this process saw it: it was away, or refused writes."""

    began_seconds: float
    """Who was well reported at least once in so many seconds before now: until just before it was seen."""
    ended_seconds: float
    """How long ago it was last seen."""
    is_recent: bool
    """Processes that are well need not have reported since."""

    def holds(self, seen_seconds: float | None) -> bool:
        """Say whether who reported last so long ago was well when it began, for all that is known."""
        return seen_seconds is not None and self.ended_seconds <= seen_seconds <= self.began_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreState:
    """Whether the store of records answered."""

    configured: bool
    """False without a Redis broker, result backend or STORE_URL."""
    reachable: bool | None = None
    error: str | None = None
    url: str | None = None
    """Masked."""
    refuses_writes: str | None = None
    """Why it takes no reports though it answers, and what to do; None when it does not say so."""
    late: str | None = None
    """Why this process itself was too late to know; `reachable` is None then. A whole sentence."""
    outage: Outage | None = None
    """The last time that this process saw it take no reports, and that is over; None for none."""

    @property
    def no_reports(self) -> str | None:
        """Return why reports may be missing, to stand in a sentence; None where they should not."""
        if self.refuses_writes is not None:
            return f"the store takes no reports ({self.refuses_writes})"
        if self.outage is not None and self.outage.is_recent:
            return f"the store took no reports until {self.outage.ended_seconds:.0f} s ago"
        return None

    def excuses(self, seen_seconds: float | None) -> bool:
        """Say whether who reported last so long ago may live, and could not say so."""
        if self.refuses_writes is not None:
            return True
        return self.outage is not None and self.outage.is_recent and self.outage.holds(seen_seconds)


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


class LettersLack(StrEnum):
    """Why there are no numbers of dead letters at all."""

    OFF = "off"
    """No task of this process asks for them, and none were found."""
    UNSUPPORTED = "unsupported"
    """Some are asked for, and the transport cannot keep any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOutcomes:
    """What became of the runs of one task lately."""

    succeeded: int = 0
    failed: int = 0
    """Failed for good: no retry follows."""
    retried: int = 0
    unknown: int = 0
    """Received by a worker that does not register the name, and discarded."""
    rejected: int = 0
    """Rejected for good: by the task, or as what cannot be read."""
    expired: int = 0
    """Expired before they began; who revokes a task says so, and no fault is in that."""
    redelivered: int = 0
    """Killed with their process, and their messages delivered again."""
    killed: int = 0
    """The same and those of `failed` that were killed for good."""
    expected: int = 0
    """Of `failed`, those with an exception that the task declares (``throws``)."""
    ignored: int = 0
    """Asked to be ignored."""

    @property
    def ended(self) -> int:
        """Return how many runs ended, well or badly; a retry is no end."""
        return self.succeeded + self.failed + self.rejected + self.expired + self.redelivered + self.ignored

    @property
    def ended_badly(self) -> int:
        """Return how many of them did not do what they are for, and nobody said that they may."""
        return max(0, self.failed - self.expected) + self.rejected + self.expired + self.redelivered

    @property
    def failed_otherwise(self) -> int:
        """Return how many failed for good with an exception that the task does not declare."""
        return max(0, self.failed - self.expected - max(0, self.killed - self.redelivered))


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedRuntime:
    """How long the finished runs of one task took; a quantile over `measured_to_seconds` is None."""

    samples: int
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    measured_to_seconds: float | None = None
    """Of longer runs only their number is known; None when nobody says."""


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
    shared_queues: tuple[SharedQueue, ...] = ()
    """Those that workers consume which are known not to be ours; by name."""
    recent: Mapping[str, TaskOutcomes] | None = None
    """Task name → outcomes of the last ``recent_seconds``; None without a store."""
    streaks: Mapping[str, TaskStreak] = field(default_factory=dict)
    """Task name → how its last runs ended, of those that did not end well; none without a store."""
    observed: Mapping[str, ObservedRuntime] = field(default_factory=dict)
    """Task name → observed runtimes, of those that a rule needs them of."""
    beats: tuple[Beat, ...] = ()
    """Those that ever reported, by name; the dead are among them."""
    schedule_exists: bool | None = None
    """Whether the settings hold a schedule; None when it may be kept elsewhere."""
    store_age_seconds: float | None = None
    """How long there have been reports in the store; None when there are none."""
    dead_letters: Mapping[str, int | None] | None = None
    """Queue → letters in its dead letter queue; None without any numbers: `dead_letters_lack` says why."""
    dead_letters_lack: LettersLack | None = None
    """Why `dead_letters` is None; None when that is not known."""
    losses: Losses = field(default_factory=Losses)
    """What was lost with workers that vanished, and the messages that nobody holds."""
    refused: Refused | None = None
    """What processes say of publications that did not get through; None without a store to say it in."""
    results: ResultsState | None = None
    """The result backend; None when nothing of it was looked at."""
    live_worker_seen_seconds: float | None = None
    """Since this process last saw a live worker; None when it never did."""
    is_one_shot: bool = False
    """Read by a process that looks once and ends: it will never have watched anything."""
    importing: str | None = None
    """Why it is not known yet which queues are expected, and who is ours; None when it is."""
    tasks_error: str | None = None
    """Why the same cannot be known: the project's task modules cannot be imported, or their routes read."""
    source: Source = Source.INSPECTION
    notes: tuple[str, ...] = ()
    """What the reading could not look at, or skipped: whole sentences."""
    task_notes: tuple[str, ...] = ()
    """Why tasks that workers hold are not listed: whole sentences; none unless they were asked for."""

    @property
    def roster_is_known(self) -> bool:
        """Say whether `workers` are all there are.

        All that had to be asked have answered; or those that live report themselves, and nobody who may be
        one of ours is silent.
        """
        if self.inspection.complete:
            return True
        reports = any(worker.source is Source.HEARTBEATS and worker.state.is_live for worker in self.workers)
        return reports and not self.inspection.silent

    @property
    def running(self) -> tuple[RunningTask, ...]:
        """Return the tasks that workers name as running, the longest first; those of the dead run no more."""
        tasks = [task for worker in self._present for task in worker.active]
        return tuple(sorted(tasks, key=lambda task: task.runtime_seconds or 0, reverse=True))

    @property
    def running_count(self) -> int | None:
        """Return how many tasks run, listed or not; None while one worker's part of it is unknown."""
        counts = [worker.active_count for worker in self._present]
        if not self.roster_is_known or any(worker.state is WorkerState.UNKNOWN for worker in self._present):
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def _present(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.state is not WorkerState.GONE]
