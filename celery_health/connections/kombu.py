"""Connections that keep a deadline: kombu's own, with every wait bounded and every silent retry switched off.

kombu's and redis-py's timeouts hold for one socket call each, and their retries multiply them. Here each
read, write and connect asks what is left of one allowance.
"""

from __future__ import annotations

import contextlib
import socket
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from kombu import Connection

from celery_health.connections.redis import bounded_channel, sentinel_options
from celery_health.connections.urls import try_each_url
from celery_health.deadline import Allowance, Deadline
from celery_health.exceptions import DeadlineExceeded

if TYPE_CHECKING:
    from celery import Celery


class BoundedConnection(Connection):
    """A kombu connection whose every socket operation fails when its allowance is used up.

    Nothing is retried: not by kombu, not by redis-py.
    """

    _deadline: Deadline | None = None
    _seconds = 0.0

    def allow(self, deadline: Deadline | float) -> None:
        """Bound all that follows: by a deadline for the whole, or by so many seconds for each operation."""
        if isinstance(deadline, Deadline):
            self._deadline = deadline
        else:
            self._deadline, self._seconds = None, deadline

    def seconds_left(self) -> float:
        """Return what the next socket operation may take.

        Raises:
            TimeoutError: nothing is left; an OSError, which every transport cleans up after.
        """
        if self._deadline is None:
            return self._seconds
        try:
            return self._deadline.timeout()
        except DeadlineExceeded as error:
            raise TimeoutError(str(error)) from None

    def waiting(self, at_most: float, *, for_reply: bool = False) -> AbstractContextManager[None]:
        """Count the block as waiting for the broker, where that is part of a deadline."""
        if self._deadline is None:
            return contextlib.nullcontext()
        return self._deadline.timing.waiting(at_most, for_reply=for_reply)

    def create_transport(self) -> Any:
        """Return kombu's transport for the current URL, its sockets bounded."""
        transport: Any = cast(Any, super()).create_transport()
        if transport.driver_type == "redis":
            transport.Channel = bounded_channel(transport.Channel, self)
        elif transport.driver_type == "amqp" and hasattr(transport, "Connection"):
            transport.Connection = _bounded_amqp(transport.Connection, self)
        return transport

    def _do_close_transport(self) -> None:
        # kombu leaves the Redis transport's epoll descriptor to the garbage collector, in a cycle.
        kombu: Any = self
        poller: Any = getattr(getattr(kombu._transport, "cycle", None), "poller", None)
        cast(Any, super())._do_close_transport()
        if poller is not None:
            poller.close()


def _bounded_amqp(connection_class: Any, owner: Allowance) -> Any:
    """Return a py-amqp connection class that asks `owner` before it blocks on a read."""

    class BoundedAmqp(connection_class):  # type: ignore[misc]
        def blocking_read(self, timeout: float | None = None) -> Any:
            left = owner.seconds_left()
            seconds = left if timeout is None else min(timeout, left)
            with owner.waiting(seconds, for_reply=True):
                return super().blocking_read(seconds)

        def collect(self) -> None:
            # Over TLS, py-amqp would wait for the broker's own farewell, with a timeout from long ago.
            sock = getattr(self._transport, "sock", None)
            if sock is not None:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            super().collect()

    return BoundedAmqp


def unconnected(app: Celery) -> BoundedConnection:
    """Return a connection as `app` reads with, all its failover URLs included, not opened."""
    source: Any = app.connection_for_read()
    info = source.info()
    source.release()
    options = dict(info.pop("transport_options") or {})
    # kombu's own retries, wherever it opens a connection by itself.
    options.update(max_retries=0, interval_start=0, interval_step=0, interval_max=0)
    if info["transport"] == "amqp":  # else kombu may take librabbitmq, which cannot be bounded
        info["transport"] = "pyamqp"
    return BoundedConnection(**info, transport_options=options)


def establish(connection: BoundedConnection, deadline: Deadline) -> None:
    """Open `connection` within `deadline`, trying each of its URLs once.

    Raises:
        Exception: whatever the transport raises; nothing stays open.
    """
    kombu: Any = connection

    def attempt(within: Deadline) -> None:
        connection.allow(within)
        try:
            seconds = connection.seconds_left()
            _bound_options(kombu, seconds)
            with connection.waiting(seconds):
                kombu.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        except Exception:
            discard(connection)
            raise

    try_each_url(connection, deadline, attempt)


def _bound_options(kombu: Any, seconds: float) -> None:
    """Bound what is made of options alone: py-amqp's connect and writes, redis-py's sentinel clients."""
    options: dict[str, Any] = kombu.transport_options
    if kombu.transport.driver_type == "amqp":
        kombu.connect_timeout = seconds
        options.update(connect_timeout=seconds, read_timeout=seconds, write_timeout=seconds)
    elif kombu.transport_cls == "sentinel":
        options["sentinel_kwargs"] = sentinel_options(kombu, seconds)


def discard(connection: Connection) -> None:
    """Drop a connection that may be broken, without a word to the broker."""
    # Whatever goes wrong here went wrong before, and has been said.
    with contextlib.suppress(Exception):
        cast(Any, connection).collect()


def connect(app: Celery, deadline_seconds: float) -> BoundedConnection:
    """Return an open connection to the broker that `app` reads from.

    It is open within `deadline_seconds`, and each operation on it takes no longer than that either.

    Raises:
        Exception: whatever the transport raises when the broker refuses or does not answer.
    """
    connection = unconnected(app)
    establish(connection, Deadline.after(deadline_seconds))
    connection.allow(deadline_seconds)
    return connection
