"""The enabled rows of django-celery-beat: what its scheduler will send."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.utils import timezone

from celery_health.doctor.facts import EntryFacts
from celery_health.doctor.live import KeptEntries
from celery_health.doctor.static.entries import entry_facts
from celery_health.reading.schedules import sending_beats
from celery_health.records import Snapshot
from celery_health.text.masking import describe_error
from celery_health.topology import Resolver

if TYPE_CHECKING:
    from celery import Celery

SOURCE: Final = "django_celery_beat"
#: Rows beyond are not looked at.
MOST_ROWS: Final = 2000
#: No entry has arguments of this type.
_NO_JSON: Final = object()
_SCHEDULES: Final = ("interval", "crontab", "solar", "clocked")
_OPTIONS: Final = ("queue", "exchange", "routing_key", "priority")


def table_entries(
    app: Celery, snapshot: Snapshot, configured: Collection[str], notes: list[str]
) -> KeptEntries:
    """Return the rows that beat sends; none where a beat is seen that does not read the tables.

    Of the `configured` entries, those are told whose row is switched off. Rows are read as they are:
    django-celery-beat's own entries would disable, and save, a broken one.
    """
    if not apps.is_installed(SOURCE) or not _tables_count(snapshot):
        return KeptEntries()
    try:
        resolver = Resolver(app)
        is_read = bool(sending_beats(snapshot.beats)) or SOURCE in str(app.conf.beat_scheduler)
        return KeptEntries(
            entries=tuple(_entries(app, resolver)),
            is_read=is_read,
            switched_off=_switched_off(configured) if is_read else frozenset(),
        )
    except Exception as error:  # no table yet, a database that is down, task_routes that cannot be read
        notes.append(f"the tables of django-celery-beat: {describe_error(error)}")
        return KeptEntries()


def _tables_count(snapshot: Snapshot) -> bool:
    """Say whether a beat reads the tables, or may: one that was seen tells, none leaves it open."""
    beats = sending_beats(snapshot.beats)
    return not beats or any(beat.stored_outside and "redbeat" not in (beat.scheduler or "") for beat in beats)


def _switched_off(names: Collection[str]) -> frozenset[str]:
    """Return those of `names` whose row beat does not send; when it starts, it leaves that so."""
    rows = _rows().filter(name__in=list(names)[:MOST_ROWS])
    now = timezone.now()
    return frozenset(row.name for row in rows if not row.enabled or _is_over(row, now))


def _rows() -> Any:
    model: Any = apps.get_model(SOURCE, "PeriodicTask")
    return model._default_manager.order_by("name")


def _is_over(row: Any, now: datetime) -> bool:
    return (row.expires is not None and row.expires <= now) or bool(row.one_off and row.total_run_count)


def _entries(app: Celery, resolver: Resolver) -> Iterator[EntryFacts]:
    now = timezone.now()
    for row in _rows().filter(enabled=True).select_related(*_SCHEDULES)[:MOST_ROWS]:
        if _is_over(row, now):
            continue
        facts = entry_facts(app, resolver, row.name, _fields(row), source=SOURCE)
        for name in ("args", "kwargs"):
            if _json(getattr(row, name), None) is _NO_JSON:
                why = f"{name} is no JSON, and beat disables the entry when it reads that"
                facts = replace(facts, misfit=why, signature=None)
        yield facts


def _fields(row: Any) -> dict[str, Any]:
    options = {name: value for name in _OPTIONS if (value := getattr(row, name)) is not None}
    return {
        "task": row.task,
        "schedule": next((kept.schedule for kind in _SCHEDULES if (kept := getattr(row, kind))), None),
        "args": _json(row.args, []),
        "kwargs": _json(row.kwargs, {}),
        "options": options,
    }


def _json(text: str | None, otherwise: Any) -> Any:
    """Return what the column holds; `_NO_JSON` for what is none."""
    try:
        return json.loads(text) if text else otherwise
    except (ValueError, RecursionError):
        return _NO_JSON
