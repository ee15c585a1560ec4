"""Which queue each unacknowledged message of a Redis broker came from.

kombu keeps them in one hash for all queues (`kombu/transport/redis.py`, class QoS); an entry is the JSON text
``[message, exchange, routing_key]``. Where it came from follows from the bindings, as for a new message.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from celery_health.connections.exchanges import matches_topic
from celery_health.connections.redis_keys import BoundQueue

#: The end of an entry. The message before it may have been cut off, and is not needed.
_ADDRESS = re.compile(r',\s*("(?:[^"\\]|\\.)*")\s*,\s*("(?:[^"\\]|\\.)*")\s*\]$')


@dataclass(frozen=True, kw_only=True, slots=True)
class UnackedCount:
    """Unacknowledged messages by queue."""

    by_queue: Counter[str]
    ambiguous: frozenset[str]
    """Queues of which no number can be given: an entry may have come from any of several."""

    def of(self, queue: str) -> int | None:
        """Return the number for `queue`, None when it cannot be told."""
        return None if queue in self.ambiguous else self.by_queue[queue]


class Bindings:
    """What is bound to each exchange, asked once in a reading; never for the default exchange."""

    def __init__(self, ask: Callable[[str], Sequence[BoundQueue]]) -> None:
        self._ask = ask
        self._known: dict[str, Sequence[BoundQueue]] = {}

    def queues(self, exchange: str, routing_key: str) -> set[str]:
        """Return the queues that a message so addressed reaches."""
        if not exchange:
            return {routing_key}
        if exchange not in self._known:
            self._known[exchange] = self._ask(exchange)
        return {b.queue for b in self._known[exchange] if _takes(b, routing_key)}


def count_unacked(entries: Iterable[str], bindings: Bindings) -> UnackedCount:
    """Return how many of `entries` (their last 1 KiB each) came from which queue."""
    by_queue: Counter[str] = Counter()
    ambiguous: set[str] = set()
    for (exchange, routing_key), count in Counter(map(address_of, entries)).items():
        queues = bindings.queues(exchange, routing_key)
        if len(queues) == 1:
            by_queue[queues.pop()] += count
        else:
            ambiguous |= queues
    return UnackedCount(by_queue=by_queue, ambiguous=frozenset(ambiguous))


def queue_of(entry: str, bindings: Bindings) -> str | None:
    """Return the queue that an entry came from; None when it may be any of several, or cannot be told."""
    queues = bindings.queues(*address_of(entry))
    return next(iter(queues)) or None if len(queues) == 1 else None


def address_of(entry: str) -> tuple[str, str]:
    """Return the exchange and routing key at the end of an entry; empty texts when it is of another form."""
    found = _ADDRESS.search(entry)
    try:
        return (json.loads(found.group(1)), json.loads(found.group(2))) if found else ("", "")
    except ValueError:  # an escape that JSON does not know
        return "", ""


def _takes(bound: BoundQueue, routing_key: str) -> bool:
    if bound.routing_key == routing_key:
        return True
    return bound.is_pattern and matches_topic(bound.routing_key, routing_key, is_virtual=True)
