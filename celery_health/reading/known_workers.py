"""What one process remembers of the workers that it has to ask: pure, the time is given.

A question that nobody answers costs its whole patience, so each name is asked as seldom as it can be: a
worker of another application every half minute, a silent one less and less often, and one that is proven not
to listen only when it is seen to listen again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from celery_health.reading.builtin_replies import worker_from_builtin
from celery_health.reading.consumption import Silent
from celery_health.reading.inspection import Replies
from celery_health.reading.questions import Census
from celery_health.reading.sharing import is_other_project
from celery_health.reading.worker_reports import worker_from_report
from celery_health.reading.worker_states import load_state
from celery_health.records import Source, Worker, WorkerState
from celery_health.store import skipped
from celery_health.topology import Topology

#: How long the answer of another application's worker is believed.
FOREIGN_SECONDS: Final = 30.0
#: How long a worker that did not answer is not asked again; doubled each time, up to the second.
SILENT_PAUSE_SECONDS: Final = 5.0
MAX_SILENT_PAUSE_SECONDS: Final = 300.0
#: How many complete censuses in a row must miss a name before it is called gone: one that reconnects is
#: missed by one.
ROUNDS_OF_PROOF: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What is remembered of one name. Moments are seconds on one clock."""

    worker: Worker | None = None
    """As it last answered; None when it never did."""
    answered_at: float | None = None
    is_ours: bool | None = None
    """None when it never answered."""
    is_reporting: bool | None = None
    """It answers `REPORT_COMMAND`, by its own word; None when that is not known, or may have changed."""
    silent_at: float | None = None
    """When it was last asked in vain; None since it answered."""
    misses: int = 0
    """How often in a row it was asked in vain."""
    absent_rounds: int = 0
    """How many complete censuses in a row it was missing from."""

    @property
    def is_absent(self) -> bool:
        """Say whether nobody listens under its name, by the last complete census."""
        return self.absent_rounds > 0

    @property
    def is_gone(self) -> bool:
        """Say whether it is proven that nobody listens under its name."""
        return self.absent_rounds >= ROUNDS_OF_PROOF

    @property
    def is_silent(self) -> bool:
        """Say whether it may live, and did not answer."""
        return self.silent_at is not None and not self.is_absent

    def is_due(self, now: float, most_pause_seconds: float = MAX_SILENT_PAUSE_SECONDS) -> bool:
        """Say whether it is to be asked now; a silent one after `most_pause_seconds` at the latest."""
        if self.is_absent:
            return False
        if self.silent_at is not None:
            doubled = SILENT_PAUSE_SECONDS * float(2 ** min(10, max(0, self.misses - 1)))
            return now - self.silent_at >= min(doubled, most_pause_seconds)
        is_fresh = self.answered_at is not None and now - self.answered_at < FOREIGN_SECONDS
        return self.is_ours is not False or not is_fresh

    def last_moment(self) -> float | None:
        """Return when it last answered, or last did not."""
        return max((at for at in (self.answered_at, self.silent_at) if at is not None), default=None)


_NOTHING: Final = Memory()


