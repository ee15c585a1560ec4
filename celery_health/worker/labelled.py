"""The counts of runs that have metric labels of their own."""

from __future__ import annotations

from celery_health import counters
from celery_health.reporting.series import TaskSeries
from celery_health.reporting.totals import Totals


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
