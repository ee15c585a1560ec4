"""Run the rules over evidence, and put what they find in order."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from celery_health.celery_app import find_app
from celery_health.conf import Settings, get_settings
from celery_health.deadline import Deadline
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import DoctorReport, Finding, Scope
from celery_health.doctor.look import gather_live
from celery_health.doctor.rules import RULES, Rule
from celery_health.doctor.static import gather_static

if TYPE_CHECKING:
    from celery import Celery

#: What a look at the running system may take, once the project's modules are imported.
LIVE_SECONDS: Final = 8.0
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
        notes=tuple(notes),
        silenced=len(findings) - len(heard),
    )


def examine_statically(app: Celery | None = None, settings: Settings | None = None) -> DoctorReport:
    """Return what code and settings show, without network and database.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
    """
    settings = settings or get_settings()
    return report_of(gather_static(app or find_app(settings), settings), settings)


def examine_live(deadline: Deadline | None = None) -> DoctorReport:
    """Return what code, settings and the running system show, within `deadline` once the code is imported.

    What does not answer is a note in the report. Without `deadline`, `LIVE_SECONDS` are allowed.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
    """
    settings = get_settings()
    app = find_app(settings)
    static = _static.get(app, settings)
    evidence, notes = gather_live(static, settings, deadline or Deadline.after(LIVE_SECONDS), app)
    return report_of(evidence, settings, notes=notes)


class _StaticEvidence:
    """The static evidence of this process's app: code changes only with the process, settings with tests."""

    def __init__(self) -> None:
        self._kept: tuple[object, object, float, Evidence] | None = None

    def get(self, app: Celery, settings: Settings) -> Evidence:
        kept = self._kept
        if (
            kept is not None
            and kept[0] is app
            and kept[1] is settings
            and time.monotonic() - kept[2] < STATIC_SECONDS
        ):
            return kept[3]
        evidence = gather_static(app, settings)
        self._kept = (app, settings, time.monotonic(), evidence)
        return evidence


_static = _StaticEvidence()
