"""Make HTML of it, by templates of our own: a project's template settings may know nothing of them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.template import Context, Engine

from celery_health.doctor.findings import by_depth
from celery_health.health.headline import reason
from celery_health.page.sections import tables, troubles
from celery_health.records import CheckStatus, HealthReport
from celery_health.text.formats import duration
from celery_health.text.printable import printable

if TYPE_CHECKING:
    from celery_health.doctor.findings import DoctorReport

#: What is said in whole sentences: nobody reads more of them.
_MOST_SENTENCES: Final = 20
_MOST_PASSED: Final = 100
_FOLDER: Final = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _engine() -> Engine:
    return Engine(dirs=[str(_FOLDER)], autoescape=True)


def _render(template: str, **context: Any) -> str:
    return _engine().get_template(template).render(Context(context))


def render_page(report: HealthReport, *, nonce: str, refresh_seconds: int, links: dict[str, str]) -> str:
    """Return the whole page. `nonce` allows its style and script; `links` are the resources' addresses."""
    return _render("page.html", nonce=nonce, refresh_seconds=refresh_seconds, **_of_report(report, links))


def render_content(report: HealthReport, *, links: dict[str, str]) -> str:
    """Return what of the page changes."""
    return _render("content.html", **_of_report(report, links))


def _of_report(report: HealthReport, links: dict[str, str]) -> dict[str, Any]:
    snapshot = report.snapshot
    passed = [check for check in report.checks if check.status is CheckStatus.PASS]
    todo = report.recommendations
    why = reason(report)
    return {
        "links": links,
        "app": printable(snapshot.app.name, 80),
        "status": report.status.value,
        "reason": why[:1].upper() + why[1:],
        "recommendations": [printable(text) for text in todo[:_MOST_SENTENCES]],
        "more_recommendations": max(0, len(todo) - _MOST_SENTENCES),
        "troubles": troubles(report.checks),
        "notes": [printable(note) for note in snapshot.notes[:_MOST_SENTENCES]],
        "passed": [
            (check.id, printable(check.subject or "", 120), printable(check.message))
            for check in passed[:_MOST_PASSED]
        ],
        "passed_count": len(passed),
        "sections": [(section, links.get(section.resource or "")) for section in tables(snapshot)],
        "broker": printable(snapshot.broker.url),
        "source": snapshot.source.value,
        "stamp": snapshot.taken_at.isoformat(),
        "taken_at": snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "age": duration(report.age_seconds),
    }


def render_doctor(report: DoctorReport) -> str:
    """Return the doctor's findings."""
    findings = [
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
    return _render(
        "doctor.html",
        findings=findings,
        silenced=report.silenced,
        unanswered=None if report.unanswered is None else printable(report.unanswered),
        notes=[printable(note) for note in report.notes],
        as_of=report.as_of.strftime("%H:%M:%S %Z"),
    )


def _proof(value: object) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def render_error(message: str, *, nonce: str, again_seconds: int | None) -> str:
    """Return a page that says why there is none, and tries again where that may help."""
    return _render("error.html", message=printable(message), nonce=nonce, again_seconds=again_seconds)
