"""django-celery-beat's scheduler on the app's clock, which a test sets: a subclass, as projects have."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class ShiftedEntry(ModelEntry):
    """An entry whose clock is the app's."""

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        self.schedule.nowfun = self.app.now

    def _default_now(self) -> datetime:
        moment: datetime = self.app.now()
        return moment


class ShiftedDatabaseScheduler(DatabaseScheduler):
    """A scheduler with such entries."""

    Entry = ShiftedEntry
