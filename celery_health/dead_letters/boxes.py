"""Where dead letters lie: one box per kind of broker, used by workers to write and by people to look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from celery_health.celery_app import app_id
from celery_health.conf import Settings
from celery_health.dead_letters.capture import Captured
from celery_health.dead_letters.records import Reason
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError, UnsupportedError

if TYPE_CHECKING:
    from celery import Celery


class UnwritableError(CeleryHealthError):
    """This letter cannot be written, now or ever: its headers are more than the broker takes, for one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Letters of one queue that are written together, and again under the same number after a failure."""

    number: int
    """Rises with each batch of a writer."""
    queue: str
    letters: tuple[Captured, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A letter as it lies in the box."""

    token: Any
    """What the box knows it by."""
    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    content_type: str
    content_encoding: str
    size_bytes: int
    """Of the body as published."""
    is_message: bool = True
    """False for what is in no format that could be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """One message of a queue, as it waits there."""

    token: Any
    """What the box knows its place by."""
    position: int
    """1 is the one that is next out."""
    raw: bytes


class Stop(Enum):
    """What a visitor says that has seen enough."""

    STOP = "stop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """How a letter goes back."""

    queue: str
    headers: Mapping[str, Any]
    exchange: str
    routing_key: str
    expiration: str | None = None


#: What a visitor says of a letter: None keeps it.
Visit = Callable[[Stored], Sending | Stop | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """How far a walk through a box went."""

    size: int
    """Letters in the box when it began."""
    shown: int
    complete: bool
    """False when there were letters that this kind of broker cannot show."""
    disturbed: bool = False
    """There were letters that could not be shown, since somebody else took them, or looks at them. It is not
    `complete` then."""
    left: int | None = None
    """Letters in the box when it ended, also those that came or were put back meanwhile; None if unknown."""


class Box(ABC):
    """The dead letters of one broker. One thread at a time uses an instance.

    Each method opens the connection at need and raises `BrokerError` when the broker refuses or does not
    answer within the deadline; the message is masked.
    """

    knows_its_queues: ClassVar[bool]
    """Whether the broker can say which queues have letters."""
    looking_marks: ClassVar[bool] = False
    """Whether a look takes the letters, and puts them back marked as redelivered."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.suffix = settings.dead_letters.suffix
        self.max_length = max(1, settings.dead_letters.max_length)
        self.app_id = app_id(app, settings)

    def dead(self, queue: str) -> str:
        """Return the name of the dead letters' queue; a letter that fails there stays there."""
        return queue if queue.endswith(self.suffix) else queue + self.suffix

    @abstractmethod
    def write(self, batch: Batch, deadline: Deadline) -> int:
        """Add letters with confirmation, and return how many of the oldest went for them.

        Safe to call again with the same batch after a failure.

        Raises:
            UnwritableError: one of them can never be written; nothing was.
        """

    @abstractmethod
    def sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters of each of `queues`, and of those that the broker knows besides."""

    @abstractmethod
    def known_sizes(self, queues: Sequence[str], deadline: Deadline) -> dict[str, int | None]:
        """Return the number of letters where there are, or were, some; cheap enough to be asked each second.

        `queues` are those that may have some, for brokers that cannot say.
        """

    @abstractmethod
    def walk(
        self,
        queue: str,
        visit: Visit,
        deadline: Callable[[], Deadline],
        sent: Callable[[bool], None] = lambda _: None,
    ) -> Walk:
        """Show the letters of `queue` now, the oldest first; send those that `visit` has a `Sending` for.

        A letter is published with confirmation first and removed then: killed in between, it is there twice
        on RabbitMQ; Redis does both at once. `sent` is told of each whether it went, or somebody else had
        taken it. `deadline` is asked before each operation for its own.
        """

    def walk_back(
        self,
        queue: str,
        visit: Callable[[Stored], Stop | None],
        deadline: Callable[[], Deadline],
        skip: int = 0,
    ) -> Walk:
        """Show letters of `queue` now, the newest first, without the `skip` newest; none is sent.

        Of a broker that shows only the first letters, that is the newest of those.
        """
        held: list[Stored] = []
        walk = self.walk(queue, held.append, deadline)
        shown = 0
        for stored in held[::-1][skip:]:
            shown += 1
            if visit(stored) is Stop.STOP:
                break
        return replace(walk, shown=shown)

    def heads(self, queue: str, deadline: Callable[[], Deadline]) -> Iterator[Head]:
        """Yield the first messages of `queue` itself, the one that is next out first; none is moved.

        Raises:
            UnsupportedError: this kind of broker shows a message only by taking it.
        """
        raise UnsupportedError(
            "Only on Redis can messages be set aside: RabbitMQ shows one only by taking it, and there none "
            "ends a worker. What is no task is deleted, with a line in the worker's log."
        )

    def waiting(self, queue: str, deadline: Deadline) -> int:
        """Return how many messages `queue` itself holds; as `heads`, only where they can be shown.

        Raises:
            BrokerError: also where the key of the queue holds something else than messages.
        """
        raise NotImplementedError

    def set_aside(self, queue: str, head: Head, reason: Reason, deadline: Callable[[], Deadline]) -> bool:
        """Move a message of `queue` into its dead letters, byte for byte; False where it is there no more.

        Both or nothing.
        """
        raise NotImplementedError

    @abstractmethod
    def purge(self, queue: str, deadline: Deadline) -> int:
        """Remove all letters of `queue`, and return how many there were."""

    def close(self) -> None:  # noqa: B027 - nothing may be open
        """Close the connection, if one is open."""
