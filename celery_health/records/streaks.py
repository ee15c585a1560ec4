"""How the last runs of a task ended, in a row: what one process saw of it since it last told the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Streak:
    """The runs of one task in the order in which they ended, in so far as it matters."""

    ended_well: bool = False
    """A run did; what follows counts those after the last that did, and ends what the store knows."""
    failures: int = 0
    """Runs that ended badly since."""
    failed_by: str = ""
    """The exception of the last of them, or another word for how."""
    retries: int = 0
    """Runs since that were a retry by autoretry, and were retried again by it."""
    retried_by: str = ""
    """The exception of the last of them."""
    attempts: int = 0
    """The most that one run had, of those that autoretry retries without a limit; 0 for none."""
    again_in_seconds: float = 0.0
    """When that run is tried again."""
    attempts_ended: int = 0
    """The most that one run had which is tried no more, however it ended; 0 for none."""

    @property
    def says_something(self) -> bool:
        """Say whether the store has to hear of it."""
        return any((self.ended_well, self.failures, self.retries, self.attempts, self.attempts_ended))

    def then(self, later: Streak) -> Streak:
        """Return both as one, `later` after this."""
        is_over = later.attempts_ended >= self.attempts
        most = self if self.attempts > later.attempts and not is_over else later
        streak = later
        if not later.ended_well:
            streak = replace(
                later,
                ended_well=self.ended_well,
                failures=self.failures + later.failures,
                failed_by=later.failed_by or self.failed_by,
                retries=self.retries + later.retries,
                retried_by=later.retried_by or self.retried_by,
            )
        return replace(
            streak,
            attempts=most.attempts,
            again_in_seconds=most.again_in_seconds,
            attempts_ended=max(self.attempts_ended, later.attempts_ended),
        )

    def beside(self, other: Streak) -> Streak:
        """Return both as one, of two queues in the same time: which came first is not known.

        A run that ended well ends what the other saw as well: at worst a failure within the same flush is
        not counted, and never one too many.
        """
        if self.ended_well == other.ended_well:
            both = replace(other, ended_well=False)
            return replace(self.then(both), ended_well=self.ended_well)
        well, badly = (self, other) if self.ended_well else (other, self)
        return badly.then(well)


#: What most flushes say of most tasks.
WELL: Final = Streak(ended_well=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskStreak:
    """What the store knows of how the last runs of one task ended, over all processes."""

    failures: int = 0
    """Runs that ended badly since the last that ended well."""
    failed_by: str = ""
    """The exception of the last of them; or ``killed``, ``expired``, ``rejected``."""
    failed_seconds: float = 0.0
    """Since the last of them ended."""
    retries: int = 0
    """Runs since the last that ended well that were a retry by autoretry, and were retried again by it."""
    retried_by: str = ""
    """The exception of the last run that autoretry retried."""
    retried_seconds: float = 0.0
    """Since the last of them ended."""
    attempts: int = 0
    """The most that one run had lately, of those that autoretry retries without a limit; 0 for none."""
    overdue_seconds: float = 0.0
    """Since that run was to be tried again; below 0 while it waits for it."""
