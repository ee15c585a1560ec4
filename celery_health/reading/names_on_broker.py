"""Queues that each process names anew: asked for as the broker calls them, told as one. Pure.

A broadcast waits in a queue of each worker's own. On Redis nobody reads a list of that name, and messages
that lie there were misrouted; what was sent straight to a list of the one name lies as far from every worker.
RabbitMQ is not asked for the one name: each queue that it does not have is an error in its log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from celery_health.brokers.base import BrokerReading, QueueReading
from celery_health.connections.shared_names import shared_name_told
from celery_health.reading.fields import name, rows
from celery_health.records import Worker

#: Names of one queue that the broker is asked for; more workers than that are told of by the first.
MOST_NAMES = 500


def queues_told(
    active_queues: object, hostname: str
) -> tuple[list[str] | None, Mapping[str, tuple[str, ...]]]:
    """Return the queues that a worker listed (``active_queues``), and the names of those that have others."""
    if not isinstance(active_queues, list | tuple):
        return None, {}
    found: dict[str, list[str]] = {}
    for row in rows(active_queues):
        real = name(row.get("name"))
        found.setdefault(name(shared_name_told(row, hostname)) or real, []).append(real)
    return [*found], {one: tuple(reals) for one, reals in found.items() if reals != [one]}


class NamesOnBroker:
    """What the broker calls the queues that have several names."""

    def __init__(
        self,
        workers: Iterable[Worker],
        shared: Collection[str],
        *,
        is_amqp: bool,
        unread: Collection[str] = (),
    ) -> None:
        """Take the names from live `workers`.

        Args:
            workers: all that are known.
            shared: queues of which nobody may have told yet.
            is_amqp: the broker keeps exchanges.
            unread: queues whose names on the broker nobody reads, since they get all by another way.
        """
        self._unread = frozenset(unread)
        found: dict[str, dict[str, None]] = {one: {} for one in shared}
        for worker in workers:
            if worker.state.is_live:
                for one, reals in worker.names_on_broker.items():
                    found.setdefault(one, {}).update(dict.fromkeys(reals))
        self._names = {one: tuple(reals)[:MOST_NAMES] for one, reals in found.items()}
        self._is_amqp = is_amqp

    def asked(self, queues: Iterable[str]) -> list[str]:
        """Return the names to ask for, sorted, in place of `queues`."""
        wanted: set[str] = set()
        for queue in queues:
            names = self._names.get(queue)
            if names is None or not self._is_amqp:
                wanted.add(queue)
            wanted.update(names or ())
        return sorted(wanted)

    def together(self, reading: BrokerReading, queues: Iterable[str]) -> BrokerReading:
        """Return the reading of `queues`, of one that was `asked` for."""
        if not self._names or reading.is_lacking:
            return reading
        found = dict(reading.queues)
        hidden = {real for reals in self._names.values() for real in reals} - {*queues}
        merged = {
            queue: _together(queue, [found[one] for one in (queue, *self._names[queue]) if one in found])
            for queue in queues
            if queue in self._names
        }
        for queue in self._unread.intersection(merged):
            lying = sum(found[one].ready or 0 for one in self._names[queue] if one in found)
            if lying:
                merged[queue] = replace(merged[queue], unread=lying)
        kept = {one: read for one, read in found.items() if one not in hidden}
        return replace(reading, queues={**kept, **merged})


def _together(queue: str, parts: list[QueueReading]) -> QueueReading:
    """Return what several queues are as one; where none is known, nothing waits: nobody listens."""
    readable = [part for part in parts if part.ready is not None]
    if parts and not readable:
        return replace(parts[0], name=queue)
    consumers = [part.consumers for part in readable if part.consumers is not None]
    unacked = [part.unacked for part in readable if part.unacked is not None]
    filled = [part for part in readable if part.ready]
    stamped = [part for part in filled if part.oldest_published_at is not None]
    oldest = min(stamped, key=lambda part: part.oldest_published_at or 0.0) if stamped else None
    oldest = oldest or (filled[0] if filled else None)
    return QueueReading(
        name=queue,
        ready=sum(part.ready or 0 for part in readable),
        consumers=sum(consumers) if consumers else None,
        unacked=sum(unacked) if unacked else None,
        oldest_published_at=None if oldest is None else oldest.oldest_published_at,
        oldest_message_id=None if oldest is None else oldest.oldest_message_id,
        oldest_has_eta=oldest is not None and oldest.oldest_has_eta,
    )
