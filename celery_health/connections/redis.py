"""One connection to a Redis, made as kombu makes its own: URL, TLS, sentinels, users, unix sockets.

Every wait is bounded and nothing is retried behind the caller's back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

from kombu import Connection

from celery_health.connections.scripts import Script
from celery_health.connections.urls import secrets_of, try_each_url
from celery_health.deadline import REUSED_SHARE, Allowance, Deadline
from celery_health.exceptions import DeadlineExceeded

#: A command's name and its arguments.
Command = Sequence[str | bytes | int]


def is_timeout(error: BaseException | None) -> bool:
    """Say whether time ran out, by the word of a socket, of redis-py or of py-amqp."""
    names = {kind.__name__ for kind in type(error).__mro__}
    # redis-py's error of that name is not Python's, and need not be imported to know it.
    return "TimeoutError" in names


def is_redis(connection: Connection) -> bool:
    """Say whether `connection`, which need not be open, leads to a Redis."""
    try:
        transport: Any = connection.get_transport_cls()
    except Exception:  # a transport whose library is not installed
        return False
    return bool(transport.driver_type == "redis")


class RedisLink:
    """Sends commands to one Redis, one at a time, over a connection of its own.

    Survives a fork by opening a new connection. One thread at a time uses it.
    """

    def __init__(self, source: Connection, *, every_url: bool = False) -> None:
        """Take the address and the options from `source`, which is never opened.

        Args:
            source: this link's own, since it is switched to the URL that answers.
            every_url: try each of its failover URLs, once within the deadline, not the first alone.
        """
        self._source: Any = source
        self._every_url = every_url
        self._connection: Any = None
        self._pool: Any = None
        self._pid = os.getpid()
        self._deadline = Deadline.after(0)
        self._step_seconds: float | None = None
        self._last_seconds: float | None = None
        self.keeps_waiting = False
        """In the last call the server answered one command, and not the next in time: it holds that back."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the passwords that no error may show."""
        return secrets_of(self._source)

    def call(self, *command: str | bytes | int, deadline: Deadline, step_seconds: float | None = None) -> Any:
        """Send a command that may safely be sent twice, and return the reply: bytes, int, list or None.

        An open connection that turns out to be dead is opened anew once, since servers and firewalls drop
        idle ones.

        Args:
            command: name and arguments.
            deadline: for everything, connecting included.
            step_seconds: also bounds each single wait on the network.

        Raises:
            redis.ResponseError: the server said no; the connection stays open.
            redis.RedisError, OSError: it did not answer, or not in time; the connection is closed.
        """
        (reply,) = self.call_many([command], deadline=deadline, step_seconds=step_seconds)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def call_many(
        self,
        commands: Sequence[Command],
        *,
        deadline: Deadline,
        step_seconds: float | None = None,
        last_seconds: float | None = None,
    ) -> list[Any]:
        """Send commands in one round trip, and return the reply to each: the error where the server said no.

        Otherwise like `call`.

        Args:
            commands: name and arguments of each.
            deadline: see `call`.
            step_seconds: see `call`.
            last_seconds: the last command need not be answered: this is waited for it, and a TimeoutError in
                the place of its reply.
        """
        self._step_seconds, self._last_seconds = step_seconds, last_seconds
        self.keeps_waiting = False
        if self._connection is not None and self._pid == os.getpid():
            self._deadline = deadline.within(deadline.remaining() * REUSED_SHARE)
            try:
                return self._exchange(commands)
            except Exception:
                if deadline.expired:
                    raise
        self._open(deadline)
        # A server that holds back what may write answers this one.
        return self._exchange([("PING",), *commands])[1:]

    def run(
        self,
        script: Script,
        keys: Sequence[str | bytes] = (),
        arguments: Sequence[str | bytes | int] = (),
        *,
        deadline: Deadline,
        step_seconds: float | None = None,
    ) -> Any:
        """Run a script, and hand it to the server first if it does not know it.

        Otherwise like `call`: it may be run twice.
        """
        from redis.exceptions import NoScriptError

        rest = (len(keys), *keys, *arguments)
        try:
            return self.call("EVALSHA", script.sha, *rest, deadline=deadline, step_seconds=step_seconds)
        except NoScriptError:
            return self.call("EVAL", script.text, *rest, deadline=deadline, step_seconds=step_seconds)

    def run_with(
        self,
        script: Script,
        arguments: Sequence[str | bytes | int],
        others: Sequence[Command],
        deadline: Deadline,
    ) -> tuple[Any, list[Any]]:
        """Run a script without keys as `run` does, and send other commands behind it, in one round trip.

        Returns:
            What the script says, and the reply to each of the others: the error where the server said no.

        Raises:
            redis.ResponseError: the server said no to the script.
        """
        from redis.exceptions import NoScriptError

        rest = (0, *arguments)
        reply, *replies = self.call_many([("EVALSHA", script.sha, *rest), *others], deadline=deadline)
        if isinstance(reply, NoScriptError):
            reply, *replies = self.call_many([("EVAL", script.text, *rest), *others], deadline=deadline)
        if isinstance(reply, Exception):
            raise reply
        return reply, replies

    def close(self) -> None:
        """Close the connection, if one is open."""
        connection, pool = self._connection, self._pool
        self._connection = self._pool = None
        # Whatever goes wrong here went wrong before, and has been said.
        with contextlib.suppress(Exception):
            if connection is not None:
                connection.disconnect()
        with contextlib.suppress(Exception):
            for sentinel in pool.sentinel_manager.sentinels if pool is not None else ():
                sentinel.connection_pool.disconnect()

    def seconds_left(self) -> float:
        """Return what the next wait on the network may take.

        Raises:
            TimeoutError: nothing is left.
        """
        try:
            left = self._deadline.timeout()
        except DeadlineExceeded as error:
            raise TimeoutError(str(error)) from None
        return left if self._step_seconds is None else min(left, self._step_seconds)

    def waiting(self, at_most: float, *, for_reply: bool = False) -> AbstractContextManager[None]:
        """Count the block as waiting for the server."""
        return self._deadline.timing.waiting(at_most, for_reply=for_reply)

    def own_delay(self) -> str | None:
        """Return why the last call ran out of time by this process itself; None where it did not."""
        return self._deadline.own_delay()

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        from redis.exceptions import ReadOnlyError, ResponseError

        connection, replies = self._connection, []
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            for number, _ in enumerate(commands, start=1):
                is_last = self._last_seconds is not None and number == len(commands)
                if is_last:
                    self._step_seconds = self._last_seconds
                try:
                    replies.append(connection.read_response())
                except ResponseError as error:
                    replies.append(error)
                except Exception as error:
                    self.keeps_waiting = bool(replies) and is_timeout(error)
                    if is_last and self.keeps_waiting:
                        self.close()
                        replies.append(error)
                        continue
                    # redis-py makes that of it where sentinels named the server, and closes the connection.
                    if not isinstance(error.__context__, ReadOnlyError) or len(replies) + 1 < len(commands):
                        raise
                    replies.append(error.__context__)
        except BaseException:
            self.close()  # a late reply would be taken for the next command's
            raise
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            self.close()  # the master has moved: the next call looks the address up again
        return replies

    def _open(self, deadline: Deadline) -> None:
        # After a fork the socket is the parent's too: dropping our copy closes it here only.
        self.close()
        self._pid, self.keeps_waiting = os.getpid(), False
        if self._every_url:
            try_each_url(self._source, deadline, self._connect)
        else:
            self._connect(deadline)
        self._deadline = deadline

    def _connect(self, deadline: Deadline) -> None:
        self._deadline = deadline
        with self.waiting(deadline.remaining()):
            self._establish()

    def _establish(self) -> None:
        channel_class = bounded_channel(self._source.get_transport_cls().Channel, self)
        channel = bare_channel(self._source, channel_class)
        try:
            if hasattr(channel, "_sentinel_managed_pool"):
                channel.sentinel_kwargs = sentinel_options(self._source, self.seconds_left())
                self._pool = channel._sentinel_managed_pool()
                self._connection = self._pool.make_connection()
            else:
                options = channel._connparams()
                connection_class = options.pop("connection_class")
                options.pop("max_connections", None)  # of a pool
                self._connection = connection_class(**options)
            self._connection.connect()
        except BaseException:
            self.close()
            raise


