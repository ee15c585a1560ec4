"""What the doctor finds, as a page shows it. Pure."""

from __future__ import annotations

import json

from celery_health.doctor.findings import DoctorReport, by_depth
from celery_health.page.blocks import Html, Page
from celery_health.page.links import Links
from celery_health.page.rendering import render
from celery_health.text.printable import printable


def page(report: DoctorReport, links: Links) -> Page:
    """Return all findings."""
    return Page(
        title="Doctor", blocks=(Html(id="findings", html=findings(report)),), json=links.json("doctor")
    )


def findings(report: DoctorReport) -> str:
    """Return the findings as HTML."""
    found = [
        {
            "code": finding.code,
            "severity": finding.severity.value,
            "subject": printable(finding.subject, 200),
            "message": printable(finding.message),
            "fix": printable(finding.fix),
            "docs": finding.docs,
            "because": printable(finding.because, 200) if finding.because else None,
            "depth": depth,
            "evidence": [(printable(key, 80), _proof(value)) for key, value in finding.evidence.items()],
        }
        for finding, depth in by_depth(report.findings)
    ]
    return render(
        "doctor.html",
        findings=found,
        silenced=report.silenced,
        unanswered=None if report.unanswered is None else printable(report.unanswered),
        notes=[printable(note) for note in report.notes],
        as_of=report.as_of.strftime("%H:%M:%S %Z"),
    )


def _proof(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
