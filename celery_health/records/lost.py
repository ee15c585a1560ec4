"""What was lost with workers that vanished: the runs that they named, and the messages that nobody holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class LostRun:
    """A run that the last record of a vanished worker names."""

    task_id: str
    task_name: str
    is_acknowledged: bool | None = None
    """Its message was acknowledged before it ran, so nobody hands it out again; None when unknown."""
    returns_seconds: float | None = None
    """Until its message is handed out again; negative when that is overdue, None when unknown or never."""
    tag: str | None = None
    """The beginning of its delivery tag, while its message is not acknowledged; None where unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LostRuns:
    """The runs of one worker that it took with it, as far as none began again elsewhere.

    It vanished without a goodbye; or it gave them up at its end, and they come back to nobody.
    """

    hostname: str
    count: int
    """How many ran at most: some may have ended after its last record. Of those given up, all."""
    runs: tuple[LostRun, ...] = ()
    """Those that its record names, at most 100."""
    silent_seconds: float
    """Since its last record."""
    was_draining: bool = False
    """It had been told to stop."""
    are_given_up: bool = False
    """By its own word, at a cold shutdown: so many there were."""

    @property
    def gone(self) -> tuple[LostRun, ...]:
        """Return those that nobody hands out again."""
        return tuple(run for run in self.runs if run.is_acknowledged is True)

    @property
    def returning(self) -> tuple[LostRun, ...]:
        """Return those whose messages are handed out again."""
        return tuple(run for run in self.runs if run.is_acknowledged is False)

    @property
    def untold(self) -> int:
        """Return of how many it is not known whether they come back."""
        return self.count - len(self.gone) - len(self.returning)


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphans:
    """Messages taken from one queue long ago, neither acknowledged nor held by a worker that reports."""

    queue: str | None
    """None where they cannot be told apart by queue."""
    count: int | None
    """None when it is not known: `unknown` says why."""
    is_minimum: bool = False
    """There may be more: not all messages were looked at."""
    oldest_seconds: float | None = None
    """Since the first of them was taken."""
    first_returns_seconds: float | None = None
    """Until the first is handed out again; negative when that is overdue, None when unknown."""
    last_returns_seconds: float | None = None
    held_by: tuple[str, ...] = ()
    """Workers that held them by their last record, and are gone."""
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """All that is known to be lost, or to be held by nobody."""

    runs: tuple[LostRuns, ...] = ()
    """By worker."""
    orphans: tuple[Orphans, ...] = ()
    """By queue."""
    are_orphans_known: bool = False
    """The broker lists what is not acknowledged; where none are named, there are none but the `unknown`."""
