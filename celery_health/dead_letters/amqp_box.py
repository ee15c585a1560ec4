"""Dead letters on RabbitMQ: a durable classic queue per queue, declared by whoever writes the first letter.

AMQP can show a message only by taking it. What is looked at is taken without acknowledgement, and comes back
to its place when the look is over, also when this process is killed; meanwhile another look shows less.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakValueDictionary

from amqp import Message, NotFound
from amqp.exceptions import AMQPError, MessageNacked

from celery_health.brokers.amqp import AmqpBroker
from celery_health.brokers.base import BrokerReading
from celery_health.conf import Settings
from celery_health.connections.kombu import BoundedConnection, discard, establish, unconnected
from celery_health.connections.link import Link
from celery_health.connections.urls import secrets_of
from celery_health.dead_letters.amqp_writing import NOT_SENT, AmqpWriting
from celery_health.dead_letters.boxes import Batch, Box, Sending, Stop, Stored, UnwritableError, Visit, Walk
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded, LateBrokerError
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

#: What can be shown of one queue: so many letters and bytes are held at once; one more letter may come over.
REACH_LETTERS: Final = 1000
REACH_BYTES: Final = 64 * 1024 * 1024
#: A queue that did not exist is not asked for again so soon: each question is an error in the broker's log.
MISSING_MEMORY_SECONDS: Final = 60.0
#: How long a polite farewell to the broker may take.
CLOSE_SECONDS: Final = 0.25
#: How long a look waits until what it has put back is there.
PUT_BACK_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.005
#: No call of ours takes longer, however late its own deadline is.
LONGEST_SECONDS: Final = 60.0

#: What of its time a call waits for others of this process that look at the same letters.
_SHARE_OF_WAIT: Final = 1 / 3
#: Queue of dead letters → held by who looks at it in this process.
_LOOKS: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

#: What a connection may raise.
_FAILURES: Final = (AMQPError, MessageNacked, OSError, DeadlineExceeded)
#: AMQP's reply code for a message that no queue took.
_NO_ROUTE: Final = 312


class AmqpBox(Box):
    """RabbitMQ."""

    knows_its_queues: ClassVar[bool] = False
    looking_marks: ClassVar[bool] = True

    def __init__(self, app: Celery, settings: Settings) -> None:
        super().__init__(app, settings)
        self._link = Link(app, LONGEST_SECONDS)
        self._writing = AmqpWriting(self.max_length)
        self._counter = AmqpBroker(app, LONGEST_SECONDS)
        self._missing: dict[str, float] = {}
        """Queue of dead letters → until when (monotonic seconds) it is not asked for."""

    def write(self, batch: Batch, deadline: Deadline) -> int:
        """Add letters with confirmation, and return how many of the oldest went for them."""
        dead = self.dead(batch.queue)
        written = self._link.run(
            lambda connection: self._writing.write(connection, dead, batch.letters), deadline
        )
        if isinstance(written, UnwritableError):
            raise written
        return written

    def sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters of `queues`: RabbitMQ cannot be asked which others there are."""
        reading = self._counter.read([self.dead(queue) for queue in queues], deadline)
        if not reading.reachable:
            raise _unread(reading)
        return {queue: reading.queues[self.dead(queue)].ready for queue in queues}

    def known_sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters of those of `queues` that have a queue of dead letters."""
        now = time.monotonic()
        self._missing = {name: until for name, until in self._missing.items() if until > now}
        asked = {self.dead(queue): queue for queue in queues if self.dead(queue) not in self._missing}
        reading = self._counter.read(list(asked), deadline)
        if not reading.reachable:
            raise _unread(reading)
        for name in asked:
            if not reading.queues[name].exists:
                self._missing[name] = now + MISSING_MEMORY_SECONDS
        return {
            queue: reading.queues[name].ready for name, queue in asked.items() if name not in self._missing
        }

    def walk(
        self,
        queue: str,
        visit: Visit,
        deadline: Callable[[], Deadline],
        sent: Callable[[bool], None] = lambda _: None,
    ) -> Walk:
        """Show the first letters of `queue`; see the base class and `REACH_LETTERS`."""
        dead = self.dead(queue)
        with _alone(dead, deadline()), self._connected(deadline) as connection:
            try:
                size = _ready(_channel(connection), dead)
            except NotFound:
                return Walk(size=0, shown=0, complete=True)
            taking, sending = _channel(connection), _channel(connection)
            shown = went = held_bytes = 0
            reached = everything = True
            while shown < size:
                if shown - went >= REACH_LETTERS or held_bytes > REACH_BYTES:
                    reached = False
                    break
                connection.allow(deadline())
                message = taking.basic_get(dead)
                if message is None:
                    break
                stored = _stored(message)
                shown += 1
                said = visit(stored)
                if isinstance(said, Stop):
                    everything = False
                    break
                if said is None:
                    held_bytes += stored.size_bytes
                    continue
                connection.allow(deadline())
                _send(sending, stored, said)
                taking.basic_ack(stored.token)
                went += 1
                # Acknowledgements are not confirmed: the next answer shows that this one has arrived.
                sent(True)
            until = deadline()
            until = until.within(min(PUT_BACK_SECONDS, until.remaining() / 2))
            left = _put_back(connection, taking, dead, shown - went, until)
        disturbed = reached and everything and shown < size
        return Walk(
            size=size, shown=shown, complete=reached and not disturbed, disturbed=disturbed, left=left
        )

    def walk_back(
        self,
        queue: str,
        visit: Callable[[Stored], Stop | None],
        deadline: Callable[[], Deadline],
        skip: int = 0,
    ) -> Walk:
        """Show the first letters of `queue`, the newest of them first, and count those there afterwards."""
        walk = super().walk_back(queue, visit, deadline, skip)
        if walk.left is None or walk.left <= walk.size:
            return walk
        # Others that looked when it began have put theirs back since, or some have come.
        return replace(walk, size=walk.left, complete=False, disturbed=walk.complete or walk.disturbed)

    def purge(self, queue: str, deadline: Deadline) -> int:
        """Remove all letters of `queue`, and return how many there were; those being looked at stay."""
        dead = self.dead(queue)
        with _alone(dead, deadline):
            return self._link.run(lambda connection: _purge(connection, dead), deadline)

    def close(self) -> None:
        """Close the connections that are open."""
        self._link.close()
        self._counter.close()

    @contextmanager
    def _connected(self, deadline: Callable[[], Deadline]) -> Iterator[BoundedConnection]:
        """Give a connection of its own: its end brings back what was taken and not acknowledged."""
        connection = unconnected(self.app)
        try:
            establish(connection, deadline())
            connection.allow(deadline())
            yield connection
            connection.allow(Deadline.after(CLOSE_SECONDS))
            closing: Any = connection
            closing.release()
        except BrokerError:
            raise
        except _FAILURES as error:
            # "from None": a traceback that is logged prints its causes, and their messages are not masked.
            raise BrokerError(describe_error(error, secrets_of(connection))) from None
        finally:
            discard(connection)


@contextmanager
def _alone(dead: str, deadline: Deadline) -> Iterator[None]:
    """Keep out the other looks of this process, which would see fewer letters each; go on when it is late."""
    lock = _LOOKS.setdefault(dead, threading.Lock())
    is_alone = lock.acquire(timeout=deadline.remaining() * _SHARE_OF_WAIT)
    try:
        yield
    finally:
        if is_alone:
            lock.release()


def _put_back(
    connection: BoundedConnection, taking: Any, dead: str, held: int, until: Deadline
) -> int | None:
    """Put back the `held` letters that were looked at, and return how many there are then; None if unknown.

    The end of the connection does so too, but some time after it is closed.
    """
    with suppress(*_FAILURES):
        connection.allow(until)
        there = _ready(taking, dead) + held
        taking.basic_recover(requeue=True)
        # That is not confirmed in order: a count may overtake it.
        while _ready(taking, dead) < there and until.remaining() > _POLL_SECONDS:
            time.sleep(_POLL_SECONDS)
        return there
    return None


def _ready(channel: Any, dead: str) -> int:
    """Return how many letters there are that nobody looks at."""
    return int(channel.queue_declare(dead, passive=True).message_count)


def _unread(reading: BrokerReading) -> BrokerError:
    if reading.late:
        return LateBrokerError(reading.late)
    return BrokerError(reading.error or "The broker does not answer.")


def _channel(connection: BoundedConnection) -> Any:
    """Return a new channel that leaves bodies as bytes."""
    raw: Any = getattr(connection, "_connection", None)
    if raw is None or not raw.connected:
        raise ConnectionResetError("The connection to the broker is closed.")
    channel = raw.Channel(raw, auto_decode=False)
    channel.open()
    return channel


def _stored(message: Any) -> Stored:
    properties: Mapping[str, Any] = message.properties
    headers = properties.get("application_headers")
    body = message.body
    body = body.encode(errors="surrogatepass") if isinstance(body, str) else bytes(body)
    return Stored(
        token=message.delivery_tag,
        body=body,
        headers=headers if isinstance(headers, dict) else {},
        properties=properties,
        content_type=_string(properties.get("content_type")),
        content_encoding=_string(properties.get("content_encoding")),
        size_bytes=len(body),
    )


def _send(channel: Any, stored: Stored, sending: Sending) -> None:
    """Publish a letter with confirmation, so that it lies in its queue when this returns."""
    properties = {name: value for name, value in stored.properties.items() if name not in NOT_SENT}
    properties["application_headers"] = dict(sending.headers)
    if sending.expiration is not None:
        properties["expiration"] = sending.expiration
    message = Message(stored.body, **properties)
    try:
        channel.basic_publish_confirm(message, sending.exchange, sending.routing_key, mandatory=True)
    except AMQPError as error:
        if error.reply_code == _NO_ROUTE:
            raise BrokerError(
                f"Queue '{sending.queue}' does not exist. Start a worker that consumes it, which declares it."
            ) from None
        raise


def _purge(connection: BoundedConnection, dead: str) -> int:
    channel = _channel(connection)
    try:
        count = int(channel.queue_purge(dead))
    except NotFound:
        return 0
    channel.close()
    return count


def _string(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
