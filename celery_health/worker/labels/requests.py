"""Runs of tasks that have metric labels of their own. A task without any never comes here."""

from __future__ import annotations

from typing import Any, ClassVar

from celery_health.worker.labelled import LabelledSeries
from celery_health.worker.labels.rules import TaskLabels
from celery_health.worker.requests import MonitoredRequest, Origin


class LabelledRequest(MonitoredRequest):
    """Counts a run under the labels that its arguments give."""

    health_labels: ClassVar[TaskLabels]
    """Set by `Composer`."""
    _health_is_labelled = False

    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        """Record the start, under the run's labels."""
        self._health_label()
        super().on_accepted(pid, time_accepted)

    def _health_return(self, result: Any) -> None:
        self._health_label()
        super()._health_return(result)

    def _health_end(self, *args: Any, **kwargs: Any) -> None:
        self._health_label()
        super()._health_end(*args, **kwargs)

    def _health_label(self) -> None:
        """Find the labels, once: a task may change the very arguments that they came from."""
        if self._health_is_labelled:
            return
        self._health_is_labelled = True
        try:
            labels = self.health_labels.of(self._args or (), self._kwargs or {})  # type: ignore[attr-defined]
            if labels:
                origin = self._message.celery_health_origin
                series = LabelledSeries(origin.series, self.health.totals, labels)
                self._message.celery_health_origin = Origin(queue=origin.queue, series=series)
        except Exception as error:
            self.health.faults.caught("labels.run", error)
