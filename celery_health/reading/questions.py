"""What was asked of workers over remote control, and what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from celery_health.headers import STATS_MARK

#: Command → all replies that came under one name.
Said = Mapping[str, Sequence[Any]]

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
    """Host name → reply, the last that came."""
    replies: list[tuple[str, Any]] = field(default_factory=list)
    """Host name and reply, each that came: two workers may share a name."""
    received: int = 0
    """Replies, which are more than names where two workers share one; those that cannot be read too."""
    undecodable: int = 0

    @property
    def is_answered(self) -> bool:
        """Say whether no answer is missing."""
        return self.expected is not None and len(self.answers) + self.undecodable >= self.expected

    def said_by(self, name: str) -> list[Any]:
        """Return each reply that came under a name."""
        return [reply for sender, reply in self.replies if sender == name]


def processes(stats: Iterable[Any]) -> dict[Any, Mapping[str, Any]]:
    """Return pid → reply of those replies to ``stats`` that are one."""
    return {one.get("pid"): one for one in stats if isinstance(one, dict) and "error" not in one}


def is_doubled(said: Said) -> bool:
    """Say whether two processes answered, one of them without celery_health."""
    found = processes(said.get("stats", ()))
    return len(found) > 1 and any(STATS_MARK not in one for one in found.values())
