"""What one entry is, whatever keeps it: a row is a schedule or an entry, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule, solar

from celery_health.beat.entries import duration_text, every_seconds, facts_of, is_enabled, schedule_text
from celery_health.topology import configured_schedule

APP = Celery("entries", set_as_current=False)


class Moody:
    """Somebody's schedule: its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("as told")


class InZone(crontab):
    """A crontab with a time zone of its own, as django-celery-beat's."""

    tz = ZoneInfo("Europe/Berlin")


SCHEDULES: list[tuple[Any, str | None, float | None]] = [
    (schedule(30.0, app=APP), "every 30 s", 30.0),
    (schedule(timedelta(minutes=5), app=APP), "every 5 min", 300.0),
    (schedule(5400.0, app=APP), "every 90 min", 5400.0),
    (schedule(timedelta(days=7), app=APP), "every 7 d", 604800.0),
    (schedule(0.5, app=APP), "every 0.5 s", 0.5),
    # Of the calendar: no interval, and the app's time zone.
    (crontab(minute=0, hour=4, app=APP), "0 4 * * * (UTC)", None),
    (crontab(minute="*/15", day_of_week="mon,fri", app=APP), "*/15 * * * mon,fri (UTC)", None),
    (InZone(minute=0, hour=4, app=APP), "0 4 * * * (Europe/Berlin)", None),
    # Nothing, and something that nobody can say.
    (None, None, None),
    (Moody(), "Moody", None),
]


@pytest.mark.parametrize(("kept", "text", "every"), SCHEDULES)
def test_schedule__in_words(kept: Any, text: str | None, every: float | None) -> None:
    assert schedule_text(kept) == text
    assert every_seconds(kept) == every


def test_schedule__of_the_sun() -> None:
    pytest.importorskip("ephem")
    kept = solar("sunrise", 48.1, 11.6, app=APP)
    assert schedule_text(kept) == "<solar: sunrise at latitude 48.1, longitude: 11.6>"
    assert every_seconds(kept) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (1.0, "1 s"), (90.0, "90 s"), (3600.0, "1 h"), (3660.0, "61 min"), (86400.0, "1 d")],
)
def test_duration__in_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


ENABLED = [
    # Celery's own know no switch.
    (SimpleNamespace(), True),
    # RedBeat's says so itself, django-celery-beat's by its row.
    (SimpleNamespace(enabled=False), False),
    (SimpleNamespace(model=SimpleNamespace(enabled=False)), False),
    (SimpleNamespace(model=SimpleNamespace(enabled=True)), True),
    # Once only: before it ran, and after, before beat has switched it off.
    (SimpleNamespace(model=SimpleNamespace(enabled=True, one_off=True, total_run_count=0)), True),
    (SimpleNamespace(model=SimpleNamespace(enabled=True, one_off=True, total_run_count=1)), False),
    (SimpleNamespace(model=SimpleNamespace(enabled=True, one_off=False, total_run_count=9)), True),
]


@pytest.mark.parametrize(("entry", "enabled"), ENABLED)
def test_entry__switched_on(entry: Any, enabled: bool) -> None:
    assert is_enabled(entry) is enabled


def test_facts__of_celerys_own_entry() -> None:
    ran = datetime(2026, 1, 28, 4, 0)
    entry = ScheduleEntry(
        name="report",
        task="proj.tasks.report",
        last_run_at=ran,
        total_run_count=3,
        schedule=schedule(60.0, app=APP),
        options={"queue": "slow"},
        app=APP,
    )
    facts = facts_of(entry, due=1.5)
    assert (facts.name, facts.task, facts.options) == ("report", "proj.tasks.report", {"queue": "slow"})
    assert (facts.schedule, facts.every_seconds, facts.enabled, facts.due) == ("every 1 min", 60.0, True, 1.5)
    # Naive is UTC.
    assert facts.last_run == ran.replace(tzinfo=UTC)


def test_facts__of_an_entry_that_never_ran_nor_says_much() -> None:
    entry = ScheduleEntry(name="new", task="t", schedule=schedule(60.0, app=APP), app=APP)
    # Made now, and counted as if it had run now: it has not.
    assert entry.last_run_at is not None
    assert facts_of(entry).last_run is None

    bare = facts_of(SimpleNamespace(name="bare", task="t", options=None))
    assert (bare.schedule, bare.every_seconds, bare.enabled, bare.due) == (None, None, True, None)
    assert bare.options == {}


def test_facts__begin_with_the_start_time_of_the_row() -> None:
    start = datetime(2026, 1, 28, 4, 0, tzinfo=UTC)
    row = SimpleNamespace(name="later", task="t", model=SimpleNamespace(enabled=True, start_time=start))
    assert facts_of(row).begins == start.timestamp()


def test_configured__entries_with_foreign_keys_are_read_and_never_built() -> None:
    app = Celery("foreign", set_as_current=False)
    written = {"task": "t", "schedule": 60.0, "owner": "billing", "options": {"queue": "slow"}}
    app.conf.beat_schedule = {"odd": written}
    # As Celery's scheduler would build it, it cannot be built.
    with pytest.raises(TypeError):
        ScheduleEntry(name="odd", app=app, **written)
    assert configured_schedule(app) == {"odd": written}
