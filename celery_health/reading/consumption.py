"""Who consumes a queue: one pure function, from all that was read and watched to one value.

Everybody else (rules, doctor, metrics, page) takes that value. What counts as proof:

- a worker of ours that takes messages now, a worker of another application, or the broker's own count;
- where nothing of that is known, a queue from which messages are taken: somebody does it;
- "nobody" is a fact only where the broker counts consumers, or where everybody who may be one was asked;
- since when nobody does is believed as far as this process watched, or as the store says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from celery_health.brokers.base import QueueReading
from celery_health.reading.queue_watch import Watched
from celery_health.records import Source, Worker, WorkerState

#: How long a broker must count no consumer before that is believed over a record.
UNCOUNTED_SECONDS: Final = 2.0
#: Workers in these states are subscribed, and the broker counts them, though they take nothing.
_HANGING = (WorkerState.STUCK, WorkerState.NOT_CONSUMING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """A worker that may live and did not answer."""

    hostname: str
    queues: tuple[str, ...] | None = None
    """What it consumed when it last said so; None when it never did."""
    is_foreign: bool = False
    """It is another application's, as it said when it last answered."""


@dataclass(frozen=True, kw_only=True)
class ConsumerEvidence:
    """All that one reading knows of consumers, of every queue."""

    workers: Sequence[Worker] = ()
    """Ours."""
    strangers: Sequence[Worker] = ()
    """Those of other applications."""
    silent: Sequence[Silent] = ()
    unasked: str | None = None
    """Why workers that keep no record could not be asked at all; None when they were."""
    last_consumed: Mapping[str, float] | None = None
    """Queue → seconds since a worker with a record consumed it; None without a store that answers."""
    store_age_seconds: float | None = None
    """How long the store has kept that."""
    of_interest: Collection[str] | None = None
    """The queues that are asked about; None for all."""

    @cached_property
    def takers(self) -> Mapping[str, Sequence[Worker]]:
        """Return queue → our workers that take from it."""
        return self._by_queue(worker for worker in self.workers if worker.state.takes_messages)

    @cached_property
    def idle(self) -> Mapping[str, Sequence[Worker]]:
        """Return queue → our live workers that have it among their queues, and take nothing now."""
        live = (worker for worker in self.workers if worker.state.is_live)
        return self._by_queue(worker for worker in live if not worker.state.takes_messages)

    @cached_property
    def foreign(self) -> Mapping[str, Sequence[Worker]]:
        """Return queue → the workers of other applications that take from it."""
        return self._by_queue(self.strangers)

    def _by_queue(self, workers: Iterable[Worker]) -> Mapping[str, Sequence[Worker]]:
        found: dict[str, list[Worker]] = {}
        wanted = self.of_interest
        for worker in workers:
            for name in worker.queues or ():
                if wanted is None or name in wanted:
                    found.setdefault(name, []).append(worker)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Consumption:
    """Who consumes one queue, since when nobody has, or why that is not known."""

    is_consumed: bool | None
    """None when it is not known: `unknown` says why."""
    workers: tuple[Worker, ...] = ()
    """Ours that take from it."""
    foreign: tuple[str, ...] = ()
    idle: tuple[Worker, ...] = ()
    outdated: tuple[Worker, ...] = ()
    """Ours that took from it by their records, and the broker has counted nobody since."""
    consumers: int | None = None
    """How many there are; None when that is not known."""
    unconsumed_seconds: float | None = None
    """How long nobody has, at least; 0 while somebody does; None when it is not known."""
    by_store: bool = False
    """The store says since when."""
    is_by_store: bool = False
    """It is consumed by workers that keep records, and by nobody else."""
    unknown: str | None = None

    @property
    def is_by_name(self) -> bool:
        """Say whether it is known who consumes it, or by the broker how many do."""
        return bool(self.consumers)


