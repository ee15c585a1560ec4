"""The queues of which nothing has changed: their states are taken as they were.

Most queues of a large system are empty and consumed, reading after reading, and putting a state together
costs more than asking the broker. A queue is quiet while it is empty, its consumers are known by name, and
none of them says anything else of it than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from celery_health.brokers.base import QueueReading
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.records import QueueState


class _Kept(NamedTuple):
    reading: QueueReading
    expected: tuple[str, ...]
    state: QueueState


class QuietQueues:
    """Remembers the states of quiet queues from one reading to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._says: dict[tuple[str, int | None], tuple[object, ...]] = {}
        self._others: frozenset[str] = frozenset()
        self._touched: frozenset[str] = frozenset()
        self.last_reading_at: float | None = None
        """When all that is kept was last so."""

    def look(self, evidence: ConsumerEvidence) -> None:
        """See which queues anybody says something new of."""
        says: dict[tuple[str, int | None], tuple[object, ...]] = {}
        touched: set[str] = set()
        for worker in evidence.workers:
            key = worker.hostname, worker.pid
            said: tuple[object, ...] = (
                worker.queues, worker.state.takes_messages, worker.concurrency, worker.active_by_queue,
                worker.reserved_by_queue, worker.scheduled_by_queue,
            )  # fmt: skip
            before = self._says.get(key)
            if before != said or key in says:
                touched.update(worker.queues or ())
                touched.update(_queues(before))
            says[key] = said
        for key, said in self._says.items():
            if key not in says:
                touched.update(_queues(said))
        others = frozenset([*evidence.idle, *evidence.foreign])
        self._touched = frozenset(touched) | others | self._others
        self._says, self._others = says, others

    def state(self, reading: QueueReading, expected: tuple[str, ...]) -> QueueState | None:
        """Return the state that a queue still has; None where it is to be put together."""
        kept = self._kept.get(reading.name)
        if kept is None or kept.reading is not reading or reading.name in self._touched:
            return None
        return kept.state if kept.expected == expected else None

    def forget(self, name: str) -> bool:
        """Forget a queue that is quiet no more; say whether it was until now."""
        return self._kept.pop(name, None) is not None

    def keep(self, reading: QueueReading, expected: tuple[str, ...], state: QueueState) -> None:
        """Remember the state of a queue, if it is quiet."""
        if (
            reading.ready == 0
            and reading.error is None
            and state.consumers
            and state.oldest_age_seconds is None
        ):
            self._kept[reading.name] = _Kept(reading, expected, state)

    def only(self, names: Mapping[str, object]) -> None:
        """Forget every queue but `names`."""
        if len(self._kept) > len(names) or not all(map(names.__contains__, self._kept)):
            self._kept = {name: kept for name, kept in self._kept.items() if name in names}


def _queues(said: tuple[object, ...] | None) -> tuple[str, ...]:
    queues = said[0] if said else None
    return queues if isinstance(queues, tuple) else ()
