"""What was asked of workers over remote control, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: Beat answers remote control under this name since Celery 5.7 (``beat_enable_remote_control``).
BEAT_PREFIX: Final = "celerybeat@"


@dataclass(frozen=True, kw_only=True, slots=True)
class Census:
    """Who answered when everybody was asked: other applications' workers and beats too."""

    names: frozenset[str]
    listeners: int
    """How many the question reached."""
    is_complete: bool
    """As many answered: nobody else listens."""


@dataclass(kw_only=True, slots=True)
class Question:
    """One command that was sent, and what has come back of it so far."""

    command: str
    expected: int | None = None
    """How many answers there can be; None where nobody knows."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Host name → reply."""
    received: int = 0
    """Replies, which are more than names where two workers share one; those that cannot be read too."""
    undecodable: int = 0

    @property
    def is_answered(self) -> bool:
        """Say whether no answer is missing."""
        return self.expected is not None and len(self.answers) + self.undecodable >= self.expected
