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
        self._series.proved()

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

    # What is told apart of ends has no labels either.

    def expired(self) -> None:
        """Count a task that had expired before it began."""
        self._series.expired()

    def killed(self) -> None:
        """Count a run whose process was killed under it."""
        self._series.killed()

    def redelivered(self) -> None:
        """Count a run that was killed, and whose message will be delivered again."""
        self._series.redelivered()

    def turned_down(self) -> None:
        """Count a message that was rejected for good."""
        self._series.turned_down()

    def expected(self) -> None:
        """Count a run that failed with an exception that its task declares."""
        self._series.expected()

    def ignored(self) -> None:
        """Count a run that asked to be ignored."""
        self._series.ignored()

    def proved(self) -> None:
        """Note a run that ended well."""
        self._series.proved()

    def broke(self, by: str) -> None:
        """Note a run that ended badly."""
        self._series.broke(by)

    def retried_in_vain(self, by: str) -> None:
        """Note a run that was a retry by autoretry, and is retried again by it."""
        self._series.retried_in_vain(by)

    def retries_without_end(self, attempts: int, again_in_seconds: float, by: str) -> None:
        """Note a run that autoretry has tried so often, and tries again without a limit."""
        self._series.retries_without_end(attempts, again_in_seconds, by)

    def retries_ended(self, attempts: int) -> None:
        """Note a run that is tried no more."""
        self._series.retries_ended(attempts)
