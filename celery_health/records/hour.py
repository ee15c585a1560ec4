"""What became of each task's runs in the last hour, minute by minute: for people, no verdict needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

#: Minutes of an hour, the present one included.
HOUR_MINUTES: Final = 60

_NONE: Final = (0,) * HOUR_MINUTES


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskHour:
    """The ends of one task's runs: of each kind 60 counts, the oldest minute first, the present one last.

    A count of a minute that is not known (see `Hour.is_known`) is 0 here.
    """

    succeeded: tuple[int, ...] = _NONE
    failed: tuple[int, ...] = _NONE
    """For good: no retry follows."""
    retried: tuple[int, ...] = _NONE
    unknown: tuple[int, ...] = _NONE
    """Messages that workers discarded, since they do not register the name."""
    rejected: tuple[int, ...] = _NONE
    """For good: by the task, or as what cannot be read."""
    expired: tuple[int, ...] = _NONE
    """Before they began."""
    redelivered: tuple[int, ...] = _NONE
    """Killed with their process, and their messages delivered again."""
    exceptions: Mapping[str, int] = field(default_factory=dict)
    """Name of the exception's class → failures for good within the hour; the most frequent first."""

    @property
    def succeeded_count(self) -> int:
        """Return how many runs succeeded within the hour."""
        return sum(self.succeeded)

    @property
    def failed_count(self) -> int:
        """Return how many runs failed for good within the hour."""
        return sum(self.failed)

    @property
    def retried_count(self) -> int:
        """Return how many runs asked for a retry within the hour."""
        return sum(self.retried)

    @property
    def unknown_count(self) -> int:
        """Return how many messages workers discarded within the hour."""
        return sum(self.unknown)

    @property
    def undone_count(self) -> int:
        """Return how many were rejected, had expired or were killed and come again, within the hour."""
        return sum(self.rejected) + sum(self.expired) + sum(self.redelivered)

    @property
    def ended_count(self) -> int:
        """Return how many of all kinds there were within the hour."""
        ended = self.succeeded_count + self.failed_count + self.retried_count + self.unknown_count
        return ended + self.undone_count

    @property
    def unnamed_count(self) -> int:
        """Return how many failures for good have no exception in `exceptions`.

        Earlier versions of celery_health did not keep it, and there are only so many that are kept.
        """
        return max(0, self.failed_count - sum(self.exceptions.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """The last hour of all tasks, by the store's clock."""

    taken_at: datetime
    """When it was read, in UTC, by the store's clock: it lies in the last of the minutes."""
    minutes: int
    """How many of the 60, the present one included, have been counted: before that nothing is known, since
    the store counts no longer than that. 0 when nobody ever reported."""
    unread: frozenset[int] = frozenset()
    """Places (0 the oldest, 59 the present) of counted minutes that could not be read, or not in time."""
    tasks: Mapping[str, TaskHour] = field(default_factory=dict)
    """By name, of those that had any end in the hour. "other" stands for all names over a cap."""
    problems: tuple[str, ...] = ()
    """What cannot be read, in sentences, with what to do."""

    def is_known(self, place: int) -> bool:
        """Say whether the counts at a place (0 the oldest minute, 59 the present) are known."""
        return place >= HOUR_MINUTES - self.minutes and place not in self.unread

    def task(self, name: str) -> TaskHour:
        """Return the hour of a task; all zeros for one that had no end in it."""
        return self.tasks.get(name) or TaskHour()

    def begins_at(self, place: int) -> datetime:
        """Return when the minute at a place (0 the oldest, 59 the present) began, in UTC."""
        present = self.taken_at.replace(second=0, microsecond=0)
        return present - timedelta(minutes=HOUR_MINUTES - 1 - place)
