"""Whether RabbitMQ takes messages: it tells only who publishes, so one message is begun, and taken back.

The message is published within a transaction that is rolled back, so that it enters no queue whatever the
broker holds, and carries a routing key that no queue can have. While an alarm lasts the broker reads nothing
more from such a connection: hence one of its own, a new one each time, for nobody new may be let in. Where
there is an alarm it is kept until the broker says ``unblocked``, since the server keeps a blocked connection
open until the alarm ends, also when its client has gone.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from amqp import Message, spec

from celery_health.connections.kombu import BoundedConnection
from celery_health.connections.link import Link
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LateError
from celery_health.records import Writes
from celery_health.text.commands import ALARMS, MORE_MEMORY

if TYPE_CHECKING:
    from celery import Celery

#: How often it is asked, at most.
ASK_EVERY_SECONDS: Final = 10.0
#: The same where this user may not publish: each time is an error in the broker's log.
DENIED_MEMORY_SECONDS: Final = 60.0
#: The same where no connection could be opened.
SHUT_OUT_SECONDS: Final = 3.0
#: What asking may take of what is left of a deadline, and at most.
SHARE: Final = 0.3
MOST_SECONDS: Final = 1.0
#: A blocked connection that says nothing for so long, or for two heartbeats where there are any, is opened
#: anew: a firewall may have forgotten it.
SILENT_SECONDS: Final = 300.0
#: In what it says where a limit of connections, or of their channels, is reached.
LIMITS: Final = ("connection limit (", "has reached the maximum allowed")
#: RabbitMQ lets nobody declare a queue whose name begins so.
ROUTING_KEY: Final = "amq.celery_health.takes_messages"
#: How long is looked whether an alarm has ended: what the broker said is here, or is not.
LOOK_SECONDS: Final = 0.005


class AmqpWrites:
    """Asks one broker, and remembers what it said; all readers of a process share one, in any thread."""

    def __init__(self, app: Celery, limit_seconds: float) -> None:
        self._link = Link(app, limit_seconds)
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._shut_out = 0
        """How often in a row no connection could be opened."""
        self._is_in = False
        """A connection was opened by the question that is asked."""
        self._has_accepted = False
        self._alarm_ended_at: float | None = None
        self._answer: tuple[float, Writes] | None = None
        """Until when (monotonic seconds) it holds, and what it is."""

    def ask(self, deadline: Deadline) -> Writes:
        """Return whether the broker takes messages, as it said at most `ASK_EVERY_SECONDS` ago."""
        deadline = deadline.within(min(MOST_SECONDS, deadline.remaining() * SHARE))
        if not self._lock.acquire(timeout=deadline.remaining()):
            return _unknown("it is being asked, and has not answered yet")
        try:
            return self._with_alarm(self._known(deadline))
        finally:
            self._lock.release()

    def _with_alarm(self, answer: Writes) -> Writes:
        ended = self._alarm_ended_at
        if not answer.accepted or ended is None:
            return answer
        return replace(answer, alarm_over_seconds=time.monotonic() - ended)

    def _known(self, deadline: Deadline) -> Writes:
        # Whether an alarm has ended is told without being asked.
        is_alarmed = self._line is not None and self._line.reason is not None
        if self._answer is not None and time.monotonic() < self._answer[0] and not is_alarmed:
            return self._answer[1]
        seconds = ASK_EVERY_SECONDS
        try:
            # On a new connection each time, as a process that sends has to open one: it may not be let in.
            if not is_alarmed:
                self._link.close()
            self._is_in = False
            line = self._link.run(self._attempt, deadline)
            if line.reason is not None:
                answer, self._alarm_ended_at = _alarmed(line.reason), None
            elif line.denied is not None:
                answer = _denied(line.denied, could_before=self._has_accepted)
                seconds = ASK_EVERY_SECONDS if self._has_accepted else DENIED_MEMORY_SECONDS
            else:
                answer, self._has_accepted = Writes(accepted=True), True
        except LateError as error:
            return Writes(unknown=f"Whether the broker takes messages is not known. {error}")
        except BrokerError as error:
            answer, seconds = self._failed(error)
        else:
            self._shut_out = 0
            if line.reason is None:
                self._link.close()
            if is_alarmed and line.reason is None:
                self._alarm_ended_at = time.monotonic()
        self._answer = (time.monotonic() + seconds, answer)
        return answer

    def _failed(self, error: BrokerError) -> tuple[Writes, float]:
        """Return what follows when no answer came, and for how many seconds."""
        is_limit = _is_limit(str(error))
        if not is_limit and (self._is_in or _is_silence(error)):
            self._shut_out = 0
            return _unknown(str(error)), ASK_EVERY_SECONDS
        self._shut_out += 1
        # What a load balancer does for a moment is no fault; a limit is the broker's own word.
        is_proven = is_limit or self._shut_out > 1
        return (_shut_out if is_proven else _unknown)(str(error)), SHUT_OUT_SECONDS

    def _attempt(self, connection: BoundedConnection) -> _Line:
        self._is_in = True
        raw: Any = getattr(connection, "_connection", None)
        if raw is None or not raw.connected:
            raise ConnectionResetError("The connection to the broker is closed.")
        if self._line is None or self._line.raw is not raw:
            self._line = _Line(raw=raw)
        self._line.ask()
        return self._line

    def close(self) -> None:
        """Close the connection, if one is open."""
        with self._lock:
            if self._line is not None and self._line.reason is not None:
                self._link.drop()  # nobody reads a farewell there
            self._line = self._answer = None
            self._link.close()


@dataclass(kw_only=True, eq=False)
class _Line:
    """One connection on which a message is published now and then."""

    raw: Any
    channel: Any = None
    reason: str | None = None
    """What the broker says of its alarm, while it lasts."""
    denied: str | None = None
    """Why this user may not publish so."""
    answered: bool = False
    came: tuple[int, float] = field(default=(0, 0.0))
    """Bytes that came, and when the last of them did (monotonic seconds)."""

    def __post_init__(self) -> None:
        # py-amqp drops the reason.
        blocked = spec.method(spec.Connection.Blocked, "s")
        self.raw._METHODS = {**self.raw._METHODS, spec.Connection.Blocked: blocked}
        self.raw._callbacks[spec.Connection.Blocked] = self._on_blocked
        self.raw.on_unblocked = self._on_unblocked

    def ask(self) -> None:
        """Publish, take back, and wait until the broker has answered, or has said that it will not.

        Raises:
            TimeoutError: neither came in time.
            ConnectionResetError: it has said nothing for long; a new connection may tell.
        """
        if self._is_alarmed():
            if self._is_silent():
                raise ConnectionResetError("The connection to the broker is silent.")
            return
        self.denied = None
        if self.channel is None or not self.channel.is_open:
            self.channel = self._opened()
        self.answered = False
        # Past `confirm_publish`, with which the channel waits for a confirmation: transactions know none.
        publish = type(self.channel).basic_publish
        publish(self.channel, Message(""), exchange="", routing_key=ROUTING_KEY)
        self.channel.send_method(spec.Tx.Rollback)
        self._wait(lambda: self.answered)
        self._make_sure()

    def _make_sure(self) -> None:
        if self.denied is not None and self.reason is None:
            # Refused by the channel's process: whether the connection is blocked is its own affair.
            self._wait_for_channel(self._new_channel())

    def _is_alarmed(self) -> bool:
        """Take in what has come, and say whether an alarm lasts."""
        with suppress(TimeoutError):
            while self.reason is not None:
                self.raw.drain_events(timeout=LOOK_SECONDS)
        return self.reason is not None

    def _is_silent(self) -> bool:
        came, now = self.raw.bytes_recv, time.monotonic()
        if came != self.came[0]:
            self.came = (came, now)
        return now - self.came[1] > (2 * self.raw.heartbeat or SILENT_SECONDS)

    def _opened(self) -> Any:
        channel = self._new_channel()
        self._wait_for_channel(channel)
        channel.tx_select()
        channel._callbacks[spec.Tx.RollbackOk] = self._on_answer
        channel._callbacks[spec.Channel.Close] = self._on_close
        return channel

    def _new_channel(self) -> Any:
        channel = self.raw.Channel(self.raw)
        channel.send_method(spec.Channel.Open, "s", ("",))
        return channel

    def _wait_for_channel(self, channel: Any) -> None:
        self._wait(lambda: channel.is_open)

    def _wait(self, came: Any) -> None:
        while not came() and self.reason is None:
            self.raw.drain_events()

    def _on_answer(self, *_: object) -> None:
        self.answered = True

    def _on_close(self, code: int, text: str, *_: object) -> None:
        self.denied, self.answered = f"{code} {text}", True
        self.channel.send_method(spec.Channel.CloseOk)
        self.channel.collect()

    def _on_blocked(self, reason: str) -> None:
        self.reason = reason or "no reason is told"
        self.came = (self.raw.bytes_recv, time.monotonic())

    def _on_unblocked(self) -> None:
        # What was sent before is answered now: it belongs to no question any more.
        self.reason, self.channel = None, None


def _alarmed(reason: str) -> Writes:
    room = MORE_MEMORY if "memory" in reason else ""
    more = f". Or let it use more memory: {room}" if room else ""
    return Writes(
        accepted=False,
        refusal=f"it has an alarm ({reason}), and stops every connection that publishes until that ends",
        fix=(
            "Free what it is low on: have workers take what waits. On its host, what it says of that: "
            f"{ALARMS}{more}"
        ),
    )


def _is_silence(error: BrokerError) -> bool:
    """Say whether nothing was said in time, which proves nothing."""
    return "timeout" in str(error).lower() or "timed out" in str(error).lower()


def _is_limit(why: str) -> bool:
    return any(limit in why for limit in LIMITS)


def _shut_out(why: str) -> Writes:
    if _is_limit(why):
        what = "channels" if "channels" in why else "connections"
        fix = (
            f"It has as many {what} as its node, its virtual host, or this user, may have. Close those that "
            "nobody needs, or raise the limit (rabbitmqctl set_vhost_limits, set_user_limits)."
        )
    else:
        fix = "Check that it listens, and that broker_url names its address and password."
    return Writes(
        accepted=False,
        refusal=f"it lets in nobody new ({why.rstrip('.')})",
        fix=fix,
        serves_connected=True,
    )


def _denied(why: str, *, could_before: bool) -> Writes:
    what, fix = f"({why})", "Let the user's write permission match 'amq.default'"
    if could_before:
        refusal = f"its user may not publish to the default exchange any more {what}"
        return Writes(accepted=False, denied=True, refusal=refusal, fix=f"{fix}, and its queues.")
    # It may be meant to read alone.
    return _unknown(f"its user may not publish to the default exchange {what}. {fix}", denied=True)


def _unknown(why: str, *, denied: bool = False) -> Writes:
    return Writes(
        denied=denied, unknown=f"Whether the broker takes messages is not known: {why.rstrip('.')}."
    )
