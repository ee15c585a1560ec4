"""How long tasks were seen to run, from the store's totals."""

from __future__ import annotations

from collections.abc import Mapping

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import CeleryHealthError
from celery_health.reading import get_reader
from celery_health.records import ObservedRuntime

#: Runs below which a quantile says nothing.
LEAST_SAMPLES = 20


def observed_runtimes(settings: Settings, deadline: Deadline) -> Mapping[str, ObservedRuntime]:
    """Return task name → runtimes, of tasks with enough runs; empty without a store that answers."""
    try:
        totals, _ = get_reader().totals.get(deadline.within(settings.deadline))
    except CeleryHealthError:
        return {}
    return {
        name: task.runtime
        for name, task in (totals or {}).items()
        if task.runtime is not None and task.runtime.samples >= LEAST_SAMPLES
    }