# How kombu's own ways to a Redis are bounded, for a link and for a kombu connection alike -----------------


def bare_channel(source: Connection, channel_class: Any = None) -> Any:
    """Return kombu's channel with the options of `source` and no connection, for what it knows of them.

    Args:
        source: leads to a Redis; it is not opened.
        channel_class: instead of its transport's own.
    """
    kombu: Any = source
    transport = kombu.get_transport_cls()
    cls: Any = channel_class or transport.Channel
    channel = cls.__new__(cls)  # kombu's constructor connects
    channel.connection = SimpleNamespace(client=kombu, default_port=transport.default_port)
    given = kombu.transport_options or {}
    for name in cls.from_transport_options:
        if name in given:
            setattr(channel, name, given[name])
    return channel


def bounded_channel(channel_class: Any, owner: Allowance) -> Any:
    """Return kombu's Redis channel class, every wait bounded by `owner`, also while it connects."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    class BoundedChannel(channel_class):  # type: ignore[misc]
        def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
            options: dict[str, Any] = super()._connparams(asynchronous)
            options.update(
                connection_class=bounded(options["connection_class"], owner),
                retry=Retry(NoBackoff(), 0),
                retry_on_timeout=False,
                socket_timeout=owner.seconds_left(),
            )
            # A PING before a command on an idle connection: one more round trip, and we notice anyway.
            if "health_check_interval" in options:
                options["health_check_interval"] = 0
            return options

    return BoundedChannel


def bounded(connection_class: Any, owner: Allowance) -> Any:
    """Return a redis-py connection class that asks `owner` how long it may wait, before it does."""
    from redis.exceptions import ResponseError
    from redis.exceptions import TimeoutError as RedisTimeoutError

    class Bounded(connection_class):  # type: ignore[misc]
        def _connect(self) -> Any:
            self.socket_timeout = self.socket_connect_timeout = seconds = self._seconds_left()
            with owner.waiting(seconds):
                return super()._connect()

        def _seconds_left(self) -> float:
            try:
                return owner.seconds_left()
            except TimeoutError as error:
                self.disconnect()
                raise RedisTimeoutError(str(error)) from None

        def _bound(self) -> float:
            seconds = self._seconds_left()
            if self._sock is not None:
                self._sock.settimeout(seconds)
            return seconds

        def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
            with owner.waiting(self._bound()):
                return super().send_packed_command(*args, **kwargs)

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            with owner.waiting(self._bound(), for_reply=True):
                try:
                    return super().read_response(*args, **kwargs)
                except ResponseError as error:  # a reply, too
                    said_no = error
            raise said_no

    return Bounded


def sentinel_options(source: Connection, seconds: float) -> dict[str, Any]:
    """Return what kombu hands to the clients of the sentinels of `source`: all of them within `seconds`."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kombu: Any = source
    each = seconds / max(1, len(kombu.alt))
    return {
        **((kombu.transport_options or {}).get("sentinel_kwargs") or {}),
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": each,
        "socket_connect_timeout": each,
    }
