"""The queues of which nothing has changed: their states are taken as they were.

Most queues of a large system are empty and consumed, reading after reading, and putting a state together
costs more than asking the broker. A queue is quiet while it is empty, its consumers are known by name, and
none of them holds what it could run, or says anything else of it than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from celery_health.brokers.base import QueueReading
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.records import QueueState

#: What a worker says that goes into the state of a queue; its queues first, what it could run last.
_said: Final = attrgetter(
    "queues", "state", "concurrency", "active_by_queue", "reserved_by_queue", "scheduled_by_queue",
    "due_by_queue",
)  # fmt: skip
_Said = tuple[Any, ...]


class QuietQueues:
    """Remembers the states of quiet queues from one reading to the next."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        # By place, None where a queue is not quiet: ten thousand are looked at in each reading.
        self._readings: list[QueueReading | None] = []
        self._states: list[QueueState | None] = []
        self._by_store: list[bool] = []
        """Only workers that keep records consume it."""
        self._expected: Mapping[str, tuple[str, ...]] = {}
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
        known = self._says
        for worker in evidence.workers:
            said = _said(worker)
            if not worker.state.takes_messages:
                others.update(worker.queues or ())
            key = worker.hostname, worker.pid
            if key in says:
                says[key] = (*says[key], said)
                continue
            # Most say what they said, in the very same objects.
            before = known.get(key)
            says[key] = before if before is not None and before[0] == said and len(before) == 1 else (said,)
        for key, now_said in says.items():
            before = known.get(key)
            if before is not now_said and before != now_said:
                touched.update(_queues(now_said), _queues(before or ()))
        for key in known.keys() - says.keys():
            touched.update(_queues(known[key]))
        self._touched = touched | others | self._others
        self._says, self._others = says, others

    def only(self, names: Sequence[str]) -> None:
        """Look at `names` from now on, in this order, and forget every other queue."""
        old = [self._places.get(name) for name in names]
        self._readings = [None if place is None else self._readings[place] for place in old]
        self._states = [None if place is None else self._states[place] for place in old]
        self._by_store = [place is not None and self._by_store[place] for place in old]
        self._places = {name: place for place, name in enumerate(names)}

    def states(
        self, readings: Iterable[QueueReading], expected: Mapping[str, tuple[str, ...]]
    ) -> list[QueueState | None]:
        """Return the state that each queue still has; None where it is to be put together.

        Args:
            readings: what the broker says of each queue of `only` now, in that order.
            expected: why somebody should consume them.
        """
        found = self._states.copy()
        for place, (before, now) in enumerate(zip(self._readings, readings, strict=True)):
            if before is not now:
                found[place] = None
        touched = self._touched
        if expected != self._expected:
            both = self._expected.keys() | expected.keys()
            touched = touched | {name for name in both if expected.get(name) != self._expected.get(name)}
            self._expected = expected
        for name in touched:
            if (at := self._places.get(name)) is not None:
                found[at] = None
        return found

    def forget(self, place: int) -> bool | None:
        """Forget the queue at a place, which is quiet no more.

        Returns:
            Whether only workers that keep records consumed it; None where it was not quiet until now.
        """
        was_quiet = self._readings[place] is not None
        self._readings[place] = self._states[place] = None
        return self._by_store[place] if was_quiet else None

    def keep(self, place: int, reading: QueueReading, state: QueueState, *, is_by_store: bool) -> None:
        """Remember the state of the queue at a place, if it is quiet."""
        # What workers hold grows older, whatever they say.
        if reading.ready == 0 and reading.error is None and state.consumers and not state.held:
            self._readings[place], self._states[place] = reading, state
            self._by_store[place] = is_by_store


def _queues(words: Iterable[_Said]) -> set[str]:
    return {name for said in words for name in (*(said[0] or ()), *(said[-1] or ()))}
