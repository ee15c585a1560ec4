"""Read a Redis broker: every queue, over all its priority steps, in few round trips.

One for a thousand queues of which most are empty. More are read in several calls, since Redis serves nobody
else while one runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from celery_health.brokers.base import (
    Broker,
    BrokerReading,
    Capabilities,
    Mark,
    QueueReading,
    Shared,
    unanswered,
)
from celery_health.brokers.redis_asking import Asked, Fetched, Head, bindings, fetch, fetch_paused
from celery_health.brokers.redis_clients import named_clients
from celery_health.brokers.redis_rights import against_sending
from celery_health.brokers.redis_writes import Question, RedisWrites
from celery_health.connections.kombu import unconnected
from celery_health.connections.redis import RedisLink, is_timeout
from celery_health.connections.redis_keys import RedisKeys
from celery_health.connections.urls import masked_url, redis_cli_of
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, LateBrokerError
from celery_health.records import Writes
from celery_health.text.masking import describe_error, mask

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")

#: Redis copies a whole message to show its end (10 MB: 50 ms in which it serves nobody), so the heads of
#: queues with messages over this are looked at seldom, and remembered meanwhile.
BIG_MESSAGE_BYTES: Final = 128 * 1024
BIG_MESSAGE_PAUSE_SECONDS: Final = 30.0

#: Messages that were taken so long ago and are not acknowledged are looked at one by one.
LONG_SECONDS: Final = 60.0

#: A server that did not tell who is connected is not asked again for so long.
CLIENTS_UNTOLD_SECONDS: Final = 60.0


class RedisBroker(Broker):
    """Redis and what speaks like it, over TCP, TLS, a socket file or sentinels."""

    capabilities = Capabilities(
        supports_length=True,
        supports_age=True,
        supports_unacked=True,
        supports_roster=True,
        supports_peek=True,
        supports_remote_control=True,
        mark=Mark.CONNECTION_NAME,
    )
    transport = "redis"

    def __init__(
        self,
        app: Celery,
        deadline_seconds: float,
        shared: Shared | None = None,
        long_seconds: float = LONG_SECONDS,
    ) -> None:
        source: Any = unconnected(app)
        self.url = masked_url(source)
        source.release()  # asking for the URL has made a transport
        self._source = source
        self._link = RedisLink(source, every_url=True)
        self._limit_seconds = deadline_seconds
        self._long_seconds = long_seconds
        self._writes = (shared or Shared()).writes(RedisWrites)
        self._exchange: str = app.conf.task_default_exchange or app.conf.task_default_queue
        control: Any = app.control
        self._mailbox: str = control.mailbox.exchange.name
        self._mailbox_suffix = f".{self._mailbox}"
        #: Queue → until when (monotonic seconds) its heads are not looked at again, and what they were.
        self._remembered: dict[str, tuple[float, list[Head]]] = {}
        #: Until when (monotonic seconds) the server is not asked who is connected: it does not say.
        self._clients_untold_until = float("-inf")
        #: The readings of empty queues, used again while the same are asked for: most are, and stay so.
        self._empty: tuple[tuple[Sequence[str], int | None], dict[str, QueueReading]] | None = None

    def read(self, queues: Sequence[str], deadline: Deadline) -> BrokerReading:
        """Read all `queues` within `deadline`, a thousand at once when few of them hold anything."""
        started = time.monotonic()
        names = list(queues)
        self._remembered = {
            name: (until, heads) for name, (until, heads) in self._remembered.items() if until > started
        }
        skip = [number for number, name in enumerate(names, start=1) if name in self._remembered]
        question = self._writes.question()
        try:
            fetched, latency, writes = self._fetch(names, skip, question, deadline)
        except BrokerError as error:
            if self._link.keeps_waiting and not isinstance(error, LateBrokerError):
                return self._paused(names, started)
            return unanswered(error, time.monotonic() - started)
        if self._writes.is_read_only:
            # The connection may have been to the master of before: its name or its sentinels lead elsewhere.
            with suppress(BrokerError):
                fetched, latency, writes = self._fetch(names, skip, question, deadline)
        return BrokerReading(
            reachable=True,
            queues=self._readings(names, fetched),
            server_time=_seconds(fetched.clock),
            latency_seconds=latency,
            long_unacked=fetched.long_unacked,
            writes=self._with_rights(writes, deadline),
        )

    def _fetch(
        self, names: list[str], skip: list[int], question: Question, deadline: Deadline
    ) -> tuple[Fetched, float, Writes]:
        """Return what came back, after how many seconds, and whether messages are taken."""
        started = time.monotonic()
        seconds = self._long_seconds

        def ask(redis: Asked) -> Fetched:
            besides = question.commands(redis.keys)
            if self._writes.keeps_waiting:
                return fetch_paused(redis, names, besides)
            return fetch(redis, names, skip, seconds, besides)

        fetched = self._run(ask, deadline)
        return fetched, time.monotonic() - started, self._told(question, fetched.besides)

    def _paused(self, names: Sequence[str], started: float) -> BrokerReading:
        """Return the reading of a server that answered, and held back what may write, as the script may."""
        error = "The broker holds back what was to read it."
        return BrokerReading(
            reachable=True,
            queues={name: QueueReading(name=name, error=error) for name in names},
            latency_seconds=time.monotonic() - started,
            writes=self._held_back(),
        )

    def _with_rights(self, writes: Writes, deadline: Deadline) -> Writes:
        if not self._writes.lacks_permission:
            return writes

        def ask() -> str | None:
            with suppress(BrokerError):
                return self._run(lambda redis: against_sending(redis, self._exchange), deadline)
            return None

        return self._writes.with_rights(writes, ask)

    def _held_back(self) -> Writes:
        return self._told(Question(False), [TimeoutError()])

    def _told(self, question: Question, replies: Sequence[Any]) -> Writes:
        return self._writes.told(
            question,
            replies,
            redis_cli=redis_cli_of(self._source),
            by_sentinels=self._source.transport_cls == "sentinel",
        )

    def _readings(self, names: Sequence[str], fetched: Fetched) -> dict[str, QueueReading]:
        unacked = fetched.unacked
        found = self._empty_readings(names, None if unacked is None else 0).copy()
        numbers = set(fetched.lengths)
        if unacked is not None and (unacked.by_queue or unacked.ambiguous):
            delivered = unacked.by_queue.keys() | unacked.ambiguous
            numbers.update(number for number, name in enumerate(names, start=1) if name in delivered)
        for number in numbers:
            name, length = names[number - 1], fetched.lengths.get(number, 0)
            of_it = None if unacked is None else unacked.of(name)
            if length > 0:
                found[name] = _waiting(name, length, of_it, self._heads(name, fetched.heads.get(number, [])))
            elif length == 0:
                found[name] = QueueReading(name=name, ready=0, unacked=of_it)
            else:
                error = mask(fetched.errors[number], self._link.secrets)
                found[name] = QueueReading(name=name, unacked=of_it, error=error)
        return found

    def _empty_readings(self, names: Sequence[str], unacked: int | None) -> dict[str, QueueReading]:
        """Return a reading of each queue as it is when it is empty: the same objects as before."""
        if self._empty is None or self._empty[0] != (names, unacked):
            readings = {name: QueueReading(name=name, ready=0, unacked=unacked) for name in names}
            self._empty = ((names, unacked), readings)
        return self._empty[1]

    def _heads(self, name: str, heads: list[Head]) -> list[Head]:
        if name in self._remembered:
            return self._remembered[name][1]
        if any(head.size_bytes > BIG_MESSAGE_BYTES for head in heads):
            self._remembered[name] = (time.monotonic() + BIG_MESSAGE_PAUSE_SECONDS, heads)
        return heads

    def roster(self, deadline: Deadline) -> tuple[str, ...]:
        """Return the host names bound to the control exchange, dead ones included.

        Raises:
            BrokerError: the broker did not answer.
        """
        bound = self._run(lambda redis: bindings(redis, self._mailbox), deadline)
        names = {b.queue.removesuffix(self._mailbox_suffix) for b in bound if self._is_mailbox(b.queue)}
        return tuple(sorted(names))

    def present(self, marks: Collection[str], deadline: Deadline) -> Mapping[str, float | None] | None:
        """Return which connections named so are open, and for how many seconds; None when that is not told.

        Needs ``INFO`` and ``CLIENT LIST``; where they are refused, they are asked for again after a while.
        """
        if time.monotonic() < self._clients_untold_until:
            return None
        try:
            found = self._run(lambda redis: named_clients(redis.call, marks), deadline)
        except BrokerError:
            return None
        if found is None:
            self._clients_untold_until = time.monotonic() + CLIENTS_UNTOLD_SECONDS
        return found

    def _run(self, operation: Callable[[Asked], T], deadline: Deadline) -> T:
        try:
            return operation(Asked(self._link, self._keys, deadline.within(self._limit_seconds)))
        except Exception as error:
            # "from None": a traceback that is logged prints its causes, and their messages are not masked.
            if is_timeout(error) and (late := deadline.own_delay()):
                raise LateBrokerError(f"This process {late}.") from None
            raise BrokerError(describe_error(error, self._link.secrets)) from None

    @cached_property
    def _keys(self) -> RedisKeys:
        # Not before something is asked: options that kombu cannot use are an error of the reading.
        return RedisKeys(self._source)

    def _is_mailbox(self, queue: str) -> bool:
        return queue.endswith(self._mailbox_suffix)

    def ping(self, deadline: Deadline) -> Writes:
        """Make one round trip, and return whether the broker takes messages.

        Raises:
            BrokerError: the broker did not answer within `deadline`.
        """
        question = self._writes.question()
        # Whatever it says to that is an answer; to PING, one that could not write its snapshot gives none.
        commands = question.commands
        try:
            writes = self._told(
                question, self._run(lambda redis: redis.call_many(commands(redis.keys)), deadline)
            )
        except LateBrokerError:
            raise
        except BrokerError:
            if not self._link.keeps_waiting:
                raise
            return self._held_back()
        if self._writes.is_read_only:  # see `read`
            with suppress(BrokerError):
                replies = self._run(lambda redis: redis.call_many(commands(redis.keys)), deadline)
                writes = self._told(question, replies)
        return self._with_rights(writes, deadline)

    def close(self) -> None:
        """Close the connection, if one is open."""
        self._link.close()


_NO_HEAD = Head(0, None, None, False)


def _waiting(name: str, length: int, unacked: int | None, heads: list[Head]) -> QueueReading:
    due = [head for head in heads if not head.has_eta]
    stamped = [head for head in due if head.published_at is not None]
    if stamped:
        oldest = min(stamped, key=lambda head: head.published_at or 0.0)
    else:
        # Served last, the lowest priority waits longest. With nothing but ETA tasks no age can be told.
        oldest = (due or heads or [_NO_HEAD])[-1]
    return QueueReading(
        name=name,
        ready=length,
        unacked=unacked,
        oldest_published_at=oldest.published_at,
        oldest_message_id=oldest.task_id,
        oldest_has_eta=oldest.has_eta,
    )


def _seconds(clock: Sequence[Any]) -> float | None:
    return int(clock[0]) + int(clock[1]) / 1_000_000 if clock else None
