"""Write dead letters to RabbitMQ: a batch under way at once, each confirmed, then the oldest cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from amqp import Message
from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed, ResourceLocked
from kombu.compression import compress

from celery_health.connections.kombu import BoundedConnection
from celery_health.dead_letters.boxes import UnwritableError
from celery_health.dead_letters.capture import Captured
from celery_health.dead_letters.envelope import HEADER, encode_reason
from celery_health.text.masking import describe_error

#: Classic whatever the virtual host's default: a quorum queue drops what was looked at too often.
QUEUE_ARGUMENTS: Final[Mapping[str, Any]] = {"x-queue-type": "classic"}
#: What RabbitMQ would refuse from another user, would let expire, or sets itself.
NOT_SENT: Final = frozenset({"application_headers", "expiration", "user_id", "cluster_id"})
#: What the frame of a message's properties holds besides them.
_FRAME_OVERHEAD: Final = 64
#: Answers that come again however often one asks.
_REFUSALS: Final = (AccessRefused, NotAllowed, PreconditionFailed, ResourceLocked)


class AmqpWriting:
    """What writing remembers from one attempt to the next, so that the next repeats little.

    A letter whose confirmation was lost with its connection is there twice, under the same id.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._confirmed: set[str] = set()
        """Ids of letters of a batch that has not been written to its end."""
        self._cut = 0
        """Letters that went for those of such a batch."""

    def write(
        self, connection: BoundedConnection, dead: str, letters: Sequence[Captured]
    ) -> int | UnwritableError:
        """Add letters to the queue `dead`, and return how many of the oldest went for them.

        An `UnwritableError` is returned, since the connection is none the worse for it.

        Raises:
            Exception: whatever the connection raises when it breaks or the time is up.
        """
        raw: Any = getattr(connection, "_connection", None)
        if raw is None or not raw.connected:
            raise ConnectionResetError("The connection to the broker is closed.")
        asking, publishing = _open(raw), _open(raw)
        try:
            _declare(asking, dead)
            self._publish(raw, publishing, dead, [o for o in letters if o.reason.id not in self._confirmed])
            over = asking.queue_declare(dead, passive=True).message_count - self._max_length
            while self._cut < over and asking.basic_get(dead, no_ack=True) is not None:
                self._cut += 1
        except _REFUSALS as error:
            return UnwritableError(f"The broker refuses it in {dead!r}: {describe_error(error)}")
        except UnwritableError as error:
            return error
        finally:
            for channel in (asking, publishing):
                with suppress(Exception):
                    channel.close()
        self._confirmed -= {letter.reason.id for letter in letters}
        cut, self._cut = self._cut, 0
        return cut

    def _publish(self, raw: Any, channel: Any, dead: str, letters: Sequence[Captured]) -> None:
        """Publish all, then wait for the confirmation of each."""
        messages = [_message(letter, raw.frame_max) for letter in letters]
        channel.confirm_select()
        waiting: dict[int, str] = {}
        refused: list[str] = []

        def acknowledged(tag: int, multiple: bool) -> None:
            for number in [n for n in waiting if n <= tag] if multiple else [tag]:
                self._confirmed.add(waiting.pop(number))

        channel.events["basic_ack"].add(acknowledged)
        channel.events["basic_nack"].add(lambda tag, multiple: refused.append(f"nack of {tag}"))
        channel.events["basic_return"].add(lambda error, *rest: refused.append(str(error)))
        for number, (letter, message) in enumerate(zip(letters, messages, strict=True), start=1):
            waiting[number] = letter.reason.id
            # Not basic_publish: where the app asks for confirmations, that waits for each.
            channel._basic_publish(message, "", dead, mandatory=True)
        while waiting and not refused:
            raw.drain_events()
        if refused:
            # What was returned is confirmed, too; written it is not.
            self._confirmed -= {letter.reason.id for letter in letters}
            raise ConnectionResetError(f"The broker did not take a letter into {dead!r}: {refused[0]}")


def _open(raw: Any) -> Any:
    channel = raw.Channel(raw, auto_decode=False)
    channel.open()
    return channel


def _declare(channel: Any, dead: str) -> None:
    """See that the queue is there, whatever it was declared with."""
    try:
        channel.queue_declare(dead, passive=True)
    except NotFound:  # py-amqp has opened the channel again
        channel.queue_declare(dead, durable=True, auto_delete=False, arguments=dict(QUEUE_ARGUMENTS))


def _message(letter: Captured, frame_max: int) -> Any:
    """Return the message to publish: the original one, and why it is here.

    Raises:
        UnwritableError: it is none of AMQP's, or its headers are more than a frame holds.
    """
    if letter.raw is not None or not isinstance(letter.body, bytes | str):
        raise UnwritableError("A letter that did not come from RabbitMQ cannot be kept on one.")
    body = _packed(letter)
    kept = {name: value for name, value in letter.properties.items() if name not in NOT_SENT}
    for brief in (False, True):
        headers = {**letter.headers, HEADER: encode_reason(letter.reason, brief=brief)}
        message: Any = Message(body, **{**kept, "delivery_mode": 2, "application_headers": headers})
        # The properties travel in one frame: RabbitMQ closes the connection on a larger one.
        if len(message._serialize_properties()) + _FRAME_OVERHEAD <= frame_max:
            return message
    raise UnwritableError(f"Its headers are more than a frame holds ({frame_max} bytes).")


def _packed(letter: Captured) -> bytes:
    """Return the body as it was received: kombu unpacks a compressed one, and py-amqp makes text of it."""
    body = letter.body
    if isinstance(body, str):
        try:
            body = body.encode(str(letter.properties.get("content_encoding") or "utf-8"))
        except (LookupError, UnicodeError):
            body = body.encode(errors="surrogatepass")
    if letter.unpacked is None:
        return bytes(body)
    try:
        return bytes(compress(body, letter.unpacked)[0])
    except Exception as error:
        raise UnwritableError(f"Its body cannot be compressed again: {describe_error(error)}") from None
