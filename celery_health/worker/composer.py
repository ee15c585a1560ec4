"""How tasks get a Request that records, composed with the one they bring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.utils.imports import symbol_by_name

from celery_health.worker.requests import MonitoredRequest, Recording


class Composer:
    """Sets the Request of tasks to one that records, composed with the one they bring."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._composed: dict[type, type] = {}

    def apply(self, tasks: Iterable[Any]) -> list[str]:
        """Compose the Request of each of `tasks`; return the names of those that will record. Never raises.

        A task whose Request cannot be composed keeps it, runs as ever, and goes uncounted.
        """
        names = []
        for task in tasks:
            try:
                composed = self.compose(symbol_by_name(task.Request))
                if task.Request is not composed:
                    task.Request = composed
                names.append(str(task.name))
            except Exception as error:
                self.recording.faults.caught("requests.compose", error)
        return names

    def compose(self, request: type) -> type:
        """Return the class that records for this worker and is a `request` otherwise; one per class."""
        # In a process that runs one worker after another, the tasks still name the last one's classes.
        base = getattr(request, "_health_base", request)
        composed = self._composed.get(base)
        if composed is None:
            names = {"health": self.recording, "_health_base": base, "__module__": base.__module__}
            composed = type(base.__name__, (MonitoredRequest, base), names)
            self._composed[base] = composed
        return composed
