"""Schedulers whose entries have a key of the project's own: subclasses, as projects have."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler, ScheduleEntry
from redbeat import RedBeatScheduler
from redbeat.schedulers import RedBeatSchedulerEntry


class OwnedEntry(ScheduleEntry):
    """An entry with a key of the project's own, which Celery's refuses."""

    def __init__(self, *args: Any, owner: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner


class OwnedScheduler(PersistentScheduler):
    """A scheduler with such entries."""

    Entry = OwnedEntry


class OwnedRedBeatEntry(RedBeatSchedulerEntry):
    """The same for RedBeat, which builds its entries from the same fields."""

    def __init__(self, *args: Any, owner: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner


class OwnedRedBeatScheduler(RedBeatScheduler):
    """A RedBeat with such entries."""

    Entry = OwnedRedBeatEntry