class KnownWorkers:
    """The workers of one broker by name. One thread at a time changes it; others may read."""

    def __init__(self, app_id: str, *, memory_seconds: float) -> None:
        self._app_id = app_id
        self._memory_seconds = memory_seconds
        # Replaced at each change, never changed: other threads walk through it.
        self._memory: dict[str, Memory] = {}

    def of(self, hostname: str) -> Memory | None:
        """Return what is remembered of a name; None when it was never met."""
        return self._memory.get(hostname)

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the queues that our workers consumed when they last answered."""
        return tuple(dict.fromkeys(name for worker in self.answered for name in worker.queues or ()))

    @property
    def answered(self) -> tuple[Worker, ...]:
        """Return our workers as they last answered."""
        return tuple(m.worker for m in self._memory.values() if m.is_ours and m.worker)

    @property
    def ours(self) -> tuple[str, ...]:
        """Return the names of our workers that ever answered."""
        return tuple(name for name, m in self._memory.items() if m.is_ours and m.answered_at is not None)

    @property
    def listening(self) -> tuple[str, ...]:
        """Return the names that ever answered, and of which it is not proven that nobody listens there."""
        return tuple(name for name, m in self._memory.items() if m.answered_at is not None and not m.is_gone)

    def due(
        self, names: Iterable[str], now: float, *, most_pause_seconds: float = MAX_SILENT_PAUSE_SECONDS
    ) -> list[str]:
        """Return those of `names` that are to be asked now."""
        known = self._memory.get
        return [name for name in names if known(name, _NOTHING).is_due(now, most_pause_seconds)]

    def reporting(self, names: Iterable[str], *, are: bool = True) -> frozenset[str]:
        """Return those of `names` that have `REPORT_COMMAND`, or with ``are=False``, that have not."""
        found = ((name, self._memory.get(name)) for name in names)
        return frozenset(name for name, m in found if m is not None and m.is_reporting is are)

    def unresolved(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` of which it is not known whether anybody listens under them."""
        found = ((name, self._memory.get(name)) for name in names)
        return [name for name, m in found if m is None or m.is_silent or (m.is_absent and not m.is_gone)]

    def is_new_or_absent(self, hostname: str) -> bool:
        """Say whether a name was never met, or its absence is still to be confirmed."""
        memory = self._memory.get(hostname)
        return memory is None or (memory.is_absent and not memory.is_gone)

    def gone(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` under which nobody listens: somebody may again."""
        return [name for name in names if (m := self._memory.get(name)) is not None and m.is_gone]

    def answering(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that answered when they were last asked."""
        found = ((name, self._memory.get(name)) for name in names)
        return [
            name for name, m in found if m is not None and m.answered_at is not None and m.silent_at is None
        ]

    def note_replies(self, replies: Replies, topology: Topology, now: float) -> None:
        """Take in who answered a question, and who did not."""
        known = dict(self._memory)
        silent = list(replies.silent)
        for hostname, reply in {**replies.reports, **replies.builtin}.items():
            try:
                worker, is_ours = self._read(hostname, reply, hostname in replies.builtin, topology)
            except Exception:  # it is somebody else's word: what cannot be read is no answer
                skipped.count("inspection")
                silent.append(hostname)
            else:
                known[hostname] = Memory(
                    worker=worker,
                    answered_at=now,
                    is_ours=is_ours,
                    is_reporting=hostname in replies.reporting,
                )
        for hostname in silent:
            before = known.get(hostname, _NOTHING)
            # When it answers again it may be another process, with celery_health or without.
            known[hostname] = replace(before, silent_at=now, misses=before.misses + 1, is_reporting=None)
        self._memory = {name: m for name, m in known.items() if not self._is_stale(m, now)}

    def _read(
        self, hostname: str, reply: Mapping[str, Any], is_builtin: bool, topology: Topology
    ) -> tuple[Worker, bool]:
        """Return the worker that a reply describes, and whether it is one of ours."""
        if is_builtin:
            worker = worker_from_builtin(hostname, reply)
            if worker.app_id is None:
                return worker, is_ours_by(worker, topology)
            return worker, worker.app_id == self._app_id
        worker = worker_from_report(hostname, reply, state=load_state(reply), source=Source.INSPECTION)
        return worker, worker.app_id in (None, self._app_id)

    def note_census(self, census: Census, names: Collection[str], now: float) -> None:
        """Take in who of `names` answered when everybody was asked."""
        known = dict(self._memory)
        for hostname in names:
            before = known.get(hostname)
            if hostname in census.names:
                # It listens: it is asked at once, whatever was thought of it.
                known[hostname] = replace(before or _NOTHING, silent_at=None, misses=0, absent_rounds=0)
            elif census.is_complete:
                before = before or _NOTHING
                # Once it is gone, each census says so again: that is no news to remember it for.
                silent_at = before.silent_at if before.is_gone else now
                rounds = min(before.absent_rounds + 1, ROUNDS_OF_PROOF)
                known[hostname] = replace(before, silent_at=silent_at, absent_rounds=rounds)
            elif before is None:
                known[hostname] = Memory(silent_at=now, misses=1)
            elif not before.is_gone:
                known[hostname] = replace(before, absent_rounds=0)
        self._memory = known

    def note_listening(self, names: Collection[str], since: float) -> None:
        """Take in who answered at `since`: those of `names` that were silent before are asked again."""
        again = {
            name: replace(m, silent_at=None, misses=0, absent_rounds=0)
            for name in names
            if (m := self._memory.get(name)) is not None and m.silent_at is not None and m.silent_at < since
        }
        if again:
            self._memory = {**self._memory, **again}

    def note_gone(self, names: Collection[str], now: float) -> None:
        """Take in that the mailboxes of `names` are gone from the broker."""
        gone = {
            name: replace(m, silent_at=now, absent_rounds=ROUNDS_OF_PROOF)
            for name in names
            if (m := self._memory.get(name)) is not None
        }
        if gone:
            self._memory = {**self._memory, **gone}

    def _is_stale(self, memory: Memory, now: float) -> bool:
        moment = memory.last_moment()
        return moment is not None and now - moment > self._memory_seconds

    # What it comes to ---------------------------------------------------------------------------------

    def foreign(self, names: Iterable[str]) -> tuple[Worker, ...]:
        """Return the workers of other applications among `names` that answered when they were last asked."""
        found = (self._memory.get(name) for name in names)
        return tuple(
            m.worker
            for m in found
            if m is not None and m.is_ours is False and m.worker is not None and m.silent_at is None
        )

    def foreign_busy(self, names: Iterable[str], now: float) -> tuple[Worker, ...]:
        """Return those of other applications, as they last answered, that may live and did not answer now.

        A worker that runs a long task in its main process answers when that has ended.
        """
        found = (self._memory.get(name) for name in names)
        return tuple(
            m.worker
            for m in found
            if m is not None and m.is_ours is False and m.worker is not None and m.is_silent
            if m.answered_at is not None and now - m.answered_at < MAX_SILENT_PAUSE_SECONDS
        )

    def silent(self, names: Iterable[str]) -> tuple[Silent, ...]:
        """Return those of `names` that may live and did not answer."""
        found = ((name, self._memory.get(name)) for name in names)
        return tuple(
            Silent(
                hostname=name,
                queues=None if m.worker is None else m.worker.queues,
                is_foreign=m.is_ours is False,
            )
            for name, m in found
            if m is not None and m.is_silent
        )

    def workers(self, names: Iterable[str], now: float) -> tuple[Worker, ...]:
        """Return our workers among `names`: as they answered, `unknown` or `gone`."""
        found = []
        for name in sorted(names):
            memory = self._memory.get(name)
            if memory is None or memory.is_ours is False:
                continue
            if memory.worker is not None and memory.silent_at is None:
                found.append(memory.worker)
            elif memory.is_silent or (memory.is_absent and memory.worker and not memory.is_gone):
                found.append(_unanswered(name, memory, WorkerState.UNKNOWN, now))
            elif memory.is_gone and self._is_remembered(memory, now):
                found.append(_unanswered(name, memory, WorkerState.GONE, now))
        return tuple(found)

    def _is_remembered(self, memory: Memory, now: float) -> bool:
        return memory.answered_at is not None and now - memory.answered_at <= self._memory_seconds


def _unanswered(hostname: str, memory: Memory, state: WorkerState, now: float) -> Worker:
    known: dict[str, Any] = {}
    if memory.worker is not None:
        names = ("queues", "registered", "pool", "concurrency", "versions", "pid")
        known = {name: getattr(memory.worker, name) for name in names}
    seen = None if memory.answered_at is None else now - memory.answered_at
    return Worker(hostname=hostname, state=state, source=Source.INSPECTION, last_seen_seconds=seen, **known)


def is_ours_by(worker: Worker, topology: Topology) -> bool:
    """Say whether a worker without celery_health is of this app: by what it consumes and registers."""
    queues, names = frozenset(worker.queues or ()), worker.registered or frozenset()
    if not topology.own_tasks:
        return not queues.isdisjoint(topology.known_queues)
    # Another project may have the same apps installed.
    own = topology.project_tasks or topology.own_tasks
    return (
        not queues.isdisjoint({*topology.expected, *topology.own_queues})
        and not names.isdisjoint(own)
        and not is_other_project(names, topology)
    )
