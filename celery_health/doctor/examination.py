"""Run the rules over evidence, and put what they find in order. Nothing here knows network or database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from celery_health.conf import SETTING, Settings, get_settings
from celery_health.doctor.causes import with_causes
from celery_health.doctor.entries import told_once
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import DoctorReport, Finding, Scope
from celery_health.doctor.rules import RULES, Rule
from celery_health.doctor.static import gather_static
from celery_health.doctor.wording import listed
from celery_health.records import Snapshot, WorkerState
from celery_health.topology import find_app_last

if TYPE_CHECKING:
    from celery import Celery


def examine(evidence: Evidence, rules: Sequence[Rule] = RULES) -> tuple[Finding, ...]:
    """Return what `rules` find, in their order; silenced findings included. Pure."""
    scope = Scope.STATIC if evidence.live is None else Scope.LIVE
    found = [
        finding
        for rule in rules
        if scope is Scope.LIVE or Scope.STATIC in rule.scopes
        for finding in rule.find(evidence)
    ]
    return tuple(told_once(found, evidence.all_entries))


def report_of(
    evidence: Evidence,
    settings: Settings,
    *,
    as_of: datetime | None = None,
    notes: Iterable[str] = (),
    rules: Sequence[Rule] = RULES,
) -> DoctorReport:
    """Return the findings that ``SILENCED`` leaves over, causes first.

    What follows from a finding that is silenced stands for itself: the project says that the other is meant.
    """
    findings = examine(evidence, rules)
    told = with_causes((one for one in findings if not one.is_silenced_by(settings.silenced)), evidence)
    return DoctorReport(
        findings=told,
        scope=Scope.STATIC if evidence.live is None else Scope.LIVE,
        as_of=as_of or datetime.now(UTC),
        unanswered=None if evidence.live is None else _unanswered(evidence),
        notes=(*notes, *([unseen] if (unseen := evidence.code.unseen) else []), *_clients(evidence)),
        silenced=len(findings) - len(told),
    )


def _clients(evidence: Evidence) -> Iterable[str]:
    """Yield the project's other apps that only send: what becomes of it is not looked at."""
    for other in evidence.identity.others:
        if not other.has_work:
            where = f" ({other.argument})" if other.argument else ""
            yield (
                f"the Celery app {other.name!r}{where}, which has no tasks and no schedule here: "
                f'{SETTING}["CELERY_APP"] says which app is looked at.'
            )


def _unanswered(evidence: Evidence) -> str | None:
    """Return who of broker and workers did not answer; None when both did, or need not."""
    assert evidence.live is not None, "asked of a live look alone"
    snapshot = evidence.live.snapshot
    if snapshot.app.always_eager:
        return None
    if snapshot.broker.late:
        return f"Whether the broker answers is not known. {snapshot.broker.late}"
    if snapshot.broker.reachable is False:
        told = "workers are known by their records alone" if evidence.workers else "no worker can be asked"
        return f"The broker does not answer, and {told}."
    if evidence.workers:
        return None
    broker = "The broker answers" if snapshot.broker.reachable else "The broker cannot be asked"
    return f"{broker}, and {_nobody(snapshot)}."


def _nobody(snapshot: Snapshot) -> str:
    """Return what is known of workers, where none is known to live."""
    silent = [worker.hostname for worker in snapshot.workers if worker.state is WorkerState.UNKNOWN]
    if silent:
        return f"no worker answers ({listed(silent)})"
    gone = [worker.hostname for worker in snapshot.workers]
    if gone:
        return f"no worker is alive: {listed(gone)} {'is' if len(gone) == 1 else 'are'} gone"
    return "no worker is there" if snapshot.inspection.complete else "no worker is known"


def examine_statically(app: Celery | None = None, settings: Settings | None = None) -> DoctorReport:
    """Return what code and settings show, without network and database.

    Raises:
        ConfigurationError: no app is configured, a setting is wrong, or a task module cannot be imported.
    """
    settings = settings or get_settings()
    return report_of(gather_static(app or find_app_last(settings), settings), settings)
