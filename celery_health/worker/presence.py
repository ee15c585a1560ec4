"""What the broker shows of a worker for as long as its process has a connection: its proof of presence.

On Redis, the connections that the worker consumes with get a name that no other process has (``CLIENT
SETNAME``). On RabbitMQ, its queue for remote control goes when its connection does. Who misses the worker's
records looks there: see `celery_health.reading.vanished`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

#: What naming a connection may wait for: it has just answered, and its consumer waits for us.
MAX_WAIT_SECONDS: Final = 5.0
#: Connections that may break over it before it is left alone: one may break at any moment.
MAX_FAILURES: Final = 2
#: RabbitMQ ends connections that are silent for longer than the negotiated heartbeat. Under this, a process
#: that is stopped for a moment loses its mailbox, which then proves nothing.
MIN_HEARTBEAT_SECONDS: Final = 60
#: Of a host name in a connection's name; a random part makes it unique.
_MAX_HOSTNAME_CHARACTERS: Final = 120


class Presence:
    """The marks of one worker on its broker. `attach` and the callbacks run in the consumer's thread."""

    def __init__(self, hostname: str) -> None:
        # Redis takes no spaces and nothing but printable ASCII here.
        readable = quote(hostname, safe="@.:/")[:_MAX_HOSTNAME_CHARACTERS]
        self._name = f"celery_health:{readable}:{os.getpid()}:{secrets.token_hex(6)}"
        self._is_named = False
        self._refused = False
        """The server will not have it, as under an ACL without CLIENT: it is not asked again."""
        self._failures = 0
        """Connections that broke while they were named, one after the other."""
        self._node: Any = None
        """kombu's, of remote control; None without one."""
        self._mailbox: str | None = None

    def attach(self, consumer: Any) -> None:
        """Leave the marks on the connection of a consumer that has just (re)connected."""
        self._is_named = False
        self._node, self._mailbox = None, None
        box = _remote_control(consumer)
        driver_type = consumer.connection.transport.driver_type
        if driver_type == "redis":
            # Where the connection breaks meanwhile, the consumer notices as it would have without us.
            with contextlib.suppress(*consumer.connection.connection_errors):
                self._mark(consumer.task_consumer.channel, "client", "BRPOP", self.name_brpop)
                # Another greenlet may be connecting the mailbox' own connection at this moment.
                if box is not None and box.node.channel is not None and not _has_own_connection(consumer):
                    self._mark(box.node.channel, "subclient", "LISTEN", self.name_other)
        elif driver_type == "amqp" and box is not None and not _has_own_connection(consumer):
            heartbeat = getattr(consumer.connection.connection, "heartbeat", 0) or 0
            if not heartbeat or heartbeat >= MIN_HEARTBEAT_SECONDS:
                self._node = box.node
                self._mailbox = str(box.node.mailbox.get_queue(box.node.hostname).name)

    def record(self) -> dict[str, str | None]:
        """Return what to look for, as fields of the worker's record. Called in any thread."""
        channel = getattr(self._node, "channel", None)
        is_listening = getattr(channel, "connection", None) is not None
        return {
            "connection_name": self._name if self._is_named else None,
            "mailbox": self._mailbox if is_listening else None,
        }

    def _mark(self, channel: Any, attribute: str, command: str, name: Callable[[Any], None]) -> None:
        """Name the connection that `channel` will send `command` on, now and each time it connects again."""
        client = getattr(channel, attribute)
        # As kombu does before the command itself: takes the connection out of the pool, for good.
        channel.connection.cycle._client_registered(channel, client, command)
        connection = client.connection
        if getattr(connection, "client_name", None):
            return  # the project's own name for all its connections
        # Held by the connection as a weak reference; this object lives as long as the worker.
        connection.register_connect_callback(name)
        if channel._in_poll:
            self._mark_later(channel, connection)
        elif connection._sock is not None and not channel._in_listen:
            name(connection)

    def _mark_later(self, channel: Any, connection: Any) -> None:
        """Name the connection for tasks when the BRPOP under way has come back, as one of mingle's is.

        kombu looks the handler up at each reply. No other command is on the way when it returns, and the
        next BRPOP is only sent at the next turn.
        """
        handlers = getattr(channel, "handlers", None)
        if not isinstance(handlers, dict) or "BRPOP" not in handlers:
            return
        read = handlers["BRPOP"]

        def brpop(*args: Any, **kwargs: Any) -> Any:
            try:
                return read(*args, **kwargs)
            finally:
                if handlers["BRPOP"] is brpop:
                    handlers["BRPOP"] = read
                # A connection that broke meanwhile is named when it connects again.
                is_idle = connection._sock is not None and not channel._in_poll
                if is_idle and channel.client.connection is connection and not self._is_named:
                    # What was taken is delivered: where the connection breaks over it, kombu opens it anew.
                    with contextlib.suppress(*channel.connection_errors):
                        self.name_brpop(connection)

        handlers["BRPOP"] = brpop

    def name_brpop(self, connection: Any) -> None:
        """Name the connection that tasks come by: without it, the others prove nothing."""
        self._is_named = False
        self._is_named = self._set_name(connection)

    def name_other(self, connection: Any) -> None:
        """Name another connection of this process."""
        self._set_name(connection)

    def _set_name(self, connection: Any) -> bool:
        """Name a connection that has just connected, and say whether the server did so.

        redis-py's own ``client_name`` ends the connection where the server refuses it.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the connection is broken, and closed.
        """
        from redis.exceptions import ResponseError, TimeoutError

        if self._refused:
            return False
        sock = connection._sock
        usual = sock.gettimeout()
        try:
            sock.settimeout(MAX_WAIT_SECONDS if usual is None else min(usual, MAX_WAIT_SECONDS))
            connection.send_command("CLIENT", "SETNAME", self._name, check_health=False)
            connection.read_response()
        except ResponseError:
            self._refused = True
            return False
        except BaseException as error:
            # A late reply would be taken for the next command's.
            connection.disconnect()
            self._failures += 1
            # A worker must come up, whatever a server or something before it makes of this command.
            self._refused = isinstance(error, TimeoutError) or self._failures >= MAX_FAILURES
            raise
        finally:
            with contextlib.suppress(OSError):
                sock.settimeout(usual)
        self._failures = 0
        return True


def _remote_control(consumer: Any) -> Any:
    """Return Celery's mailbox of the worker; None where remote control is off."""
    boxes = (getattr(step, "box", None) for step in consumer.steps)
    return next((box for box in boxes if hasattr(box, "node")), None)


def _has_own_connection(consumer: Any) -> bool:
    # Under greenlets the mailbox listens on a connection of its own, which may end long before the worker.
    return bool(getattr(consumer.pool, "is_green", False))
