"""Run the rules over evidence, and put what they find in order."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from django.db import connections

from celery_health.celery_app import find_app
from celery_health.conf import Settings, get_settings
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import DoctorReport, Finding, Scope
from celery_health.doctor.look import gather_live
from celery_health.doctor.rules import RULES, Rule
from celery_health.doctor.static import gather_static
from celery_health.flight import SharedFlight
from celery_health.records import Snapshot

if TYPE_CHECKING:
    from celery import Celery

#: Seconds that a live examination may take.
LIVE_SECONDS: Final = 8.0
#: How much of its time looking may use; the rest is for judging and answering.
LOOK_SHARE: Final = 0.9
#: How long static evidence is kept in a process that looks again and again.
STATIC_SECONDS: Final = 60.0


def examine(evidence: Evidence, rules: Sequence[Rule] = RULES) -> tuple[Finding, ...]:
    """Return what `rules` find, worst first; silenced findings included. Pure."""
    scope = Scope.STATIC if evidence.live is None else Scope.LIVE
    found = [
        finding
        for rule in rules
        if scope is Scope.LIVE or Scope.STATIC in rule.scopes
        for finding in rule.find(evidence)
    ]
    return tuple(sorted(found, key=Finding.sort_key))


def report_of(
    evidence: Evidence,
    settings: Settings,
    *,
    as_of: datetime | None = None,
    notes: Iterable[str] = (),
    rules: Sequence[Rule] = RULES,
) -> DoctorReport:
    """Return the findings that ``SILENCED`` leaves over."""
    findings = examine(evidence, rules)
    heard = tuple(finding for finding in findings if not finding.is_silenced_by(settings.silenced))
    return DoctorReport(
        findings=heard,
        scope=Scope.STATIC if evidence.live is None else Scope.LIVE,
        as_of=as_of or datetime.now(UTC),
        answered=evidence.live is None or _answered(evidence.live.snapshot),
        notes=tuple(notes),
        silenced=len(findings) - len(heard),
    )


def _answered(snapshot: Snapshot) -> bool:
    """Say whether what had to be asked answered; without broker and workers nothing live is proven."""
    if snapshot.app.always_eager:
        return True
    return snapshot.broker.reachable is not False and any(worker.state.is_live for worker in snapshot.workers)


def examine_statically(app: Celery | None = None, settings: Settings | None = None) -> DoctorReport:
    """Return what code and settings show, without network and database.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
    """
    settings = settings or get_settings()
    return report_of(gather_static(app or find_app(settings), settings), settings)


def examine_live(deadline: Deadline | None = None, *, waits_for_imports: bool = False) -> DoctorReport:
    """Return what code, settings and the running system show, a second old at most, within `deadline`.

    What does not answer is a note in the report. Without `deadline`, `LIVE_SECONDS` are allowed; a command
    `waits_for_imports`, which then are no part of them.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
        DeadlineExceeded: importing, or something that was asked, takes longer.
    """
    settings = get_settings()
    examiner = _examiner_of(find_app(settings), settings)
    if waits_for_imports:
        examiner.static()
    return examiner.reports.get(deadline or Deadline.after(LIVE_SECONDS))[0]


class _Examiner:
    """What one process keeps of one app: its report, shared by all who ask, and its static evidence."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.reports = SharedFlight(self._examine, name="celery-health-doctor")
        self._lock = threading.Lock()
        self._static: tuple[float, Evidence] | None = None

    def static(self) -> Evidence:
        """Return the static evidence: it changes with the code, and that with the process."""
        with self._lock:
            if self._static is None or time.monotonic() - self._static[0] >= STATIC_SECONDS:
                self._static = time.monotonic(), gather_static(self.app, self.settings)
            return self._static[1]

    def _examine(self, deadline: Deadline) -> DoctorReport:
        try:
            evidence, notes = gather_live(
                self.static(), self.settings, deadline.within(deadline.remaining() * LOOK_SHARE), self.app
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
