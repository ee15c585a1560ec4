"""What is read only when somebody asks for it: totals, the last hour, tasks one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.reading.checkout import Checkout
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.hour import HourMemory
from celery_health.reading.recorded import RecordedWorkers
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import Hour, Snapshot
from celery_health.store import RowsReading

if TYPE_CHECKING:
    from celery import Celery

#: The part of a deadline that reading may use; the rest is for judging and answering.
READING_SHARE = 0.9


class OnDemand:
    """Reads the store of one app over connections of its own, for all who ask at once."""

    def __init__(self, app: Celery, settings: Settings, snapshots: SharedFlight[Snapshot]) -> None:
        """Take the readings too: they say which workers there are."""
        self._snapshots = snapshots
        self._hour = HourMemory()
        self._lines = Checkout(lambda: RecordedWorkers(app, settings), RecordedWorkers.close)
        seconds = settings.deadline
        self.totals = SharedFlight(self._count, name="celery-health-totals", run_seconds=seconds)
        self.hours = SharedFlight(self._read_hour, name="celery-health-hour", run_seconds=seconds)
        self.rows = SharedFlight(self._list, name="celery-health-rows", run_seconds=seconds)

    def _count(self, run: Run) -> Mapping[str, TaskTotals] | None:
        with self._lines.checked_out(run) as recorded:
            return recorded.totals(_reading_part(run.deadline))

    def _read_hour(self, run: Run) -> Hour | None:
        with run.updating():
            epoch, known = self._hour.epoch, self._hour.final
        with self._lines.checked_out(run) as recorded:
            reading = recorded.minutes(epoch, known, _reading_part(run.deadline))
        if reading is None:
            return None
        with run.updating():
            return self._hour.take(reading)

    def _list(self, run: Run) -> RowsReading:
        snapshot, _ = self._snapshots.get(run.deadline)
        with self._lines.checked_out(run) as recorded:
            return recorded.rows(snapshot.workers, _reading_part(run.deadline))

    def close(self) -> None:
        """Close what is open; a run under way closes its connections when it ends."""
        self._lines.close()


def _reading_part(deadline: Deadline) -> Deadline:
    return deadline.within(deadline.remaining() * READING_SHARE)
