"""The schedule that the app's configuration holds, as plain facts. No I/O: tables are read by the doctor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from celery import Celery

_FIELDS: Final = ("task", "schedule", "args", "kwargs", "options")


def configured_schedule(app: Celery) -> Mapping[str, Mapping[str, Any]]:
    """Return entry → its fields: of ``beat_schedule`` and of ``add_periodic_task``, which adds to it."""
    schedule = app.conf.beat_schedule or {}
    return {
        str(name): entry if isinstance(entry, Mapping) else entry_fields(entry)
        for name, entry in schedule.items()
    }


def entry_fields(entry: Any) -> Mapping[str, Any]:
    """Return the fields of a ``ScheduleEntry``, or of somebody's subclass of it."""
    return {name: getattr(entry, name, None) for name in _FIELDS}


def entry_options(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options that beat sends the entry's task with."""
    options = entry.get("options")
    return options if isinstance(options, Mapping) else {}
