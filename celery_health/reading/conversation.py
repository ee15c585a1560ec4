"""One talk with workers over Celery's remote control: a connection, a reply queue, questions and answers."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.utils.json import dumps

from celery_health.connections.kombu import connect
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, DeadlineExceeded
from celery_health.reading.questions import BEAT_PREFIX, Census, Question
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

#: How long after the last reply a broadcast to nobody in particular waits for one more.
DISCOVERY_SILENCE_SECONDS: Final = 1.0
#: How long after the last answer those that came are dealt with, while others are still out.
SETTLE_SECONDS: Final = 0.05
#: How often an answer is looked for on transports that cannot wait for one.
POLLING_SECONDS: Final = 0.05


class Mailbox:
    """Where an app's workers are asked, and where they answer."""

    def __init__(self, app: Celery) -> None:
        self.app: Any = app
        control: Any = app.control
        mailbox = control.mailbox
        self.exchange: Exchange = mailbox.exchange
        self.reply_exchange: Exchange = mailbox.reply_exchange
        self.suffix = f".{mailbox.namespace}.pidbox"
        """What follows a worker's name in the name of its queue (``kombu.pidbox``)."""


#: Each is taken by one conversation at a time. No lock, so that no fork leaves it locked.
_numbers: Final = deque(range(100))


