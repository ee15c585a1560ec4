"""Read the other transports of kombu, as far as that is possible without changing anything on them.

What a transport cannot say is unknown here, never a guess: kombu's own count creates the queue it counts on
some (SQS, SQLAlchemy), and opening a connection proves nothing on others.
"""

from __future__ import annotations

import contextlib
import os
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from celery_health.brokers.base import Broker, BrokerReading, Capabilities, QueueReading
from celery_health.connections.kombu import unconnected
from celery_health.connections.urls import masked_url
from celery_health.deadline import Deadline
from celery_health.exceptions import BrokerError, UnsupportedError
from celery_health.records import Writes

if TYPE_CHECKING:
    from celery import Celery


class UnreadableBroker(Broker):
    """A transport that nothing can be asked of."""

    def __init__(self, app: Celery) -> None:
        connection = unconnected(app)
        kombu: Any = connection
        self.transport = kombu.transport.driver_type
        self.url = masked_url(connection)
        self._options: dict[str, Any] = kombu.transport_options
        # Remote control is a fanout exchange; kombu says which transports have those.
        broadcasts = bool(kombu.supports_exchange_type("fanout"))
        self.capabilities = Capabilities(supports_remote_control=broadcasts)
        kombu.release()

    def read(self, queues: Sequence[str], deadline: Deadline) -> BrokerReading:
        """Say of every queue that it cannot be read."""
        reason = f"The {self.transport} transport cannot be asked for a queue's length without changing it."
        return BrokerReading(
            reachable=None,
            queues={name: QueueReading(name=name, error=reason) for name in queues},
            error=f"The {self.transport} transport cannot be asked whether it is reachable.",
        )

    def ping(self, deadline: Deadline) -> Writes:
        """Refuse.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            f"The {self.transport} transport cannot be asked whether it is reachable; Redis and RabbitMQ can."
        )


class _LocalBroker(UnreadableBroker):
    """A transport that lives on this machine and can be looked at."""

    def read(self, queues: Sequence[str], deadline: Deadline) -> BrokerReading:
        """Count the messages of every queue."""
        started = time.monotonic()
        try:
            readings = self._look(queues)
        except OSError as error:
            return BrokerReading(reachable=False, error=_describe(error))
        return BrokerReading(reachable=True, queues=readings, latency_seconds=time.monotonic() - started)

    def ping(self, deadline: Deadline) -> Writes:
        """Look whether it is there.

        Raises:
            BrokerError: it is not.
        """
        try:
            self._look(())
        except OSError as error:
            raise BrokerError(_describe(error)) from error
        return Writes()

    @abstractmethod
    def _look(self, queues: Sequence[str]) -> dict[str, QueueReading]:
        """Return a reading of each of `queues`; raise OSError when that cannot be had."""


class FilesystemBroker(_LocalBroker):
    """Messages as files of one folder (`kombu/transport/filesystem.py`), ``<time>_<uuid>.<queue>.msg``."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.capabilities = Capabilities(
            supports_length=True, supports_age=True, supports_remote_control=True
        )

    def _look(self, queues: Sequence[str]) -> dict[str, QueueReading]:
        folder = self._folder()
        lengths: Counter[str] = Counter()
        oldest: dict[str, str] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                name, _, rest = entry.name.partition(".")
                if rest.endswith(".msg"):
                    queue = rest.removesuffix(".msg")
                    lengths[queue] += 1
                    # Workers take the files in the order of their names.
                    oldest[queue] = min(name, oldest.get(queue, name))
        return {queue: self._reading(queue, lengths[queue], oldest.get(queue), folder) for queue in queues}

    def _reading(self, queue: str, ready: int, oldest: str | None, folder: str) -> QueueReading:
        written: float | None = None
        if oldest is not None:
            with contextlib.suppress(FileNotFoundError):  # taken a moment ago
                written = os.stat(os.path.join(folder, f"{oldest}.{queue}.msg")).st_mtime
        return QueueReading(name=queue, ready=ready, oldest_published_at=written, oldest_message_id=oldest)

    def _folder(self) -> str:
        incoming: str = os.path.abspath(self._options.get("data_folder_in", "data_in"))
        outgoing = os.path.abspath(self._options.get("data_folder_out", "data_out"))
        if incoming != outgoing:
            raise OSError(
                "data_folder_in and data_folder_out differ, so that no worker with these settings reads what "
                "is sent: set both to the same absolute path in the broker's transport options."
            )
        return incoming


class MemoryBroker(_LocalBroker):
    """Queues of this process alone: what other processes send or consume is not here."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.capabilities = Capabilities(supports_length=True, supports_remote_control=True)
        kombu: Any = unconnected(app)
        # Shared by all connections of the process (`kombu/transport/memory.py`).
        self._queues: dict[str, Any] = kombu.transport.Channel.queues
        kombu.release()

    def _look(self, queues: Sequence[str]) -> dict[str, QueueReading]:
        return {
            name: QueueReading(name=name, ready=self._queues[name].qsize() if name in self._queues else 0)
            for name in queues
        }


def _describe(error: OSError) -> str:
    return f"{type(error).__name__}: {error}" if error.errno else str(error)
