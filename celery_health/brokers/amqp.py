"""Read a RabbitMQ broker: passive declares, pipelined, so that any number of queues is one round trip.

A passive declare of a queue that does not exist closes its channel and writes an error into the broker's log:
such queues get a channel of their own, and are not asked again for a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from amqp import spec

from celery_health.brokers.amqp_writes import AmqpWrites
from celery_health.brokers.base import (
    Broker,
    BrokerReading,
    Capabilities,
    Mark,
    QueueReading,
    Shared,
    unanswered,
)
from celery_health.connections.kombu import BoundedConnection
from celery_health.connections.link import Link
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError
from celery_health.records import Writes

if TYPE_CHECKING:
    from celery import Celery

#: How long a queue that does not exist, or that we may not ask for, is not asked for again.
REFUSED_MEMORY_SECONDS: Final = 5.0
#: Channels open at once for queues that may be missing; the server's default limit is 2047 a connection.
MAX_LANES: Final = 100
#: What an AMQP name may hold.
MAX_NAME_BYTES: Final = 255
_TOO_LONG: Final = "A queue of RabbitMQ cannot have a name of more than 255 bytes."
#: AMQP's reply code for a queue that does not exist.
NOT_FOUND: Final = 404
#: Begins what is said of one that is there, and another connection's own.
RESOURCE_LOCKED: Final = "405 "


class AmqpBroker(Broker):
    """RabbitMQ, or another broker that speaks AMQP 0-9-1, through py-amqp."""

    capabilities = Capabilities(
        supports_length=True, supports_consumer_count=True, supports_remote_control=True, mark=Mark.MAILBOX
    )
    transport = "amqp"

    def __init__(self, app: Celery, deadline_seconds: float, shared: Shared | None = None) -> None:
        self._link = Link(app, deadline_seconds)
        self._own = Shared() if shared is None else None
        self._writes = (self._own or shared or Shared()).writes(lambda: AmqpWrites(app, deadline_seconds))
        self.url = self._link.url
        self._channel: Any = None
        """Kept between readings, while no queue on it was missing."""
        self._refused: dict[str, tuple[float, QueueReading]] = {}
        """Queue → until when (monotonic seconds) it is not asked for, and what was said of it."""

    def read(self, queues: Sequence[str], deadline: Deadline) -> BrokerReading:
        """Read all `queues` in one round trip, and one more for each hundred that do not exist."""
        started = time.monotonic()
        suspects = set(self._refused)
        self._refused = {name: entry for name, entry in self._refused.items() if entry[0] > started}
        asked = [name for name in dict.fromkeys(queues) if name not in self._refused]
        # One name that AMQP cannot hold must not keep the others from being read.
        names = [name for name in asked if len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES]
        try:
            answers = self._link.run(lambda connection: self._ask(connection, names, suspects), deadline)
        except BrokerError as error:
            return unanswered(error, time.monotonic() - started)
        for name, answer in answers.items():
            if not answer.exists or answer.error is not None:
                self._refused[name] = (started + REFUSED_MEMORY_SECONDS, answer)
        known = {name: entry[1] for name, entry in self._refused.items()} | answers
        return BrokerReading(
            reachable=True,
            queues={name: known.get(name) or QueueReading(name=name, error=_TOO_LONG) for name in queues},
            latency_seconds=time.monotonic() - started,
            writes=self._writes.ask(deadline),
        )

    def present(self, marks: Collection[str], deadline: Deadline) -> Mapping[str, float | None] | None:
        """Return which queues named so exist; None when the broker did not say.

        Each that does not exist is an error in the broker's log: ask for few, and seldom.
        """
        try:
            answers = self._link.run(lambda connection: _declare_each(_raw(connection), marks), deadline)
        except BrokerError:
            return None
        found: dict[str, float | None] = {}
        for name, answer in answers.items():
            if answer.error is not None and not answer.error.startswith(RESOURCE_LOCKED):
                return None
            if answer.exists:
                found[name] = None
        return found

    def ping(self, deadline: Deadline) -> Writes:
        """Make one round trip, and return whether the broker takes messages, as it last said.

        Raises:
            BrokerError: the broker did not answer within `deadline`.
        """
        self._link.run(lambda connection: _raw(connection).channel().close(), deadline)
        return self._writes.ask(deadline)

    def close(self) -> None:
        """Close the connection, if one is open."""
        self._channel = None
        self._link.close()
        if self._own is not None:
            self._own.close()

    def _ask(
        self, connection: BoundedConnection, names: Sequence[str], suspects: Collection[str]
    ) -> dict[str, QueueReading]:
        """Return a reading of each of `names`. `suspects` were missing, and get channels of their own."""
        raw = _raw(connection)
        if not names:  # what is remembered proves nothing of the broker now
            raw.channel().close()
            return {}
        kept, self._channel = self._channel, None
        if kept is None or kept.connection is not raw or not kept.is_open:
            kept = raw.channel()
        main = _Lane(channel=kept, names=[name for name in names if name not in suspects])
        lanes = [main, *_open_lanes(raw, [name for name in names if name in suspects])]
        answers: dict[str, QueueReading] = {}
        while lanes:
            _fly(raw, lanes)
            unanswered: list[str] = []
            for lane in lanes:
                answers |= lane.answers
                unanswered += lane.names
                if lane is not main and not lane.closed:
                    lane.channel.close()
            lanes = _open_lanes(raw, unanswered)
        if not main.closed:
            self._channel = kept
        return answers


@dataclass(kw_only=True, eq=False)
class _Lane:
    """A channel with declares under way; the broker answers them in order."""

    channel: Any
    names: list[str]
    """Not answered yet. Those behind one that closed the channel never will be."""
    answers: dict[str, QueueReading] = field(default_factory=dict)
    closed: bool = False

    @property
    def done(self) -> bool:
        return self.closed or not self.names

    def send(self) -> None:
        self.channel._callbacks[spec.Queue.DeclareOk] = self._on_ok
        self.channel._callbacks[spec.Channel.Close] = self._on_close
        for name in self.names:
            # ticket, queue, passive, durable, exclusive, auto_delete, nowait, arguments
            arguments: tuple[Any, ...] = (0, name, True, False, False, False, False, {})
            self.channel.send_method(spec.Queue.Declare, "BsbbbbbF", arguments)

    def _on_ok(self, _queue: str, ready: int, consumers: int) -> None:
        name = self.names.pop(0)
        self.answers[name] = QueueReading(name=name, ready=ready, consumers=consumers)

    def _on_close(self, code: int, text: str, _class_id: int, _method_id: int) -> None:
        # Not py-amqp's own handler: that opens the channel again, with a wait for each.
        self.closed = True
        self.channel.send_method(spec.Channel.CloseOk)
        self.channel.collect()
        if self.names:
            name = self.names.pop(0)
            self.answers[name] = (
                QueueReading(name=name, ready=0, consumers=0, exists=False)
                if code == NOT_FOUND
                else QueueReading(name=name, error=f"{code} {text}")
            )


def _declare_each(raw: Any, names: Collection[str]) -> dict[str, QueueReading]:
    """Return a reading of each of `names`, at most `MAX_LANES`: each on a channel that it may close."""
    lanes = _open_lanes(raw, tuple(dict.fromkeys(names))[:MAX_LANES])
    _fly(raw, lanes)
    for lane in lanes:
        if not lane.closed:
            lane.channel.close()
    return {name: answer for lane in lanes for name, answer in lane.answers.items()}


def _fly(raw: Any, lanes: Sequence[_Lane]) -> None:
    """Send the declares of all lanes, then collect the answers."""
    for lane in lanes:
        lane.send()
    while not all(lane.done for lane in lanes):
        raw.drain_events()


def _open_lanes(raw: Any, names: Sequence[str]) -> list[_Lane]:
    """Share `names` out over channels whose opening is under way: what follows need not wait for it."""
    count = min(MAX_LANES, len(names))
    lanes = []
    for number in range(count):
        channel = raw.Channel(raw)
        channel.send_method(spec.Channel.Open, "s", ("",))
        lanes.append(_Lane(channel=channel, names=list(names[number::count])))
    return lanes


def _raw(connection: BoundedConnection) -> Any:
    """Return py-amqp's connection; kombu's own way to it would reconnect, with pauses, when it is closed."""
    raw = getattr(connection, "_connection", None)
    if raw is None or not raw.connected:
        raise ConnectionResetError("The connection to the broker is closed.")
    return raw
