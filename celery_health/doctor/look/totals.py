"""How long tasks were seen to run, and where they were sent, from the store's totals."""

from __future__ import annotations

from collections.abc import Mapping

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.reading import get_reader
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import ObservedRuntime

#: Runs below which a quantile says nothing.
LEAST_SAMPLES = 20


def counted_totals(settings: Settings, deadline: Deadline) -> Mapping[str, TaskTotals]:
    """Return task name → what is counted of it; empty without a store that answers."""
    try:
        totals, _ = get_reader().on_demand.totals.get(deadline.within(settings.deadline))
    except CeleryHealthError:
        return {}
    return totals or {}


def observed_runtimes(totals: Mapping[str, TaskTotals]) -> Mapping[str, ObservedRuntime]:
    """Return task name → runtimes, of tasks with enough runs."""
    return {
        name: task.runtime
        for name, task in totals.items()
        if task.runtime is not None and task.runtime.samples >= LEAST_SAMPLES
    }


def names_sent(totals: Mapping[str, TaskTotals]) -> Mapping[str, frozenset[str]]:
    """Return queue → the names that were ever sent there."""
    found: dict[str, set[str]] = {}
    for name, task in totals.items():
        for queue in task.sent_to:
            found.setdefault(queue, set()).add(name)
    return {queue: frozenset(names) for queue, names in found.items()}
