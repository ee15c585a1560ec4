"""Where beat's schedule stands: the heap that its scheduler works through, a table, or Redis.

The heap is looked at in the agent's thread, without I/O. Tables and Redis are read in a thread that may hang.
A scheduler's own ``schedule`` is never touched: it may be a shelve, a query or a round trip of beat's thread,
and schedule objects are not computed with, since some (solar) change as they are asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final, Protocol

from celery_health.beat.entries import EntryFacts, facts_of, is_enabled, last_run

#: Entries that are reported; `Listing.total` says how many there are.
MAX_ENTRIES: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The entries that one look found."""

    entries: Sequence[EntryFacts]
    """Those due first, at most `MAX_ENTRIES`."""
    total: int
    read_at: float
    """``time.monotonic`` seconds."""


class Heap:
    """The heap of ``celery.beat.Scheduler.tick``, which most schedulers inherit."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._known: dict[str, tuple[Any, EntryFacts]] = {}

    @property
    def identity(self) -> int | None:
        """Return what changes when the scheduler builds its heap anew; None when it has none."""
        heap = getattr(self._scheduler, "_heap", None)
        return None if heap is None else id(heap)

    def look(self) -> Listing | None:
        """Return what the heap holds now; None before the first tick, and for schedulers without one."""
        heap = getattr(self._scheduler, "_heap", None)
        if not isinstance(heap, list):
            return None
        # Copied at one stroke: beat works on it meanwhile.
        events = sorted(list(heap), key=lambda event: event[0])  # noqa: C414
        entries = [self._facts(event[2], float(event[0])) for event in events[:MAX_ENTRIES]]
        self._known = {facts.name: self._known[facts.name] for facts in entries}
        return Listing(entries=entries, total=len(events), read_at=monotonic())

    def _facts(self, entry: Any, due: float) -> EntryFacts:
        name = str(entry.name)
        known = self._known.get(name)
        # Entries are replaced when they run or are edited; a model may be switched off in place.
        if known is None or known[0] is not entry:
            facts = facts_of(entry, due)
        else:
            facts = known[1]
            if facts.due != due or facts.enabled != is_enabled(entry):
                facts = replace(facts, due=due, enabled=is_enabled(entry), last_run=last_run(entry))
        self._known[name] = entry, facts
        return facts


class StoredSchedule(Protocol):
    """A schedule that lives outside beat."""

    refresh_seconds: float
    """How often it is worth reading."""
    is_judged: bool
    """Whether its entries are beat's own with their due times, or just there to be listed."""

    def read(self) -> Listing:
        """Read it; may take its time, and raise anything."""


class Table:
    """The table of django-celery-beat.

    Its scheduler keeps in its heap only what is switched on and, of crontabs, what is due within some two
    hours (``enabled_models_qs`` in django_celery_beat/schedulers.py). The rest is listed, and not judged:
    whether this beat, or a subclass's choice of rows, would send it is not known here.
    """

    refresh_seconds = 300.0
    is_judged = False

    def __init__(self, scheduler: Any) -> None:
        self._model = scheduler.Model

    def read(self) -> Listing:
        """Read the table by a connection of this thread's own, closed again."""
        from django.db import connections

        try:
            rows = self._model._default_manager.order_by("name")
            found = rows.select_related("interval", "crontab", "solar", "clocked")[: MAX_ENTRIES + 1]
            entries = [_row_facts(_Row(row)) for row in found]
            total = len(entries) if len(entries) <= MAX_ENTRIES else rows.count()
        finally:
            connections.close_all()
        return Listing(entries=entries[:MAX_ENTRIES], total=total, read_at=monotonic())


class _Row:
    """A row of the table with the attributes of an entry."""

    def __init__(self, model: Any) -> None:
        self.name, self.task, self.model = model.name, model.task, model
        self.schedule = _schedule_of(model)
        names = ("queue", "exchange", "routing_key")
        self.options = {name: value for name in names if (value := getattr(model, name, None))}
        self.last_run_at, self.total_run_count = model.last_run_at, model.total_run_count


def _row_facts(row: _Row) -> EntryFacts:
    # The schedule is this row's own, made just now: it may be computed with.
    try:
        wait = row.schedule.remaining_estimate(row.last_run_at or row.schedule.now())
        due = time.time() + wait.total_seconds()
    except Exception:  # no schedule, or a clocked one that is over
        due = None
    return facts_of(row, due)


def _schedule_of(model: Any) -> Any:
    try:
        return model.schedule
    except Exception:  # a row without any schedule, or whose schedule is gone
        return None


class RedBeat:
    """RedBeat's entries in Redis: a hash each, and a sorted set of when they are due."""

    refresh_seconds = 15.0
    is_judged = True

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler

    def read(self) -> Listing:
        """Read all in two round trips."""
        from redbeat.schedulers import get_redis

        scheduler, app = self._scheduler, self._scheduler.app
        key = app.redbeat_conf.schedule_key
        # Read first: what is sent while we read makes the due times of this reading old.
        read_at = monotonic()
        with get_redis(app).pipeline(transaction=False) as pipe:
            pipe.zrangebyscore(key, 0, "+inf", start=0, num=MAX_ENTRIES, withscores=True)
            # Below zero: never due again (RedBeatSchedulerEntry.score).
            pipe.zrangebyscore(key, "-inf", "(0", start=0, num=MAX_ENTRIES, withscores=True)
            pipe.zcard(key)
            upcoming, over, total = pipe.execute()
            scored = [*upcoming, *over][:MAX_ENTRIES]
            for name, _ in scored:
                pipe.hmget(name, "definition", "meta")
            found = pipe.execute()
        rows = zip(scored, found, strict=True)
        entries = [facts for (_, due), row in rows for facts in _redbeat_facts(scheduler, row, due)]
        return Listing(entries=entries, total=total, read_at=read_at)


def _redbeat_facts(scheduler: Any, row: Sequence[Any], due: float) -> Iterable[EntryFacts]:
    definition, meta = row
    if not definition:
        return  # deleted while we read
    try:
        fields = {**scheduler.Entry.decode_definition(definition), **scheduler.Entry.decode_meta(meta)}
        yield facts_of(_Fields(fields), due if due >= 0 else None)
    except Exception:  # an entry that cannot be read is RedBeat's to complain of
        return


class _Fields:
    """The fields that RedBeat stores, with the attributes of an entry."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.name, self.task = fields["name"], fields.get("task")
        self.schedule, self.options = fields.get("schedule"), fields.get("options")
        self.enabled = fields.get("enabled", True)
        self.last_run_at, self.total_run_count = fields.get("last_run_at"), fields.get("total_run_count")


def stored_schedule(scheduler: Any) -> StoredSchedule | None:
    """Return the reader of a schedule that lives outside beat; None for those that beat itself holds."""
    if hasattr(getattr(scheduler, "Model", None), "_default_manager"):
        return Table(scheduler)
    if hasattr(scheduler.app, "redbeat_conf") and hasattr(scheduler, "lock_key"):
        return RedBeat(scheduler)
    return None
