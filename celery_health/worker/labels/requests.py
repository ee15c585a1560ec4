"""Runs of tasks that have metric labels of their own. A task without any never comes here."""

from __future__ import annotations

from typing import Any, ClassVar

from celery_health import counters
from celery_health.reporting.series import TaskSeries
from celery_health.reporting.totals import Totals
from celery_health.worker.labels.rules import TaskLabels
from celery_health.worker.requests import MonitoredRequest, Origin


class LabelledSeries:
    """The counts of one task from one queue with one set of labels.

    How runs begin and end is counted with the labels, everything else without: a histogram for each value
    would be twenty series a value.
    """

    __slots__ = ("_labels", "_series", "_totals", "name", "queue")

    def __init__(self, series: TaskSeries, totals: Totals, labels: str) -> None:
        self.name = series.name
        self.queue = series.queue
        self._series = series
        self._totals = totals
        self._labels = labels

    def started(self) -> None:
        """Count a run that began."""
        self._totals.labelled(counters.STARTED, self._series, self._labels)

    def succeeded(self) -> None:
        """Count a run that returned."""
        self._totals.labelled(counters.SUCCEEDED, self._series, self._labels)

    def failed(self, exception: str) -> None:
        """Count a run that failed for good; `exception` is the name of the class."""
        self._totals.labelled(counters.FAILED, self._series, self._labels, exception)

    def received(self) -> None:
        """Count a message that the worker took."""
        self._series.received()

    def retried(self) -> None:
        """Count a run that asked for a retry."""
        self._series.retried()

    def rejected(self) -> None:
        """Count a message that was rejected."""
        self._series.rejected()

    def revoked(self) -> None:
        """Count a task that was revoked or had expired."""
        self._series.revoked()

    def runtime(self, seconds: float) -> None:
        """Add how long a run took."""
        self._series.runtime(seconds)

    def queue_wait(self, seconds: float) -> None:
        """Add how long a message waited."""
        self._series.queue_wait(seconds)


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
