"""What could not be written: publications that were refused, hang or are blocked, and results not stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class LastError:
    """The last of many errors, in words."""

    task: str
    exception: str
    """The name of its class."""
    text: str
    """Masked, one line, and short."""
    age_seconds: float
    """Since it happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """A process that RabbitMQ has told not to publish, and that would know if that were over."""

    process: str
    """``w1@host``, or ``process 42 on host``."""
    seconds: float
    """For how long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hanging:
    """A process in which publications have begun and do not end."""

    process: str
    count: int
    seconds: float
    """How long the longest has gone on."""
    tasks: tuple[str, ...] = ()
    """Some of the tasks that are to be sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentElsewhere:
    """What one process sent lately through another Celery app than the watched one, to another broker."""

    process: str
    app: str
    """Its name."""
    broker: str
    """Masked."""
    is_default: bool = False
    """It is the one that Celery makes where nobody made one."""
    is_unset: bool = False
    """Nobody said which broker it is to use."""
    sent: int = 0
    failed: int = 0
    """How many could not be sent even there."""
    tasks: tuple[str, ...] = ()
    """Some of their names."""
    age_seconds: float = 0.0
    """Since the last."""

    @property
    def count(self) -> int:
        """Return how many were sent so, or were to be."""
        return self.sent + self.failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """What processes say of publications that did not get through."""

    tasks: Mapping[str, int] = field(default_factory=dict)
    """Task → how many publications were refused, of those that were reported in the last `lately_seconds`."""
    last: LastError | None = None
    """The last of these, as far as anybody told."""
    blocked: tuple[Blocked, ...] = ()
    """Now; the longest first."""
    hanging: tuple[Hanging, ...] = ()
    """Now; the longest first."""
    elsewhere: tuple[SentElsewhere, ...] = ()
    """What went to another broker lately, by process and app."""

    @property
    def count(self) -> int:
        """Return how many publications were refused lately."""
        return sum(self.tasks.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResults:
    """What workers say of storing results lately."""

    unstored: Mapping[str, int] = field(default_factory=dict)
    """Task → how many results of it the backend did not take."""
    last: LastError | None = None
    stored: int = 0
    """Runs that succeeded of tasks whose results are kept: each had its result stored before."""
    is_over: bool = False
    """Since the last result that was not stored, others were."""

    @property
    def count(self) -> int:
        """Return how many results were not stored lately."""
        return sum(self.unstored.values())