class Conversation:
    """One connection, one reply queue, any number of calls; leaves nothing behind on the broker."""

    def __init__(self, mailbox: Mailbox, deadline: Deadline) -> None:
        self._mailbox = mailbox
        self._deadline = deadline
        self._silence_seconds = DISCOVERY_SILENCE_SECONDS
        self._questions: dict[str, Question] = {}
        """By ticket."""
        self.listeners: int | None = None
        """How many subscribers the last broadcast reached; None where the broker does not say."""

    def __enter__(self) -> Conversation:
        self._number = _numbers.popleft()
        try:
            self._connection: Connection = connect(self._mailbox.app, self._deadline.timeout())
            self._poll_quickly()
            self._channel = self._connection.channel()
            self._count_listeners()
            self._reply_queue = self._declare_reply_queue()
            self._consumer = Consumer(
                self._channel,
                [self._reply_queue],
                callbacks=[self._on_reply],
                on_decode_error=self._on_undecodable,
                accept=["json"],
                no_ack=True,
            )
            self._consumer.consume()
        except Exception as error:
            self._close()
            raise _broker_error(self._mailbox.app, error) from error
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def _close(self) -> None:
        # Whatever fails here was failing before: the caller has its answer or its error.
        for close in (self._forget_reply_queue, lambda: self._connection.release()):
            try:
                close()
            except Exception:  # noqa: S112 - see above
                continue
        _numbers.appendleft(self._number)

    def _forget_reply_queue(self) -> None:
        self._consumer.cancel()
        self._channel.after_reply_message_received(self._reply_queue.name)

    def _declare_reply_queue(self) -> Queue:
        # Few names, used again and again: a killed process leaves few queues behind. None at the same time,
        # since conversations would take each other's answers.
        key = f"celery-health-{socket.gethostname()}-{os.getpid()}-{self._number}"
        queue = Queue(
            f"{key}.{self._mailbox.reply_exchange.name}",
            exchange=self._mailbox.reply_exchange,
            routing_key=key,
            durable=False,
            auto_delete=True,
            expires=60.0,
        )(self._channel)
        queue.declare()
        return queue

    def _poll_quickly(self) -> None:
        """Where kombu polls for messages, look often here, and be patient with workers, who look seldom."""
        transport: Any = self._connection.transport
        interval = getattr(transport, "polling_interval", None)
        if interval:
            self._silence_seconds = DISCOVERY_SILENCE_SECONDS + interval
            transport.polling_interval = POLLING_SECONDS

    def _count_listeners(self) -> None:
        """Have Redis tell how many subscribers a broadcast reaches; kombu throws that number away."""
        if not hasattr(self._channel, "_put_fanout") or not hasattr(self._channel, "conn_or_acquire"):
            return
        channel: Any = self._channel

        def put_fanout(exchange: str, message: Any, routing_key: str, **kwargs: Any) -> None:
            topics = getattr(channel, "_get_publish_topics", None)
            names = (
                topics(exchange, routing_key)
                if topics
                else [channel._get_publish_topic(exchange, routing_key)]
            )
            with channel.conn_or_acquire() as client:
                self.listeners = sum(client.publish(name, dumps(message)) for name in names)

        channel._put_fanout = put_fanout

    def ask(self, commands: Iterable[str], destination: Sequence[str]) -> list[Question]:
        """Send each of `commands` to those of `destination`: see `wait` for the answers.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        return [self._publish(command, destination) for command in commands] if destination else []

    def wait(self, questions: Sequence[Question]) -> bool:
        """Wait until all are answered, time is up, or some have answered and no more do.

        Returns:
            Whether there is nothing more to wait for.

        Raises:
            BrokerError: the broker cannot be reached.
        """
        seen = before = _count(questions)
        while not all(question.is_answered for question in questions):
            try:
                left = self._deadline.timeout()
                self._connection.drain_events(timeout=left if seen == before else min(left, SETTLE_SECONDS))
            except TimeoutError:
                if seen > before:
                    return False
            except DeadlineExceeded:
                return True
            except Exception as error:
                raise _broker_error(self._mailbox.app, error) from error
            seen = _count(questions)
        return True

    def settle(self) -> None:
        """Take what still comes, until nothing does: a name may be two workers'.

        Raises:
            BrokerError: the broker cannot be reached.
        """

        def drain() -> None:
            try:
                while True:
                    self._connection.drain_events(timeout=min(SETTLE_SECONDS, self._deadline.timeout()))
            except TimeoutError:
                return

        self._drain(drain)

    def discover(self) -> tuple[str, ...]:
        """Return who answers a bare ping, beats left out, waiting till silence.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        question = self._publish("ping", None)
        self._drain(lambda: self._drain_until_silence(question.answers))
        return tuple(sorted(name for name in question.answers if not name.startswith(BEAT_PREFIX)))

    def find(self, known: Collection[str], least: int, seconds: float) -> tuple[str, ...]:
        """Return who else than `known` answers a bare ping: at least so many, unless `seconds` are over.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        question = self._publish("ping", None)
        deadline = self._deadline.within(seconds)

        def found() -> tuple[str, ...]:
            names = set(question.answers).difference(known)
            return tuple(sorted(name for name in names if not name.startswith(BEAT_PREFIX)))

        def wait() -> None:
            while True:
                is_enough = len(found()) >= least
                left = deadline.timeout()
                try:
                    # One more may be about to answer.
                    self._connection.drain_events(timeout=min(left, SETTLE_SECONDS) if is_enough else left)
                except TimeoutError:
                    if is_enough:
                        return

        self._drain(wait)
        return found()

    def count(self) -> Census | None:
        """Return who answers a bare ping until the deadline, and whether those are all whom it reached.

        Raises:
            BrokerError: the broker cannot be reached, or does not let us ask.
        """
        question = self._publish("ping", None)
        listeners = self.listeners
        if listeners is None:
            return None
        self._drain(lambda: self._drain_until(lambda: question.received >= listeners))
        # A reply that cannot be read is of nobody: what its sender is called stays open.
        complete = question.received >= listeners and not question.undecodable
        return Census(names=frozenset(question.answers), listeners=listeners, is_complete=complete)

    def _publish(self, command: str, destination: Sequence[str] | None) -> Question:
        ticket = str(uuid.uuid4())
        question = self._questions[ticket] = Question(command=command)
        body = {
            "method": command,
            "arguments": {},
            "destination": None if destination is None else list(destination),
            "pattern": None,
            "matcher": None,
            "ticket": ticket,
            "reply_to": {
                "exchange": self._mailbox.reply_exchange.name,
                "routing_key": self._reply_queue.routing_key,
            },
        }
        exchange = self._mailbox.exchange
        try:
            Producer(self._channel, auto_declare=False).publish(
                body,
                exchange=exchange.name,
                declare=[exchange],
                # A worker that comes back later must not spend its time on questions nobody waits for.
                headers={"clock": self._mailbox.app.clock.forward(), "expires": time.time() + 60},
                serializer="json",
                retry=False,
            )
        except Exception as error:
            raise _broker_error(self._mailbox.app, error) from error
        if destination is not None:
            asked = len(destination)
            question.expected = asked if self.listeners is None else min(asked, self.listeners)
        return question

    def _drain(self, drain: Callable[[], None]) -> None:
        try:
            drain()
        except DeadlineExceeded:
            pass
        except Exception as error:
            raise _broker_error(self._mailbox.app, error) from error

    def _drain_until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            try:
                self._connection.drain_events(timeout=self._deadline.timeout())
            except TimeoutError:
                continue

    def _drain_until_silence(self, answers: Mapping[str, Any]) -> None:
        seen, quiet_since = 0, time.monotonic()
        while self.listeners is None or len(answers) < self.listeners:
            if len(answers) > seen:
                seen, quiet_since = len(answers), time.monotonic()
            silence = self._silence_seconds - (time.monotonic() - quiet_since)
            if silence <= 0:
                return
            try:
                self._connection.drain_events(timeout=min(silence, self._deadline.timeout()))
            except TimeoutError:
                continue

    def _on_reply(self, body: Any, message: Any) -> None:
        question = self._questions.get(message.headers.get("ticket"))
        # An answer to an older question of this process, or no answer at all.
        if question is None or not isinstance(body, dict):
            return
        question.received += 1
        for name, reply in body.items():
            kept = reply if isinstance(reply, dict | list) else {"reply": reply}
            question.answers[str(name)] = kept
            question.replies.append((str(name), kept))

    def _on_undecodable(self, message: Any, error: Exception) -> None:
        # The worker answers in a serializer that we refuse to load, pickle for one: it lives, no more.
        question = self._questions.get(message.headers.get("ticket"))
        if question is not None:
            question.received += 1
            question.undecodable += 1


def _count(questions: Sequence[Question]) -> int:
    return sum(question.received for question in questions)


def _broker_error(app: Celery, error: Exception) -> BrokerError:
    if isinstance(error, BrokerError):
        return error
    password = app.connection_for_read().password
    return BrokerError(describe_error(error, [password if isinstance(password, str) else None]))
