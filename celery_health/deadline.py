"""How much time is left: one object handed down from the surface to every broker and store call."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from celery_health.exceptions import DeadlineExceeded
from celery_health.timing import Timing

#: What a reused connection may take of a deadline before it is taken for dead and opened anew: a firewall
#: that forgot the flow lets it hang for ever.
REUSED_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on this process's monotonic clock by which an answer is due."""

    expires_at: float
    """``time.monotonic()`` seconds."""

    budget_seconds: float
    """What was allowed in the first place: for messages."""

    timing: Timing = field(default_factory=Timing, compare=False, repr=False)
    """Where the time goes; shared by all deadlines that are made of this one."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline `seconds` from now."""
        return cls(expires_at=time.monotonic() + seconds, budget_seconds=seconds)

    def remaining(self) -> float:
        """Return the seconds left; 0.0 when none are, never negative."""
        return max(0.0, self.expires_at - time.monotonic())

    @property
    def expired(self) -> bool:
        """Say whether the time is used up."""
        return self.remaining() == 0.0

    def within(self, seconds: float) -> Deadline:
        """Return the earlier of this deadline and the one `seconds` from now."""
        expires_at = time.monotonic() + seconds
        if self.expires_at <= expires_at:
            return self
        return replace(self, expires_at=expires_at, budget_seconds=seconds)

    def own_delay(self) -> str | None:
        """Return why this process is late by itself; None where others kept it waiting."""
        return self.timing.own_delay()

    def timeout(self) -> float:
        """Return the seconds left, for a blocking call; never 0, which many libraries read as "for ever".

        Raises:
            DeadlineExceeded: nothing is left.
        """
        left = self.remaining()
        if left <= 0.0:
            raise DeadlineExceeded(f"No answer within {self.budget_seconds:.3g} s.")
        return left


class Allowance(Protocol):
    """Whoever says, before each wait of a connection, how long that may be."""

    def seconds_left(self) -> float:
        """Return what the next wait on the network may take.

        Raises:
            TimeoutError: nothing is left; an OSError, which every client library cleans up after.
        """

    def waiting(self, at_most: float, *, for_reply: bool = False) -> AbstractContextManager[None]:
        """Count the block as waiting for the peer (`Timing.waiting`)."""
