"""The queues of which nothing has changed: their states are taken as they were.

Most queues of a large system are empty and consumed, reading after reading, and putting a state together
costs more than asking the broker. A queue is quiet while it is empty, its consumers are known by name, and
none of them holds what it could run, or says anything else of it than before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from celery_health.brokers.base import QueueReading
from celery_health.reading.consumption import ConsumerEvidence
from celery_health.records import QueueState

#: What a worker says that goes into the state of a queue; its queues first, what it could run last.
_said: Final = attrgetter(
    "queues", "state", "concurrency", "active_by_queue", "reserved_by_queue", "scheduled_by_queue",
    "due_by_queue",
)  # fmt: skip
_Said = tuple[Any, ...]


class Kept(NamedTuple):
    """What is kept of one queue."""

    state: QueueState
    is_by_store: bool
    """Only workers that keep records consume it."""


class QuietQueues:
    """Remembers the states of quiet queues from one reading to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        # Of the same queues, to look at ten thousand at once: an attribute of each takes three times as long.
        self._readings: dict[str, QueueReading] = {}
        self._states: dict[str, QueueState] = {}
        self._expected: Mapping[str, tuple[str, ...]] = {}
        self._places: dict[str, int] = {}
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

    def states(
        self, queues: Mapping[str, QueueReading], expected: Mapping[str, tuple[str, ...]]
    ) -> list[QueueState | None]:
        """Return the state that each of the queues of `only` still has; None where it is to be put together.

        Args:
            queues: what the broker says of each of them now.
            expected: why somebody should consume them.
        """
        names = self._places
        found = list(map(self._states.get, names))
        before, now = map(self._readings.get, names), map(queues.get, names)
        for place, (was, is_) in enumerate(zip(before, now, strict=True)):
            if was is not is_:
                found[place] = None
        touched = self._touched
        if expected != self._expected:
            both = self._expected.keys() | expected.keys()
            touched = touched | {name for name in both if expected.get(name) != self._expected.get(name)}
            self._expected = expected
        for name in touched:
            if (at := names.get(name)) is not None:
                found[at] = None
        return found

    def forget(self, name: str) -> Kept | None:
        """Forget a queue that is quiet no more; return what was kept of it, if it was until now."""
        self._readings.pop(name, None)
        self._states.pop(name, None)
        return self._kept.pop(name, None)

    def keep(self, reading: QueueReading, state: QueueState, *, is_by_store: bool) -> None:
        """Remember the state of a queue, if it is quiet."""
        # What workers hold grows older, whatever they say.
        if reading.ready == 0 and reading.error is None and state.consumers and not state.held:
            name = reading.name
            self._kept[name] = Kept(state, is_by_store)
            self._readings[name], self._states[name] = reading, state

    def only(self, names: Sequence[str]) -> None:
        """Look at `names` from now on, in this order, and forget every other queue."""
        self._places = {name: place for place, name in enumerate(names)}
        for name in self._kept.keys() - self._places.keys():
            self.forget(name)


def _queues(words: Iterable[_Said]) -> set[str]:
    return {name for said in words for name in (*(said[0] or ()), *(said[-1] or ()))}
