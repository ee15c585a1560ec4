"""What is counted of tasks, read within what is left of a page's deadline; what is not there is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from celery_health.deadline import Deadline
from celery_health.reading import get_hour, get_totals
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import HealthReport, Hour, Snapshot
from celery_health.text.printable import printable

#: What of the time that is left each of the two may take.
_SHARE: Final = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The last hour, and everything since the totals began."""

    hour: Hour | None = None
    """None when it is not known: `why_uncounted` says why."""
    totals: Mapping[str, TaskTotals] | None = None
    """By task name; None likewise."""


def counts_of(report: HealthReport, deadline: Deadline) -> Counts:
    """Read what is counted; nothing where the report says that no store answers.

    Raises:
        ConfigurationError: no app is configured, or a setting is wrong.
    """
    if not report.snapshot.store.reachable:
        return Counts()
    return Counts(hour=get_hour(_share(deadline)), totals=get_totals(_share(deadline)))


def _share(deadline: Deadline) -> Deadline:
    return deadline.within(deadline.remaining() * _SHARE)


def why_uncounted(snapshot: Snapshot) -> str:
    """Return why nothing that is counted is known, to stand behind a colon."""
    store = snapshot.store
    if snapshot.app.always_eager:
        return "tasks run in the process that calls them, where nobody counts them (task_always_eager)"
    if not store.configured:
        return "there is no store"
    if store.reachable is False:
        return f"the store did not answer ({printable(store.error or 'no reason is known', 300)})"
    return (
        printable(store.late, 300).rstrip(".") if store.late else "there was no time left to read the store"
    )
