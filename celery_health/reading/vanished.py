"""Whether a worker whose records stay away has ended: by what the broker shows of its process. Pure.

Silence alone proves nothing before ``worker_lost_seconds``: the store, the network or the machine may be
slow. An ended process has lost its connection to the broker, though, and the broker says so at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Final

from celery_health.brokers.base import Mark
from celery_health.records import Worker, WorkerState

#: Heartbeats without a record, after which the broker is asked. They come with a spread of 20 %, and a worker
#: looks once a ``FLUSH_INTERVAL`` whether one is due: hardly ever is anybody asked for who is well.
SUSPECT_HEARTBEATS: Final = 1.4
HEARTBEAT_SPREAD: Final = 1.2
#: Between two questions to the broker; two answers so far apart must agree.
AGREE_SECONDS: Final = 2.0
#: Readings so far apart still see an outage between them: by then nobody's record would be fresh.
LONGEST_PAUSE_SECONDS: Final = 16.0
#: Workers asked for in one question, and others beside them that are known to live.
MAX_SUSPECTS: Final = 50
MAX_WITNESSES: Final = 3

#: What a worker said of itself that does not explain silence. Who drains or reconnects ends its connection.
_SILENT: Final = frozenset(
    {
        WorkerState.OK,
        WorkerState.BUSY,
        WorkerState.SATURATED,
        WorkerState.STUCK,
        WorkerState.NOT_CONSUMING,
        WorkerState.HELD_BACK,
        WorkerState.NO_QUEUES,
    }
)

_Key = tuple[str, int | None, str]


@dataclass(kw_only=True, slots=True)
class _Suspect:
    """What this process found out of one worker process that is silent."""

    asked_at: float = float("-inf")
    is_missing: bool = False
    """It was not there, in the last answer."""
    reported_at: float | None = None
    """When its last record came, once it is proven to have ended."""


class Vanished:
    """Follows the workers of one app from reading to reading; all times are monotonic seconds.

    In each reading: `note`, then `question`, and `answer` where that asks for something, then `judged`.
    """

    def __init__(self, heartbeat_seconds: float, flush_seconds: float) -> None:
        """Take how often workers report, and look whether they should."""
        self._mark: Mark | None = None
        self._silence_seconds = max(
            SUSPECT_HEARTBEATS * heartbeat_seconds, HEARTBEAT_SPREAD * heartbeat_seconds + flush_seconds
        )
        #: A pause between readings in which an outage might hide that silences a worker.
        self._longest_pause_seconds = max(heartbeat_seconds, LONGEST_PAUSE_SECONDS)
        self._unbroken_since: float | None = None
        self._read_at = float("-inf")
        self._asked_at = float("-inf")
        self._suspects: dict[_Key, _Suspect] = {}
        self._witnesses: Mapping[str, Sequence[str]] = {}

    def note(self, now: float, *, could_read: bool) -> None:
        """Note a reading, and whether both the store and the broker answered."""
        if not could_read:
            self._unbroken_since = None
        elif self._unbroken_since is None or now - self._read_at > self._longest_pause_seconds:
            self._unbroken_since = now
        self._read_at = now

    def question(self, now: float, workers: Sequence[Worker], mark: Mark | None) -> tuple[str, ...]:
        """Return the marks to ask the broker for: of who is silent, and of who reports; or none.

        `mark` is what this broker shows of workers; None when nothing.
        """
        self._mark = mark
        silent = {self._key(worker): worker for worker in workers if _age(worker) >= self._silence_seconds}
        self._suspects = {
            key: suspect
            for key, suspect in self._suspects.items()
            if key in silent and not _is_back(suspect, now, silent[key])
        }
        if not silent or now - self._asked_at < AGREE_SECONDS:
            return ()
        self._witnesses = self._find_witnesses(workers)
        asked = [key for key, worker in silent.items() if self._is_suspect(now, worker)]
        asked.sort(key=lambda key: self._suspects[key].asked_at if key in self._suspects else float("-inf"))
        marks: dict[str, None] = {}
        for key in asked[:MAX_SUSPECTS]:
            self._asked_at = self._suspects.setdefault(key, _Suspect()).asked_at = now
            marks |= dict.fromkeys((key[2], *self._witnesses[silent[key].broker or ""]))
        return tuple(marks)

    def answer(
        self, now: float, workers: Sequence[Worker], present: Mapping[str, float | None] | None
    ) -> None:
        """Take the broker's answer to `question`: what `Broker.present` returned."""
        for worker in workers:
            suspect = self._suspects.get(self._key(worker))
            if suspect is None or suspect.asked_at != now:
                continue
            if present is None or not self._is_missing(worker, present):
                suspect.is_missing = False
            elif suspect.is_missing:  # as it was when last asked for, `AGREE_SECONDS` ago at least
                suspect.reported_at = now - _age(worker)
            else:
                suspect.is_missing = True

    def judged(self, workers: tuple[Worker, ...]) -> tuple[Worker, ...]:
        """Return the workers, those gone that are proven to be."""
        proven = {key for key, suspect in self._suspects.items() if suspect.reported_at is not None}
        if not proven:
            return workers
        return tuple(
            replace(worker, state=WorkerState.GONE, is_disconnected=True)
            if self._key(worker) in proven
            else worker
            for worker in workers
        )

    def _is_suspect(self, now: float, worker: Worker) -> bool:
        known = self._suspects.get(self._key(worker))
        return (
            worker.state in _SILENT
            and bool(self._mark_of(worker))
            and bool(self._witnesses.get(worker.broker or ""))
            # What kept its reports away did not keep ours: we could read in all that time.
            and self._unbroken_since is not None
            and self._unbroken_since <= now - _age(worker)
            and (known is None or known.reported_at is None)
        )

    def _is_missing(self, worker: Worker, present: Mapping[str, float | None]) -> bool:
        """Say whether the broker shows others of its workers, and not this one.

        After a restart or a failover it shows none that connected before the silence began.
        """
        shown = [present[mark] for mark in self._witnesses[worker.broker or ""] if mark in present]
        return self._mark_of(worker) not in present and any(
            seconds is None or seconds >= _age(worker) for seconds in shown
        )

    def _find_witnesses(self, workers: Iterable[Worker]) -> Mapping[str, Sequence[str]]:
        """Return, by broker, the marks of workers that report: whoever ended would be missing beside them."""
        found: dict[str, list[Worker]] = defaultdict(list)
        for worker in workers:
            if (
                worker.broker
                and self._mark_of(worker)
                and worker.state in _SILENT
                and _age(worker) < self._silence_seconds
            ):
                found[worker.broker].append(worker)
        # Those that run longest have the oldest connections.
        return {
            broker: [self._mark_of(worker) for worker in nsmallest(MAX_WITNESSES, those, key=_started)]
            for broker, those in found.items()
        }

    def _mark_of(self, worker: Worker) -> str:
        return (getattr(worker, self._mark.value) or "") if self._mark is not None else ""

    def _key(self, worker: Worker) -> _Key:
        return worker.hostname, worker.pid, self._mark_of(worker)


def _age(worker: Worker) -> float:
    return worker.last_seen_seconds or 0.0


def _started(worker: Worker) -> float:
    return worker.started_at.timestamp() if worker.started_at is not None else float("inf")


def _is_back(suspect: _Suspect, now: float, worker: Worker) -> bool:
    """Say whether a worker has reported since it was proven to have ended."""
    # An age is as old as its reading took.
    return suspect.reported_at is not None and now - _age(worker) > suspect.reported_at + 1.0
