"""The one connection to an AMQP broker that a reader keeps between its readings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from celery_health.connections.kombu import BoundedConnection, discard, establish, unconnected
from celery_health.connections.redis import is_timeout
from celery_health.connections.urls import masked_url, secrets_of
from celery_health.deadline import REUSED_SHARE, Deadline
from celery_health.exceptions import BrokerError, LateBrokerError
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

T = TypeVar("T")

#: How long a polite farewell to the broker may take.
CLOSE_SECONDS: Final = 0.25


class Link:
    """The one connection a reader keeps: opened at need, opened anew when it broke, never used across a fork.

    One thread at a time.
    """

    def __init__(self, app: Celery, limit_seconds: float) -> None:
        self._app = app
        self._limit_seconds = limit_seconds
        self._pid = os.getpid()
        self._connection = unconnected(app)
        self._is_open = False
        self.secrets = secrets_of(self._connection)
        self.url = masked_url(self._connection)
        cast(Any, self._connection).release()  # asking for the URL has made a transport

    def run(self, operation: Callable[[BoundedConnection], T], deadline: Deadline) -> T:
        """Return `operation` of the open connection.

        On a connection that was open before, a failure may only mean that it broke meanwhile: then the
        operation runs once more, on a new one, in what is left of `deadline`.

        Raises:
            BrokerError: it failed on a new connection, or the time is up; the message is masked.
            LateBrokerError: the time is up, and this process used it up itself.
        """
        self._forget_after_fork()
        deadline = deadline.within(self._limit_seconds)
        if self._is_open:
            try:
                return self._attempt(operation, deadline.within(deadline.remaining() * REUSED_SHARE))
            except Exception as error:
                if deadline.expired:
                    raise self._failed(error, deadline) from None
        try:
            return self._attempt(operation, deadline)
        except Exception as error:
            # "from None": a traceback that is logged prints its causes, and their messages are not masked.
            raise self._failed(error, deadline) from None

    def _attempt(self, operation: Callable[[BoundedConnection], T], deadline: Deadline) -> T:
        if not self._is_open:
            establish(self._connection, deadline)
            self._is_open = True
        self._connection.allow(deadline)
        try:
            return operation(self._connection)
        except Exception:
            self._is_open = False
            discard(self._connection)
            raise

    def _failed(self, error: Exception, deadline: Deadline) -> BrokerError:
        late = deadline.own_delay() if is_timeout(error) else None
        return LateBrokerError(f"This process {late}.") if late else self.error(error)

    def error(self, error: Exception) -> BrokerError:
        """Return `error` as one line without passwords."""
        return BrokerError(describe_error(error, self.secrets))

    def drop(self) -> None:
        """Close the connection, if one is open, without a word to the broker, which would not read it."""
        self._forget_after_fork()
        if self._is_open:
            self._is_open = False
            discard(self._connection)

    def close(self) -> None:
        """Take leave of the broker, if a connection is open."""
        self._forget_after_fork()
        if not self._is_open:
            return
        self._is_open = False
        self._connection.allow(Deadline.after(CLOSE_SECONDS))
        try:
            cast(Any, self._connection).release()
        except Exception:
            discard(self._connection)

    def _forget_after_fork(self) -> None:
        if self._pid == os.getpid():
            return
        # Closed without a shutdown: the parent goes on with the same socket.
        amqp = getattr(self._connection, "_connection", None)
        sock = getattr(getattr(amqp, "_transport", None), "sock", None)
        if sock is not None:
            os.close(sock.detach())
        self._pid, self._is_open = os.getpid(), False
        self._connection = unconnected(self._app)
