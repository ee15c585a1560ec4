"""Schedule entries as facts, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from celery.schedules import crontab, schedule

from celery_health.doctor.facts import CrontabFacts, EntryFacts
from celery_health.doctor.static.options import call_error, plain
from celery_health.doctor.static.queues import queue_in
from celery_health.doctor.static.signatures import misfit, signature
from celery_health.doctor.static.tasks import route
from celery_health.topology import Resolver, configured_schedule, entry_options

if TYPE_CHECKING:
    from celery import Celery

#: In the order of crontab(5).
_CRONTAB: Final = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


def configured_entries(app: Celery, resolver: Resolver | None) -> Iterator[EntryFacts]:
    """Yield the entries of ``beat_schedule``, with those of ``add_periodic_task``."""
    for name, entry in configured_schedule(app).items():
        if isinstance(entry.get("task"), str):
            yield entry_facts(app, resolver, name, entry, source="settings")


def entry_facts(
    app: Celery, resolver: Resolver | None, name: str, entry: Mapping[str, Any], *, source: str
) -> EntryFacts:
    """Return the facts of one entry: a mapping with ``task, schedule, args, kwargs, options``."""
    task, options = entry["task"], entry_options(entry)
    destination, error = route(resolver, task, options)
    when = entry.get("schedule")
    why = _misfit(app.tasks.get(task), entry.get("args"), entry.get("kwargs"))
    return EntryFacts(
        name=name,
        source=source,
        task=task,
        schedule=_describe(when),
        interval_seconds=_interval(when),
        crontab=_crontab(when) if isinstance(when, crontab) else None,
        destination=destination,
        routing_error=error,
        misfit=why,
        signature=None if why is None else _signature(app.tasks.get(task)),
        option_names=tuple(str(option) for option in options),
        countdown_seconds=_number(options.get("countdown")),
        priority=options.get("priority"),
        queue_declaration=queue_in(app, options, f"beat entry {name!r}"),
        options=plain(options),
        call_error=call_error(options),
        expires_seconds=_number(options.get("expires")),
    )


def _misfit(task: Any, args: Any, kwargs: Any) -> str | None:
    """Return why a task cannot be called with an entry's arguments; None when it can, or is not known."""
    if task is None:
        return None
    try:
        # Beat takes them apart like this (celery/beat.py, _evaluate_entry_args): a str is its letters.
        positional: Iterable[Any] = list(args or ())
    except TypeError:
        return f"args is of type {type(args).__name__}: beat wants a list or tuple"
    if kwargs is not None and not isinstance(kwargs, Mapping):
        return f"kwargs is of type {type(kwargs).__name__}: beat wants a dict"
    return misfit(task, list(positional), kwargs or {})


def _signature(task: Any) -> str | None:
    """Return the parameters of a task as they are written; None where they cannot be read."""
    found = signature(task)
    if found is None:
        return None
    plain = [parameter.replace(annotation=parameter.empty) for parameter in found.parameters.values()]
    return str(found.replace(parameters=plain, return_annotation=found.empty))


def _interval(when: Any) -> float | None:
    if isinstance(when, timedelta):
        return when.total_seconds()
    if isinstance(when, schedule) and not isinstance(when, crontab):
        run_every: Any = when.run_every  # type: ignore[attr-defined]
        return run_every.total_seconds() if isinstance(run_every, timedelta) else _number(run_every)
    return _number(when)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _crontab(when: Any) -> CrontabFacts:
    return CrontabFacts(**{field: frozenset(getattr(when, field)) for field in _CRONTAB})


def _describe(when: Any) -> str:
    seconds = _interval(when)
    if seconds is not None:
        return f"every {seconds:g} s"
    if isinstance(when, crontab):
        return "crontab " + " ".join(str(getattr(when, f"_orig_{field}")) for field in _CRONTAB)
    return type(when).__name__
