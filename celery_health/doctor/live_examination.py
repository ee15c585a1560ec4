"""Look at the running system and examine it: one look at a time in a process, shared by all who ask."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from django.db import connections

from celery_health.conf import Settings, get_settings
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.examination import report_of
from celery_health.doctor.findings import DoctorReport
from celery_health.doctor.look import gather_live
from celery_health.doctor.static import gather_static
from celery_health.exceptions import ImportedInThreadError
from celery_health.reading import prepare
from celery_health.reading.flight import Run, SharedFlight
from celery_health.reading.preparation import IMPORT_SECONDS
from celery_health.topology import find_app_last, import_tasks

if TYPE_CHECKING:
    from celery import Celery

#: Seconds that a live examination may take.
LIVE_SECONDS: Final = 8.0
#: How much of its time looking may use; the rest is for judging and answering.
LOOK_SHARE: Final = 0.9
#: How long static evidence is kept in a process that looks again and again.
STATIC_SECONDS: Final = 60.0


def examine_live(deadline: Deadline | None = None, *, waits_for_imports: bool = False) -> DoctorReport:
    """Return what code, settings and the running system show, a second old at most, within `deadline`.

    What does not answer is a note in the report. Without `deadline`, `LIVE_SECONDS` are allowed; a command
    `waits_for_imports`, for at most `IMPORT_SECONDS`, which then are no part of them.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
        DeadlineExceeded: something that was asked takes longer.
        LateDeadlineError: importing does, or this process is late itself.
    """
    settings = get_settings()
    examiner = _examiner_of(find_app_last(settings), settings)
    if waits_for_imports:
        imports = Deadline.after(IMPORT_SECONDS)
        prepare(IMPORT_SECONDS)
        try:
            examiner.static_evidence.get(imports)
        except ImportedInThreadError:
            # A command has the main thread for it. What else fails there is told by the look.
            with suppress(Exception):
                import_tasks(examiner.app, with_urls=True)
    return examiner.reports.get(deadline or Deadline.after(LIVE_SECONDS))[0]


class _Examiner:
    """What one process keeps of one app: its report, shared by all who ask, and its static evidence."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.reports = SharedFlight(self._examine, name="celery-health-doctor", run_seconds=LIVE_SECONDS)
        #: It changes with the code, and that with the process.
        self.static_evidence = SharedFlight(
            self._gather_static,
            name="celery-health-doctor-static",
            run_seconds=IMPORT_SECONDS,
            max_age_seconds=STATIC_SECONDS,
        )

    def _gather_static(self, run: Run) -> Evidence:
        with run.deadline.timing.doing("importing the project's task modules"):
            return gather_static(self.app, self.settings)

    def _examine(self, run: Run) -> DoctorReport:
        deadline = run.deadline
        # So that it is said what took the time before those who wait have left.
        static, _ = self.static_evidence.get(deadline.within(deadline.remaining() * LOOK_SHARE))
        try:
            evidence, notes = gather_live(
                static, self.settings, deadline.within(deadline.remaining() * LOOK_SHARE), self.app
            )
        finally:
            # This thread ends with the look, and its connections are nobody else's.
            connections.close_all()
        return report_of(evidence, self.settings, notes=notes)


def _examiner_of(app: Celery, settings: Settings) -> _Examiner:
    global _examiner
    with _examiner_lock:
        if _examiner is None or _examiner.app is not app or _examiner.settings is not settings:
            _examiner = _Examiner(app, settings)
        return _examiner


def _after_fork() -> None:
    # A lock held by another thread at the fork stays locked for ever in the child.
    global _examiner, _examiner_lock
    _examiner, _examiner_lock = None, threading.Lock()


_examiner: _Examiner | None = None
_examiner_lock = threading.Lock()
os.register_at_fork(after_in_child=_after_fork)
