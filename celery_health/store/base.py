"""What a store of records and totals offers, and the records that go in and come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from celery_health.deadline import Deadline
from celery_health.records import Streak, TaskStreak

Kind = Literal["worker", "beat", "producer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnStart:
    """What a worker says of its own start."""

    age_seconds: float
    """How long ago it was."""
    is_ready: bool = False
    """It has taken messages, or could have."""
    is_told: bool = False
    """It was told to stop: that it ends is no fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEntry:
    """What a beat says of one entry of its schedule."""

    name: str
    fingerprint: str
    """Hexadecimal; differs whenever the entry does."""
    done_seconds: float | None = None
    """Since this beat sent it, or left it out on purpose; None when it did neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEntry:
    """What the store keeps of one entry of the schedule, whichever beat told it."""

    fingerprint: str
    listed_seconds: float
    """Since it first stood on the schedule as it is, without a break."""
    done_seconds: float | None
    """Since a beat sent it, or left it out on purpose; None when none did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingQuestion:
    """What a worker wants to know of runs that other processes named as running, and fell silent."""

    silent_seconds: float
    """How long a process says nothing until its runs are missing."""
    known: str = ""
    """`MissingRuns.change` of those that it knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingRuns:
    """The runs that processes which fell silent named as running, or gave up."""

    change: str
    """Differs whenever they do."""
    ids: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What one process tells the store in one go.

    A writer numbers its publications from 1. One that was not acknowledged may have been applied all the
    same: it is sent again unchanged under its number, and what was counted since goes into the next.
    """

    writer: str
    """Random, new in each process: names are used again by the next process, and pids too."""
    sequence: int
    """1, 2, 3, ...; the same as before when this one is sent again."""
    acknowledged: int = 0
    """The last sequence that the store acknowledged; 0 before the first."""
    epoch: int = 0
    """The epoch of that acknowledgement; 0 before the first."""
    acknowledged_at: float = 0.0
    """Its `Acknowledgement.server_time`: a writer that was silent for days is not a store that forgot."""
    fields: Mapping[str, int] = field(default_factory=dict)
    """What the totals grew by: see `celery_health.counters.encode`."""
    ring: Mapping[str, int] = field(default_factory=dict)
    """``name\\x1foutcome`` to how many, for the minute in which this arrives."""
    caps: Mapping[str, int] = field(default_factory=dict)
    """Label that the project opted in to how many values it may have over all processes."""
    kind: Kind = "producer"
    name: str | None = None
    """Host name of the worker or beat; None for a producer, which has no record."""
    record: Mapping[str, Any] | None = None
    """The state of a worker or beat, as JSON can hold it; None to leave the last one as it is."""
    rows: Mapping[str, Any] | None = None
    """Of a worker, the tasks that it holds, one by one; None to leave the last as they are. With a record."""
    registered: tuple[str, tuple[str, ...]] | None = None
    """Fingerprint of the task names a worker registers, and the names; sent with each record."""
    consumed: tuple[str, ...] = ()
    """The queues that are being consumed at this moment."""
    start: OwnStart | None = None
    """Of a worker, with its record: told again each time, and written when it changed."""
    missing: MissingQuestion | None = None
    """Of a worker, with its record: what it wants to know of runs that silent processes named."""
    trouble: Mapping[str, Any] | None = None
    """What this process could not write, as JSON can hold it; empty once it can, None to leave it as is."""
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    """Task name to how its last runs ended, in a row."""
    entries: tuple[OwnEntry, ...] = ()
    """Of a beat, with its record: its schedule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """What the store answers to a publication."""

    epoch: int
    """Grows each time all totals start again from zero."""
    sequence: int
    """The one that was applied, now or before."""
    reset: bool
    """True when this publication found the store rolled back, and all totals started again with it."""
    server_time: float
    """Unix seconds by the store's clock."""
    overflowed: tuple[str, ...] = ()
    """Labels of which this publication had a value that was over a cap, and became "other"."""
    unwritten: tuple[str, ...] = ()
    """Keys that hold something else than celery_health writes: what belongs there was left out."""
    missing: MissingRuns | None = None
    """None where nothing was asked, or nothing changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRecord:
    """The last record of one process that is, or was, a worker or a beat."""

    name: str
    record: Mapping[str, Any]
    """As it was published, through JSON."""
    age_seconds: float
    """Since it arrived, by the store's clock."""
    writer: str = ""
    """Tells processes of one name apart: see `Publication.writer`."""
    first_age_seconds: float | None = None
    """Since the first record of this process arrived; None for a beat, and where earlier versions wrote."""
    previous_age_seconds: float | None = None
    """Since the one before this arrived; None when this is the first, or as above."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStart:
    """One start of a worker's process."""

    writer: str
    """How `Publication.writer` begins."""
    stamp: int
    """Microseconds by the store's clock."""
    is_ready: bool
    is_told: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStarts:
    """The starts under one name."""

    starts: tuple[StoredStart, ...]
    """The youngest of the last hour, at most `celery_health.store.keys.MAX_STARTS`, the oldest first."""
    vain_count: int
    """How many in a row, the last one included, never became ready: of any age."""
    vain_since: int
    """When the first of these began, in microseconds by the store's clock; 0 for none."""
    told_at: int
    """When one that was not ready last reported, likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreReading:
    """One reading of the store."""

    server_time: float
    """Unix seconds by the store's clock."""
    epoch: int
    """0 when nothing was ever published."""
    version: int
    """Grows with each publication; with `epoch` it tells whether the store rolled back."""
    workers: tuple[StoredRecord, ...] = ()
    """By name, one for each process; goodbyes are among them, and nothing older than a day."""
    beats: tuple[StoredRecord, ...] = ()
    """By name, of any age."""
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fingerprint to task names."""
    consumed: Mapping[str, float] = field(default_factory=dict)
    """Queue to seconds since somebody last consumed it."""
    ring: Mapping[int, Mapping[tuple[str, str], int]] = field(default_factory=dict)
    """Minute (unix seconds // 60 by the store's clock) to (task name, outcome) to how many."""
    streaks: Mapping[str, TaskStreak] = field(default_factory=dict)
    """Task name to how its last runs ended, of those that did not end well."""
    totals: Mapping[str, int] | None = None
    """Field to total; None when they were not asked for."""
    starts: Mapping[str, StoredStarts] = field(default_factory=dict)
    """Name of a worker to its starts, where there were two within an hour, or the last is not ready."""
    entries: Mapping[str, StoredEntry] = field(default_factory=dict)
    """Name of an entry of the schedule to what is kept of it."""
    troubles: tuple[StoredRecord, ...] = ()
    """What processes could not write lately, one each; the name is the writer's."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Key to how many of its entries are not as celery_health writes them, and were left out."""
    problems: tuple[str, ...] = ()
    """The same in sentences, with what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsReading:
    """The tasks that workers hold, one by one: large, and read only when people ask for them."""

    rows: tuple[StoredRecord, ...] = ()
    """Of those processes asked for that sent any, as they were asked for."""
    unread: tuple[tuple[str, str], ...] = ()
    """Writer and name of those that were left out: there was no time, or there was too much."""
    problems: tuple[str, ...] = ()
    """What cannot be read, in sentences, with what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MinuteCounts:
    """What ended in one minute."""

    outcomes: Mapping[tuple[str, str], int]
    """(Task name, outcome) to how many."""
    exceptions: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(Task name, class of the exception) to how many failed for good."""
    is_final: bool
    """Whether the minute is over, and was read in full: it need not be read again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MinutesReading:
    """Minutes of the ring; a minute is unix seconds // 60 by the store's clock."""

    server_time: float
    """Unix seconds by the store's clock: it lies in the last of the 60 minutes."""
    epoch: int
    """Of all that was read: what was known under another belongs to it no more. 0 when there is none."""
    minutes: Mapping[int, MinuteCounts] = field(default_factory=dict)
    """Those of the last 60 that the caller did not have."""
    unread: frozenset[int] = frozenset()
    """Those that neither the caller has nor could be read: there was no time, too much, or another type."""
    problems: tuple[str, ...] = ()
    """What cannot be read, in sentences, with what to do."""


class Store(ABC):
    """Keeps the records of workers and beats, and the totals of everything counted.

    One thread at a time uses an instance; it survives a fork by opening a new connection. Nothing is kept
    from one call to the next that an outage could make stale.
    """

    url: str
    """Masked."""

    @abstractmethod
    def publish(self, publication: Publication, deadline: Deadline | None = None) -> Acknowledgement:
        """Hand in what a process has to say; the same publication twice counts once.

        Without a `deadline` it takes as long as the network is known to need, and a few seconds at most.

        Raises:
            StoreError: it may or may not have been applied; send it again unchanged. Masked.
        """

    @abstractmethod
    def read(self, deadline: Deadline, *, totals: bool = False, ring_minutes: int = 0) -> StoreReading:
        """Read everything, in one round trip; again where entries are found that nobody can read.

        What would hold the store for long comes in further calls, of a millisecond or two each: more than 100
        changed records, thousands of counts. Nothing is then older than the start of the call, and counts of
        one field may have grown since those of another were read.

        Args:
            deadline: by when it must be done.
            totals: also read the totals, which may be some hundred kilobytes.
            ring_minutes: how many of the last minutes to read outcomes of, this one included; at most 61.

        Raises:
            StoreError: the store did not answer in time, or refused. Masked.
        """

    @abstractmethod
    def rows(self, processes: Iterable[tuple[str, str]], deadline: Deadline) -> RowsReading:
        """Read the tasks that workers hold; in steps, so that nobody else waits long for the store.

        Args:
            processes: writer and name of the workers to read of, the most wanted first.
            deadline: by when it must be done; what did not fit into it is said.

        Raises:
            StoreError: the store did not answer at all, or refused. Masked.
        """

    @abstractmethod
    def minutes(self, epoch: int, known: Collection[int], deadline: Deadline) -> MinutesReading:
        """Read what ended in each of the last 60 minutes; in steps, so that nobody else waits long for it.

        The newest come first: where the deadline or the amount ends a reading, the next goes on.

        Args:
            epoch: of the minutes that are known; 0 for none.
            known: minutes that the caller has, and that are final: they are not read.
            deadline: by when it must be done; what did not fit into it is said.

        Raises:
            StoreError: the store did not answer at all, or refused. Masked.
        """

    @abstractmethod
    def reset_if_behind(self, epoch: int, version: int, deadline: Deadline) -> int:
        """Start all totals again from zero if the store is behind what was read from it before.

        A restart without persistence, or a failover, can take a store back while no writer lives that
        would notice. Does nothing the second time.

        Returns:
            The epoch that now holds.

        Raises:
            StoreError: the store did not answer in time, or refused. Masked.
        """

    def refuses_writes(self, deadline: Deadline) -> str | None:
        """Return why a store that answers reads refuses writes, and what to do; None when it does not say so.

        Raises:
            StoreError: the store did not answer in time. Masked.
        """
        return None

    def close(self) -> None:  # noqa: B027 - a store without a connection has nothing to close
        """Close the connection, if one is open; the next call opens a new one."""
