"""What stands around every page: the verdict, the rail, how old it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from celery_health.health.headline import reason
from celery_health.page.blocks import Cell, name
from celery_health.page.links import Links
from celery_health.page.problems import worst_of
from celery_health.reading.schedules import schedule_entries
from celery_health.records import HealthReport, Snapshot, Status
from celery_health.text.formats import duration
from celery_health.text.printable import printable

#: Tasks that fail, named in the rail.
MOST_NAMED: Final = 8
#: Characters of why: the first thing that is wrong may be a very long name.
_MOST_OF_REASON: Final = 400
_TONES: Final = {Status.HEALTHY: "good", Status.DEGRADED: "warn", Status.UNHEALTHY: "bad"}


@dataclass(frozen=True, slots=True)
class Stop:
    """One link of the rail."""

    id: str
    title: str
    href: str
    count: int | None = None
    """How many there are; None where that is not known, or says nothing."""
    tone: str = ""
    """``bad`` or ``warn`` where a check found a fault of one of them: a dot."""
    trouble: str = ""
    """The same in words."""
    named: tuple[Cell, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Everything around a page."""

    links: Links
    here: str
    """The id of the stop that this page belongs to."""
    app: str
    status: str
    tone: str
    reason: str
    broker: str
    source: str
    stamp: str
    """When it was read, exactly: tells two readings apart."""
    taken_at: str
    age: str
    age_seconds: float
    rail: tuple[Stop, ...]


def frame(report: HealthReport, links: Links, here: str) -> Frame:
    """Return what stands around a page of `report`."""
    snapshot = report.snapshot
    why = printable(reason(report), _MOST_OF_REASON)
    return Frame(
        links=links,
        here=here,
        app=printable(snapshot.app.name, 80),
        status=report.status.value,
        tone=_TONES[report.status],
        reason=why[:1].upper() + why[1:],
        broker=printable(snapshot.broker.url),
        source=snapshot.source.value,
        stamp=snapshot.taken_at.isoformat(),
        taken_at=snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S %Z"),
        age=duration(report.age_seconds),
        age_seconds=round(report.age_seconds, 1),
        rail=_rail(report, links),
    )


def _rail(report: HealthReport, links: Links) -> tuple[Stop, ...]:
    snapshot, checks = report.snapshot, report.checks
    faults = {kind: worst_of(checks, kind) for kind in ("queue", "task", "worker", "entry", "letters")}
    entries = schedule_entries(snapshot.beats)
    letters = snapshot.dead_letters
    counts = list((letters or {}).values())
    tasks = sorted(faults["task"].items(), key=lambda item: (item[1] != "bad", item[0]))
    return (
        Stop("overview", "Overview", links.overview),
        _stop("queues", "Queues", links.queues, _queues(snapshot), faults["queue"]),
        _stop(
            "tasks",
            "Tasks",
            links.tasks,
            None,
            faults["task"],
            tuple(name(task, href=links.task(task), tone=tone) for task, tone in tasks[:MOST_NAMED]),
        ),
        _stop(
            "workers",
            "Workers",
            links.workers,
            _workers(snapshot),
            faults["worker"],
        ),
        _stop(
            "schedule", "Schedule", links.schedule, None if entries is None else len(entries), faults["entry"]
        ),
        _stop(
            "dead-letters",
            "Dead letters",
            links.dead_letters,
            None if letters is None or None in counts else sum(count or 0 for count in counts),
            faults["letters"],
        ),
        Stop("doctor", "Doctor", links.doctor),
    )


def _queues(snapshot: Snapshot) -> int | None:
    """Return how many there are; None where none was to be had, which is not that there is none."""
    is_lacking = snapshot.app.always_eager or snapshot.broker.is_lacking or snapshot.importing is not None
    return None if is_lacking and not snapshot.queues else len(snapshot.queues)


def _workers(snapshot: Snapshot) -> int | None:
    """Return how many live; None where that is not known."""
    live = sum(1 for worker in snapshot.workers if worker.state.is_live)
    is_known = snapshot.roster_is_known and not snapshot.app.always_eager
    return live if live or is_known else None


def _stop(
    id: str, title: str, href: str, count: int | None, faults: dict[str, str], named: Sequence[Cell] = ()
) -> Stop:
    tone = "bad" if "bad" in faults.values() else "warn" if faults else ""
    trouble = f"{len(faults)} with a fault" if faults else ""
    return Stop(id, title, href, count, tone, trouble, tuple(named))
