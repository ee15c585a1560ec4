"""What crosses rooms about dead letters: why one was kept, what a page of them holds, what a requeue did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What made a letter of a message. `UNKNOWN`: it was put there by somebody else."""

    EXCEPTION = "exception"
    """An uncaught exception, retries that are used up, a soft limit, a result that cannot be serialised."""
    TIME_LIMIT = "time_limit"
    """The hard limit."""
    WORKER_LOST = "worker_lost"
    """Its process was killed, or exited."""
    REJECTED = "rejected"
    """``Reject`` without requeue."""
    ABANDONED = "abandoned"
    """The worker ended while it ran, and had acknowledged it before."""
    POISON = "poison"
    """It went back to the queue too often."""
    UNREGISTERED = "unregistered"
    """No task of this name."""
    UNDECODABLE = "undecodable"
    """A body or content type that the worker does not take."""
    INVALID = "invalid"
    """No task message, or one whose headers make no sense."""
    UNREADABLE = "unreadable"
    """No message that a worker could read: set aside before one took it."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a message was kept, as it travels with the message."""

    id: str
    """The letter's own: a message may have no task id, and a task may fail twice."""
    cause: Cause
    exception: str
    """Class name; empty when there was none."""
    message: str
    """Cut to `envelope.MAX_MESSAGE` characters; masked."""
    traceback: str | None
    """Its end, cut to `envelope.MAX_TRACEBACK` characters; masked."""
    worker: str
    attempts: int
    """Runs so far, those before an earlier requeue among them; 0 for what never ran."""
    failed_at: float
    """Unix seconds by the worker's clock."""
    first_failed_at: float
    queue: str
    exchange: str
    """As its sender published it."""
    routing_key: str
    priority: int | None
    content_type: str
    expiration: str | None = None
    """AMQP's own time to live (milliseconds): taken off, or the letter would vanish."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """One letter, for people.

    Texts come from the message, and are safe on a terminal: what it would act upon is visible. Where they
    become HTML, escape them.
    """

    id: str
    """The letter's own; a digest for one that somebody else put there."""
    task_id: str | None
    task_name: str | None
    cause: Cause
    exception: str
    """Class name; empty when there was none."""
    message: str
    traceback: str | None
    failed_at: float | None
    """Unix seconds by the worker's clock; None when unknown."""
    first_failed_at: float | None
    worker: str | None
    attempts: int | None
    queue: str
    """Where it goes back to."""
    exchange: str
    routing_key: str
    priority: int | None
    size_bytes: int
    """Of the body."""
    content_type: str
    args: str | None = None
    """As text; None unless ``SHOW_ARGUMENTS`` is on and the body is JSON."""
    kwargs: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """What letters are chosen and counted by: quicker to read than all of one. The fields of `DeadLetter`."""

    task_name: str | None
    cause: Cause
    exception: str
    failed_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How many letters a queue has, and which is the newest: what somebody knows who is asked about them."""

    size: int | None
    """None when it cannot be said."""
    newest_id: str | None
    """None without any, and where a look would mark them."""
    marked: bool
    """A look takes them: those that somebody else looks at are not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which letters are meant; what is None does not choose."""

    task: str | None = None
    """Exact name."""
    exception: str | None = None
    """Exact class name."""
    cause: Cause | None = None
    since: float | None = None
    """Failed at or after, unix seconds."""
    until: float | None = None
    """Failed before, unix seconds."""

    @property
    def takes_all(self) -> bool:
        """Say whether it chooses none."""
        return self == Filter()

    def takes(self, letter: DeadLetter | Brief) -> bool:
        """Say whether `letter` is meant. One that failed at an unknown time is in no span of time."""
        if self.task is not None and letter.task_name != self.task:
            return False
        if self.exception is not None and letter.exception != self.exception:
            return False
        if self.cause is not None and letter.cause is not self.cause:
            return False
        if self.since is None and self.until is None:
            return True
        if letter.failed_at is None:
            return False
        return (self.since is None or letter.failed_at >= self.since) and (
            self.until is None or letter.failed_at < self.until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Aside:
    """One message that was set aside, or would be."""

    position: int
    """Where it was: 1 is the one that was next out."""
    size_bytes: int
    why: str
    """Why no worker can read it: the rest of a sentence."""
    letter_id: str | None
    """The letter that it is now; None for a dry run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """What was set aside from the head of a queue."""

    queue: str
    messages: tuple[Aside, ...]
    looked_at: int
    """Messages from the head on."""
    not_looked_at: int
    """Those that waited behind them."""
    gone: int
    """Those that somebody else had taken by then."""
    dry_run: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some letters of one queue, the oldest first."""

    queue: str
    letters: tuple[DeadLetter, ...]
    size: int
    """Letters in the queue, those that no filter takes included."""
    offset: int
    """How many letters that the filter takes came before these."""
    looked_at: int
    """Letters that were looked through, from the oldest on."""
    more: bool
    """There are letters behind the last one looked at; whether the filter takes them is not known."""
    complete: bool
    """False on RabbitMQ when the queue holds more than can be shown: only the first are."""
    disturbed: bool = False
    """Those that are not shown were taken by somebody else, or are being looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Letters that failed in the same way."""

    task_name: str | None
    exception: str
    """Class name; empty when there was none."""
    cause: Cause
    count: int
    first: float | None
    """When the first of them failed, unix seconds; None when that is unknown."""
    last: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Newest:
    """Some letters of one queue, the newest first, and what kinds there are among those looked at."""

    queue: str
    letters: tuple[DeadLetter, ...]
    groups: tuple[Group, ...]
    """Of all that were looked at, whatever the filter takes: the largest first."""
    size: int
    """Letters in the queue."""
    looked_at: int
    taken: int
    """Of those looked at, how many the filter takes."""
    complete: bool
    """False on RabbitMQ when the queue holds more than can be shown: only the oldest are."""
    marked: bool
    """The look has marked them as redelivered."""
    disturbed: bool = False
    """Those that were not looked at were taken by somebody else, or are being looked at."""

    @property
    def is_all(self) -> bool:
        """Say whether every letter was looked at."""
        return self.looked_at >= self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What a search through the letters of several queues found."""

    letters: tuple[DeadLetter, ...]
    unread: Mapping[str, str]
    """Queue → why not all of its letters were looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Requeued:
    """What a requeue did, or with `dry_run` would have done."""

    queue: str
    requeued: int
    expired: int
    """Kept, since their ``expires`` is over: a worker would only throw them away. Force takes that off."""
    unsendable: int
    """Kept, since they are no messages: somebody else put them there."""
    gone: int
    """Somebody else took them meanwhile."""
    remaining: int | None
    """Letters left in the queue, all of them; None when it could not be counted."""
    looked_at: int
    complete: bool
    """False on RabbitMQ when the queue holds more than one call can reach: call again."""
    finished: bool
    """False when the limit or the time ended it before every letter had been looked at."""
    not_found: tuple[str, ...]
    """Ids asked for that no letter went by, among those looked at."""
    dry_run: bool
    timed_out: bool = False
    """The time ended it: there may be letters behind those looked at."""
    disturbed: bool = False
    """Not all were reached, since somebody else took them, or looks at them."""
