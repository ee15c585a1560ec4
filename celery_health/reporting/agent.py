"""The native thread that tells the store what a process counted and how it is.

The same class serves workers, beats and producers. It owns the one connection to the store, so nothing that
the process really does ever waits for it.
"""

from __future__ import annotations

import codecs
import logging
import os
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final, Protocol

from celery_health.deadline import Deadline
from celery_health.exceptions import StoreError
from celery_health.reporting import forks
from celery_health.reporting.clock import StoreClock
from celery_health.reporting.faults import Faults
from celery_health.reporting.native import Bell, allocate_lock, start_daemon
from celery_health.reporting.overflows import Overflows
from celery_health.reporting.totals import Batch, Totals
from celery_health.reporting.troubles import Troubles
from celery_health.store.base import (
    Kind,
    MissingQuestion,
    MissingRuns,
    OwnEntry,
    OwnStart,
    Publication,
    Store,
)

logger = logging.getLogger("celery_health")

#: A record comes this much earlier or later, so that workers started together do not write together.
JITTER: Final = 0.2
#: Between attempts while the store is down, at most.
MAX_BACKOFF_SECONDS: Final = 5.0
#: What the end of a process may cost; where the store answers slowly, as many times what it last took.
FINISH_SECONDS: Final = 1.0
MAX_FINISH_SECONDS: Final = 3.0
FINISH_CALLS: Final = 3
_UNWRITTEN: Final = (
    "The store holds something else than celery_health writes under {}, so part of each report is left out. "
    "Remove these keys, or set another STORE_PREFIX."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a process says of itself at one moment."""

    record: Mapping[str, Any] | None = None
    """As JSON can hold it; None for a process without a record of its own."""
    rows: Mapping[str, Any] | None = None
    """What belongs to the record and only people read: the tasks of a worker, one by one."""
    registered: tuple[str, tuple[str, ...]] | None = None
    consumed: tuple[str, ...] = ()
    missing: MissingQuestion | None = None
    trouble: Mapping[str, Any] | None = None
    """What the process could not write: see `celery_health.reporting.troubles`."""
    start: OwnStart | None = None
    entries: tuple[OwnEntry, ...] = ()


class Subject(Protocol):
    """What an agent reports on. All methods are called in the agent's thread and may fail."""

    def report(self) -> Report:
        """Return the whole state, for the store."""

    def changed(self) -> bool:
        """Say whether something happened that should not wait for the next heartbeat."""


@dataclass
class _Line:
    """Where this writer stands with the store: see `Publication`."""

    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    sequence: int = 0
    acknowledged: int = 0
    acknowledged_at: float = 0.0
    epoch: int = 0
    in_flight: Batch | None = None
    """Sent and not acknowledged: it may have been applied, so it goes again as it is."""
    pending: Batch = field(default_factory=Batch)
    """Counted since; bounded, because label values are."""


class Agent:
    """Flushes totals and records of one process in a daemon thread of its own.

    `open_store` is called in that thread; None from it means that there is no store, and what is counted is
    dropped. Nothing here raises to the caller.
    """

    def __init__(
        self,
        *,
        kind: Kind,
        name: str | None,
        totals: Totals,
        faults: Faults,
        open_store: Callable[[], Store | None],
        subject: Subject | None = None,
        troubles: Troubles | None = None,
        on_missing: Callable[[MissingRuns], None] | None = None,
        clock: StoreClock | None = None,
        flush_interval: float = 1.0,
        heartbeat_interval: float = 5.0,
    ) -> None:
        self._kind: Kind = kind
        self._name = name
        self._totals = totals
        self._faults = faults
        self._open_store = open_store
        self._subject = subject
        self._troubles = troubles
        self._on_missing = on_missing
        self._clock = clock
        self._flush_interval = flush_interval
        self._heartbeat_interval = heartbeat_interval
        # Seeded by the system, and apart from the random module that tasks may seed.
        self._random = random.Random(secrets.randbits(64))
        self._line = _Line()
        self._overflows = Overflows()
        self._store: Store | None = None
        self._store_opened = False
        self._bell = Bell()
        self._ended = allocate_lock()
        self._ended.acquire()
        self._pid: int | None = None
        self._stopping = False
        self._report_wanted = True
        self._next_report = 0.0
        self._failures = 0
        self._took_seconds = 0.0
        self._next_attempt = 0.0

    # From other threads

    @property
    def running(self) -> bool:
        """Say whether the thread was started in this process and not told to end."""
        return self._pid == os.getpid() and not self._stopping

    def start(self) -> None:
        """Start the thread."""
        if self._pid is not None:
            return
        self._pid = os.getpid()
        try:
            start_daemon(self._run, f"celery_health-{self._kind}", at_end=self._ended.release)
        except Exception as error:  # no threads left: the process works on, unwatched
            self._stopping = True
            self._ended.release()
            self._faults.caught("agent.start", error)

    def report_soon(self) -> None:
        """Have the state reported at once. Never blocks, so a signal handler may call it."""
        self._report_wanted = True
        self._bell.ring()

    @property
    def finish_seconds(self) -> float:
        """Return what `finish` may take: more where the store is far away, not where it is down."""
        if self._failures:
            return FINISH_SECONDS
        return min(max(FINISH_SECONDS, FINISH_CALLS * self._took_seconds), MAX_FINISH_SECONDS)

    def finish(self, timeout: float | None = None) -> bool:
        """Report and flush a last time and end the thread; return whether it ended within `timeout` seconds.

        Without a `timeout` it takes `finish_seconds` at most. What was counted after that, or could not be
        sent, `flush_rest` still tries.
        """
        if self._pid != os.getpid():
            return True
        self._stopping = True
        self._bell.ring()
        ended = self._ended.acquire(True, max(0.0, self.finish_seconds if timeout is None else timeout))
        if ended:
            self._ended.release()
        return ended

    def report_unstarted(self) -> bool:
        """Report in the calling thread, once, if the thread was never started; say whether that was so.

        An interpreter that ends starts no thread.
        """
        if self._pid is not None:
            return False
        self._pid, self._stopping = os.getpid(), True
        self._guarded("agent.unstarted", self._report_unstarted)
        self._ended.release()
        return True

    def _report_unstarted(self) -> None:
        self._collect()
        self._publish(self._make_report(), Deadline.after(FINISH_SECONDS))
        self._close()

    def flush_rest(self, *, with_report: bool = False) -> None:
        """Send what was counted after `finish`, in the calling thread: one attempt, a report if wanted."""
        if not self._stopping or self._pid != os.getpid() or not self._ended.acquire(False):
            return  # the thread still runs: the connection is its own
        try:
            self._collect()
            if with_report or self._line.in_flight is not None or not self._line.pending.empty:
                report = self._make_report() if with_report else Report()
                self._publish(report, Deadline.after(self.finish_seconds))
            self._close()
        except Exception as error:
            self._faults.caught("agent.flush", error)
        finally:
            self._ended.release()

    # In the thread

    def _run(self) -> None:
        while True:
            stopping = self._stopping
            self._guarded("agent.turn", self._turn)
            if stopping:
                break
            self._bell.wait(self._flush_interval)
        self._guarded("agent.close", self._close)

    def _guarded(self, where: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self._faults.caught(where, error)

    def _turn(self) -> None:
        """Send what is due."""
        self._collect()
        now = monotonic()
        wanted = self._is_report_due(now)
        trouble = None if self._troubles is None else self._troubles.due(now)
        if not wanted and trouble is None and self._line.in_flight is None and self._line.pending.empty:
            return
        if now < self._next_attempt and not self._stopping:
            return
        report = self._make_report() if wanted else Report()
        if not self._publish(replace(report, trouble=trouble)):
            return
        if trouble is not None and self._troubles is not None:
            self._troubles.told(trouble, now)
        if wanted:
            spread = self._random.uniform(1 - JITTER, 1 + JITTER)
            self._next_report = now + self._heartbeat_interval * spread

    def _collect(self) -> None:
        self._line.pending = self._line.pending.merge(self._totals.drain())
        self._overflows.tell(self._totals.overflowed())

    def _is_report_due(self, now: float) -> bool:
        if self._subject is None:
            return False
        if self._report_wanted or self._stopping or now >= self._next_report:
            return True
        return self._subject.changed()

    def _make_report(self) -> Report:
        assert self._subject is not None
        # Cleared before the state is read: what changes after that asks again.
        self._report_wanted = False
        try:
            return self._subject.report()
        except Exception as error:
            self._faults.caught("agent.report", error)
            return Report()

    def _publish(self, report: Report, deadline: Deadline | None = None) -> bool:
        """Send what is in flight, then what is pending, the report with the first; say whether all went."""
        store = self._opened()
        if store is None:
            self._line.in_flight, self._line.pending = None, Batch()
            self._totals.all_sent()
            return True
        line = self._line
        while True:
            if line.in_flight is None:
                line.sequence += 1
                line.in_flight, line.pending = line.pending, Batch()
            try:
                self._send(store, line.in_flight, report, deadline)
            except StoreError as error:
                self._failed(error)
                return False
            line.in_flight = None
            if line.pending.empty:
                self._totals.all_sent()
                self._recovered()
                return True
            report = Report()

    def _send(self, store: Store, batch: Batch, report: Report, deadline: Deadline | None) -> None:
        line, started = self._line, monotonic()
        answer = store.publish(
            Publication(
                writer=line.writer,
                sequence=line.sequence,
                acknowledged=line.acknowledged,
                acknowledged_at=line.acknowledged_at,
                epoch=line.epoch,
                fields=batch.fields,
                ring=batch.ring,
                caps=self._totals.label_caps,
                kind=self._kind,
                name=self._name,
                record=report.record,
                rows=report.rows,
                registered=report.registered,
                consumed=report.consumed,
                trouble=report.trouble,
                streaks=batch.streaks,
                start=report.start,
                missing=report.missing,
                entries=report.entries,
            ),
            deadline,
        )
        self._took_seconds = monotonic() - started
        line.epoch, line.acknowledged = answer.epoch, line.sequence
        line.acknowledged_at = answer.server_time
        if self._clock is not None:
            self._clock.answered(answer.server_time, self._took_seconds)
        self._overflows.tell(answer.overflowed)
        if answer.missing is not None and self._on_missing is not None:
            self._on_missing(answer.missing)
        if answer.unwritten:
            self._faults.caught("store.write", StoreError(_UNWRITTEN.format(", ".join(answer.unwritten))))

    def _opened(self) -> Store | None:
        if not self._store_opened:
            with forks.importing():
                self._store = self._open_store()
                codecs.lookup("idna")  # resolving a host's name would import it
            self._store_opened = True
        return self._store

    def _failed(self, error: StoreError) -> None:
        if self._failures == 0:
            logger.warning("The store of celery_health is out of reach; counts wait in memory. %s", error)
        self._failures += 1
        self._report_wanted = self._report_wanted or self._subject is not None
        delay = min(self._flush_interval * 2 ** min(self._failures - 1, 6), MAX_BACKOFF_SECONDS)
        self._next_attempt = monotonic() + delay * self._random.uniform(1 - JITTER, 1.0)

    def _recovered(self) -> None:
        if self._failures:
            logger.info("The store of celery_health answers again.")
        self._failures, self._next_attempt = 0, 0.0

    def _close(self) -> None:
        store, self._store, self._store_opened = self._store, None, False
        if store is not None:
            store.close()
