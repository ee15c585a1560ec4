"""What one entry of a schedule is, as plain facts, whatever scheduler keeps it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from celery.schedules import crontab

#: Texts of others' making end here.
MAX_TEXT: Final = 200
#: Names end where readers cut them, too (`reading.fields`): two that begin alike are not one.
MAX_NAME: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryFacts:
    """One entry, as its scheduler has it now."""

    name: str
    task: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it is sent with."""
    schedule: str | None = None
    """In words: ``every 30 s``, ``0 4 * * * (Europe/Berlin)``."""
    every_seconds: float | None = None
    """The interval, of a schedule that is one; None for those of the calendar or the sun."""
    enabled: bool = True
    last_run: datetime | None = None
    """When the scheduler last took it for due; None when it never did. Not that it was sent."""
    begins: float | None = None
    """Unix seconds before which it is not sent; None for an entry without such a time."""
    due: float | None = None
    """Unix seconds by the scheduler's clock; None when it is never due, or nobody has worked it out."""


def facts_of(entry: Any, due: float | None = None) -> EntryFacts:
    """Return the facts of a ``ScheduleEntry``, or of somebody's subclass of it: unknown is what it lacks."""
    schedule = getattr(entry, "schedule", None)
    options = getattr(entry, "options", None)
    return EntryFacts(
        name=str(entry.name),
        task=str(entry.task),
        options=options if isinstance(options, Mapping) else {},
        schedule=schedule_text(schedule),
        every_seconds=every_seconds(schedule),
        enabled=is_enabled(entry),
        last_run=last_run(entry),
        begins=_begins(entry),
        due=due,
    )


def is_enabled(entry: Any) -> bool:
    """Say whether an entry is switched on: a django-celery-beat entry's model says so, RedBeat's itself."""
    model = getattr(entry, "model", entry)
    if getattr(model, "one_off", False) and getattr(model, "total_run_count", 0):
        return False  # switched off the next time that beat looks at it
    return bool(getattr(model, "enabled", True))


def last_run(entry: Any) -> datetime | None:
    """Return when an entry last ran, by its scheduler."""
    moment = getattr(entry, "last_run_at", None)
    # An entry that never ran starts with the time at which it was made.
    if not isinstance(moment, datetime) or not getattr(entry, "total_run_count", 0):
        return None
    # Naive is UTC to Celery (``maybe_make_aware`` in celery/utils/time.py).
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _begins(entry: Any) -> float | None:
    moment = getattr(getattr(entry, "model", None), "start_time", None)
    return moment.timestamp() if isinstance(moment, datetime) else None


def every_seconds(schedule: Any) -> float | None:
    """Return the interval of a schedule that is one."""
    every = getattr(schedule, "run_every", None)
    return every.total_seconds() if isinstance(every, timedelta) else None


def schedule_text(schedule: Any) -> str | None:
    """Return a schedule in words."""
    if schedule is None:
        return None
    try:
        seconds = every_seconds(schedule)
        if seconds is not None:
            return f"every {duration_text(seconds)}"
        if isinstance(schedule, crontab):
            return _crontab_text(schedule)[:MAX_TEXT]
        return repr(schedule)[:MAX_TEXT]
    except Exception:  # somebody's schedule: its repr may do anything
        return type(schedule).__name__


def _crontab_text(schedule: Any) -> str:
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    text = " ".join(str(getattr(schedule, f"_orig_{field}")).replace(" ", "") for field in fields)
    zone = getattr(schedule, "tz", None)
    return f"{text} ({zone})" if zone is not None else text


def duration_text(seconds: float) -> str:
    """Return a duration in the largest unit that divides it: ``90 s``, ``5 min``, ``2 h``, ``7 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
