"""How tasks get a Request that records, composed with the one they bring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.utils.imports import symbol_by_name

from celery_health.worker.labels.requests import LabelledRequest
from celery_health.worker.labels.rules import LabelRules, TaskLabels
from celery_health.worker.requests import MonitoredRequest, Recording


class Composer:
    """Sets the Request of tasks to one that records, composed with the one they bring."""

    def __init__(self, recording: Recording, labels: LabelRules | None = None) -> None:
        """Take what to record into, and the metric labels that were opted in; None: there are none."""
        self.recording = recording
        self._rules = labels
        self._composed: dict[tuple[type, TaskLabels | None], type] = {}
        self._labels: dict[str, tuple[Any, TaskLabels | None]] = {}

    def apply(self, tasks: Iterable[Any]) -> list[str]:
        """Compose the Request of each of `tasks`; return the names of those that will record. Never raises.

        A task whose Request cannot be composed keeps it, runs as ever, and goes uncounted.
        """
        names = []
        for task in tasks:
            try:
                composed = self.compose(symbol_by_name(task.Request), self._labels_of(task))
                if task.Request is not composed:
                    task.Request = composed
                names.append(str(task.name))
            except Exception as error:
                self.recording.faults.caught("requests.compose", error)
        return names

    def _labels_of(self, task: Any) -> TaskLabels | None:
        """Return the metric labels of a task, found once: it is asked for again at each reconnect."""
        if self._rules is None:
            return None
        known = self._labels.get(task.name)
        if known is None or known[0] is not task:
            try:
                known = task, self._rules.of(task)
            except Exception as error:  # counted without them
                self.recording.faults.caught("labels.task", error)
                known = task, None
            self._labels[task.name] = known
        return known[1]

    def compose(self, request: type, labels: TaskLabels | None = None) -> type:
        """Return the class that records for this worker and is a `request` otherwise; one for each.

        Tasks with metric labels of their own have a class of their own: the others pay nothing for them.
        """
        # In a process that runs one worker after another, the tasks still name the last one's classes.
        base = getattr(request, "_health_base", request)
        composed = self._composed.get((base, labels))
        if composed is None:
            names = {"health": self.recording, "_health_base": base, "__module__": base.__module__}
            mixin: type = MonitoredRequest
            if labels is not None:
                mixin, names["health_labels"] = LabelledRequest, labels
            composed = type(base.__name__, (mixin, base), names)
            self._composed[base, labels] = composed
        return composed
