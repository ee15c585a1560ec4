"""One connection to a Redis, made as kombu makes its own: URL, TLS, sentinels, users, unix sockets.

Every wait is bounded and nothing is retried behind the caller's back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from kombu import Connection

from celery_health.deadline import Deadline
from celery_health.exceptions import DeadlineExceeded

#: What a reused connection may take of a deadline before it is taken for dead and opened anew: a firewall
#: that forgot the flow lets it hang for ever.
REUSED_SHARE: Final = 0.5


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

    def __init__(self, source: Connection) -> None:
        """Take the address and the options from `source`, which is never opened."""
        self._source: Any = source
        self._connection: Any = None
        self._pool: Any = None
        self._pid = os.getpid()
        self._deadline = Deadline.after(0)
        self._step_seconds: float | None = None

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
            redis.RedisError, OSError, DeadlineExceeded: it did not answer; the connection is closed.
        """
        from redis.exceptions import ResponseError

        self._step_seconds = step_seconds
        if self._connection is not None and self._pid == os.getpid():
            self._deadline = deadline.within(deadline.remaining() * REUSED_SHARE)
            try:
                return self._exchange(command)
            except ResponseError:
                raise
            except Exception:
                if deadline.expired:
                    raise
        self._deadline = deadline
        self._open()
        return self._exchange(command)

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

    def _exchange(self, command: tuple[str | bytes | int, ...]) -> Any:
        from redis.exceptions import ReadOnlyError, ResponseError

        try:
            self._connection.send_command(*command)
            return self._connection.read_response()
        except ReadOnlyError:
            self.close()  # the master has moved: the next call looks the address up again
            raise
        except ResponseError:
            raise
        except BaseException:
            self.close()  # a late reply would be taken for the next command's
            raise

    def _seconds_left(self) -> float:
        left = self._deadline.timeout()
        return left if self._step_seconds is None else min(left, self._step_seconds)

    def _open(self) -> None:
        # After a fork the socket is the parent's too: dropping our copy closes it here only.
        self.close()
        self._pid = os.getpid()
        channel = self._channel()
        try:
            if hasattr(channel, "_sentinel_managed_pool"):
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

    def _channel(self) -> Any:
        """Return kombu's channel with its options and without a connection, for what it knows of them."""
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        link, source = self, self._source
        transport = source.get_transport_cls()
        never: Any = Retry(NoBackoff(), 0)
        seconds = self._seconds_left()

        channel_class: Any = transport.Channel

        class Channel(channel_class):  # type: ignore[misc]
            def __init__(self) -> None:
                """Skip kombu's, which connects."""

            def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
                options: dict[str, Any] = super()._connparams(asynchronous)
                options.update(
                    connection_class=_bounded(options["connection_class"], link),
                    retry=never,
                    retry_on_timeout=False,
                    socket_timeout=seconds,
                )
                if "health_check_interval" in options:  # a PING before a command; we notice anyway
                    options["health_check_interval"] = 0
                return options

        channel: Any = Channel()
        channel.connection = SimpleNamespace(client=source, default_port=transport.default_port)
        given: Mapping[str, Any] = source.transport_options or {}
        for name in channel_class.from_transport_options:
            if name in given:
                setattr(channel, name, given[name])
        if hasattr(channel, "_sentinel_managed_pool"):
            each = seconds / max(1, len(source.alt))
            channel.sentinel_kwargs = {
                **(given.get("sentinel_kwargs") or {}),
                "retry": never,
                "socket_timeout": each,
                "socket_connect_timeout": each,
            }
        return channel


def _bounded(connection_class: Any, link: RedisLink) -> Any:
    """Return a redis-py connection class that asks `link` how long it may wait, before it does."""
    from redis.exceptions import TimeoutError as RedisTimeoutError

    class Bounded(connection_class):  # type: ignore[misc]
        def _connect(self) -> Any:
            self.socket_timeout = self.socket_connect_timeout = self._seconds_left()
            return super()._connect()

        def _seconds_left(self) -> float:
            try:
                return link._seconds_left()
            except DeadlineExceeded as error:
                self.disconnect()
                raise RedisTimeoutError(str(error)) from None

        def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
            seconds = self._seconds_left()
            if self._sock is not None:
                self._sock.settimeout(seconds)
            return super().send_packed_command(*args, **kwargs)

        def read_response(self, *args: Any, **kwargs: Any) -> Any:
            seconds = self._seconds_left()
            if self._sock is not None:
                self._sock.settimeout(seconds)
            return super().read_response(*args, **kwargs)

    return Bounded