def consumption_of(
    queue: QueueReading, evidence: ConsumerEvidence, watched: Watched, *, age_seconds: float | None = None
) -> Consumption:
    """Return who consumes `queue`.

    Args:
        queue: what the broker says of it.
        evidence: what was read of all who may consume it.
        watched: what this process remembers of it, this reading not included.
        age_seconds: of its oldest message, by its stamp.
    """
    subscribed = evidence.takers.get(queue.name, ())
    outdated = tuple(worker for worker in subscribed if _is_outdated(worker, queue, watched))
    takers = tuple(subscribed) if not outdated else tuple(w for w in subscribed if w not in outdated)
    foreign = tuple(worker.hostname for worker in evidence.foreign.get(queue.name, ()))
    idle = tuple(evidence.idle.get(queue.name, ()))
    counted = None if queue.consumers is None else max(0, queue.consumers - _hanging(idle))
    if takers or foreign or counted:
        return Consumption(
            is_consumed=True,
            workers=takers,
            foreign=foreign,
            idle=idle,
            outdated=outdated,
            consumers=max(len(takers) + len(foreign), counted or 0),
            unconsumed_seconds=0.0,
            is_by_store=not foreign and not counted and all(w.source is Source.HEARTBEATS for w in takers),
        )
    if counted is None:
        if watched.is_drained:
            return Consumption(is_consumed=True, idle=idle, outdated=outdated, unconsumed_seconds=0.0)
        why = _unknown(queue.name, evidence)
        if why is not None:
            return Consumption(is_consumed=None, idle=idle, unknown=why)
    seconds, by_store = _unconsumed(queue, evidence, watched, age_seconds)
    return Consumption(
        is_consumed=False,
        idle=idle,
        outdated=outdated,
        consumers=0,
        unconsumed_seconds=seconds,
        by_store=by_store,
    )


def _is_outdated(worker: Worker, queue: QueueReading, watched: Watched) -> bool:
    """Say whether the broker knows better than a worker's record: it has counted nobody since before that."""
    since = watched.uncounted_seconds
    is_sure = queue.consumers == 0 and since >= UNCOUNTED_SECONDS
    return is_sure and worker.source is Source.HEARTBEATS and (worker.last_seen_seconds or 0.0) > since


def _hanging(idle: Iterable[Worker]) -> int:
    return sum(worker.state in _HANGING for worker in idle)


def _unknown(name: str, evidence: ConsumerEvidence) -> str | None:
    """Return why somebody may consume it whom nobody knows of; None where that is ruled out."""
    known = [one.hostname for one in evidence.silent if one.queues is not None and name in one.queues]
    if known:
        return f"{_listed(known)} consumed it, and did not answer"
    # Where a store knows who used to consume it, a name that nobody ever saw there blinds nothing.
    if name in (evidence.last_consumed or {}):
        return None
    if evidence.unasked is not None:
        return evidence.unasked
    strangers = [one.hostname for one in evidence.silent if one.queues is None]
    return f"{_listed(strangers)} may consume it, and did not answer" if strangers else None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"worker {shown}{more}" if len(names) == 1 else f"workers {shown}{more}"


def _unconsumed(
    queue: QueueReading, evidence: ConsumerEvidence, watched: Watched, age_seconds: float | None
) -> tuple[float, bool]:
    """Return how long nobody has consumed it, at least, and whether the store says so."""
    stamps = evidence.last_consumed
    if stamps is not None and queue.name in stamps:
        # Whoever this process saw consuming it later kept no record.
        return min(stamps[queue.name], watched.consumed_ago), True
    if stamps and queue.ready and evidence.store_age_seconds is not None:
        # Workers report here, and none ever consumed it: what waits there has waited in vain so far.
        vain = min(evidence.store_age_seconds, age_seconds or 0.0, watched.consumed_ago)
        return max(watched.unconsumed_seconds, vain), vain >= watched.unconsumed_seconds and vain > 0.0
    return watched.unconsumed_seconds, False
