"""The queues of which nothing has changed: their states are taken as they were.

Most queues of a large system are empty and consumed, reading after reading, and putting a state together
costs more than asking the broker. A queue is quiet while it is empty, its consumers are known by name, and
none of them holds what it could run, or says anything else of it than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from celery_health.brokers.base import QueueReading
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.records import DueTasks, QueueState

#: What a worker says that goes into the state of a queue; its queues first.
_Said = tuple[
    tuple[str, ...] | None, bool, int | None, Mapping[str, int], Mapping[str, int], Mapping[str, int],
    Mapping[str, DueTasks] | None,
]  # fmt: skip


class Kept(NamedTuple):
    """What is kept of one queue."""

    reading: QueueReading
    expected: tuple[str, ...]
    state: QueueState
    is_by_store: bool
    """Only workers that keep records consume it."""


class QuietQueues:
    """Remembers the states of quiet queues from one reading to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._says: dict[tuple[str, int | None], tuple[_Said, ...]] = {}
        self._others: set[str] = set()
        """Queues of workers that take nothing, and of other applications': their words are not compared."""
        self._touched: set[str] = set()
        self.last_reading_at: float | None = None
        """When all that is kept was last so."""

    def look(self, evidence: ConsumerEvidence) -> None:
        """See which queues anybody says something new of."""
        # Of two workers of one name, in containers with one pid as well, each has its word.
        says: dict[tuple[str, int | None], tuple[_Said, ...]] = {}
        touched: set[str] = set()
        others = {name for worker in evidence.strangers for name in worker.queues or ()}
        for worker in evidence.workers:
            takes = worker.state.takes_messages
            said = (
                worker.queues, takes, worker.concurrency, worker.active_by_queue, worker.reserved_by_queue,
                worker.scheduled_by_queue, worker.due_by_queue,
            )  # fmt: skip
            if not takes:
                others.update(worker.queues or ())
            key = worker.hostname, worker.pid
            says[key] = (*says[key], said) if key in says else (said,)
        known = self._says
        for key, now_said in says.items():
            before = known.get(key)
            if before != now_said:
                touched.update(_queues(now_said), _queues(before or ()))
        for key in known.keys() - says.keys():
            touched.update(_queues(known[key]))
        self._touched = touched | others | self._others
        self._says, self._others = says, others

    def states(
        self,
        queues: Mapping[str, QueueReading],
        names: Sequence[str],
        expected: Mapping[str, tuple[str, ...]],
    ) -> list[QueueState | None]:
        """Return the state that each of `names` still has; None where it is to be put together."""
        kept_of, touched, nobody = self._kept.get, self._touched, ()
        found: list[QueueState | None] = []
        for name in names:
            kept = kept_of(name)
            if (
                kept is not None
                and kept.reading is queues[name]
                and name not in touched
                and kept.expected == expected.get(name, nobody)
            ):
                found.append(kept.state)
            else:
                found.append(None)
        return found

    def forget(self, name: str) -> Kept | None:
        """Forget a queue that is quiet no more; return what was kept of it, if it was until now."""
        return self._kept.pop(name, None)

    def keep(
        self, reading: QueueReading, expected: tuple[str, ...], state: QueueState, *, is_by_store: bool
    ) -> None:
        """Remember the state of a queue, if it is quiet."""
        # What workers hold grows older, whatever they say.
        if reading.ready == 0 and reading.error is None and state.consumers and not state.held:
            self._kept[reading.name] = Kept(reading, expected, state, is_by_store)

    def only(self, names: Mapping[str, object]) -> None:
        """Forget every queue but `names`."""
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}


def _queues(words: Iterable[_Said]) -> set[str]:
    return {name for said in words for name in (*(said[0] or ()), *(said[-1] or ()))}
