"""Run the rules over evidence, and put what they find in order. Nothing here knows network or database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from celery_health.celery_app import find_app
from celery_health.conf import Settings, get_settings
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import DoctorReport, Finding, Scope
from celery_health.doctor.rules import RULES, Rule
from celery_health.doctor.static import gather_static
from celery_health.records import Snapshot

if TYPE_CHECKING:
    from celery import Celery


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
