"""The doctor's report as JSON: the body of ``doctor/`` and of ``celery_health doctor --json``."""

from __future__ import annotations

from typing import Any

from celery_health.doctor.findings import DoctorReport, Finding, Severity, Subject


def report_body(report: DoctorReport) -> dict[str, Any]:
    """Return `report` as the contract describes it."""
    return {
        "findings": [finding_body(finding) for finding in report.findings],
        "counts": {severity.value: report.count(severity) for severity in Severity},
        "silenced": report.silenced,
        "scope": report.scope.value,
        "answered": report.answered,
        "as_of": report.as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "notes": list(report.notes),
    }


def finding_body(finding: Finding) -> dict[str, Any]:
    """Return one finding."""
    cause = finding.because
    return {
        "code": finding.code,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "subject": _subject(finding.subject),
        "message": finding.message,
        "evidence": dict(finding.evidence),
        "fix": finding.fix,
        "docs": finding.docs,
        "because": None if cause is None else {"code": cause.code, "subject": _subject(cause.subject)},
    }


def _subject(subject: Subject) -> dict[str, str]:
    return {"kind": subject.kind.value, "name": subject.name}
