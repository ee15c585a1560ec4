"""What the doctor finds, as a page shows it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from celery_health.doctor.findings import DoctorReport, Finding, Kind, Severity, by_depth
from celery_health.page.blocks import Cell, Html, Page, name
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Advice
from celery_health.page.problems import advice
from celery_health.page.rendering import render
from celery_health.text.formats import plural
from celery_health.text.printable import printable

#: Causes with what follows from them; all are in the JSON.
MOST_FINDINGS: Final = 200
MOST_ON_OVERVIEW: Final = 20
_MOST_FOLLOWING: Final = 50
_MOST_NOTES: Final = 50
#: How often the findings are looked for anew: `page.js` has the same.
LOOK_SECONDS: Final = 60
_WORDS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "hint"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One finding, ready to be shown."""

    key: str
    """Unique on the page, and the same as long as it is found."""
    code: str
    severity: str
    """``error``, ``warning`` or ``hint``."""
    message: str
    subject: Cell
    fix: Advice
    rule: Cell
    """The rule, with the page that explains it."""
    because: str
    proof: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """A finding that stands for itself, and those that only follow from it."""

    found: Found
    follows: tuple[Found, ...]
    more: int
    """How many follow besides."""


def page(report: DoctorReport | None, links: Links) -> Page:
    """Return all findings; None leaves them to the script, which asks for them by themselves."""
    html = "" if report is None else findings(report, links, most=MOST_FINDINGS)
    return Page(
        title="Doctor",
        blocks=(Html(id="findings-now", html=html, is_kept=True, is_fresh=report is not None),),
        json=links.json("doctor"),
        reload_seconds=LOOK_SECONDS,
    )


def findings(report: DoctorReport, links: Links, *, most: int = MOST_ON_OVERVIEW) -> str:
    """Return the findings as HTML, the worst `most` causes of them with what follows."""
    causes = list(_causes(report.findings, links))
    return render(
        "doctor.html",
        causes=causes[:most],
        left_out=max(0, len(causes) - most),
        links=links,
        counts=_counts(report),
        silenced=plural(report.silenced, "finding") if report.silenced else "",
        unanswered=None if report.unanswered is None else printable(report.unanswered),
        notes=[printable(note) for note in report.notes[:_MOST_NOTES]],
        as_of=report.as_of.strftime("%Y-%m-%d %H:%M:%S %Z"),
    )


def _causes(found: Iterable[Finding], links: Links) -> Iterator[Cause]:
    groups: list[list[Finding]] = []
    for finding, depth in by_depth(found):
        if depth and groups:
            groups[-1].append(finding)
        else:
            groups.append([finding])
    for cause, *follows in groups:
        shown = tuple(_found(one, links) for one in follows[:_MOST_FOLLOWING])
        yield Cause(found=_found(cause, links), follows=shown, more=len(follows) - len(shown))


def _found(finding: Finding, links: Links) -> Found:
    identity = f"{finding.code}:{finding.subject.kind}:{finding.subject.name}"
    return Found(
        key=hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:12],
        code=finding.code,
        severity=_WORDS[finding.severity],
        message=printable(finding.message),
        subject=_subject(finding, links),
        fix=advice(finding.fix),
        rule=name(finding.rule, href=links.rule(finding.rule)),
        because=printable(finding.because, 200) if finding.because else "",
        proof=tuple((printable(key, 80), _proof(value)) for key, value in finding.evidence.items()),
    )


def _subject(finding: Finding, links: Links) -> Cell:
    """Return what it is about, with the page of that."""
    subject = finding.subject
    pages = {
        Kind.TASK: links.task,
        Kind.BEAT_ENTRY: links.entry,
        # What is wrong with dead letters is seen there.
        Kind.QUEUE: links.letters if finding.rule.startswith("dead-letters") else links.queue,
        Kind.WORKER: links.worker,
    }
    page = pages.get(subject.kind)
    href = links.schedule if subject.kind is Kind.BEAT else "" if page is None else page(subject.name)
    shown = name(subject.name, href=href)
    return shown._replace(text=f"{subject.kind.value.replace('_', ' ')} {shown.text}")


def _proof(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return printable(", ".join(value))
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _counts(report: DoctorReport) -> str:
    counts = [(report.count(severity), word) for severity, word in _WORDS.items()]
    return ", ".join(plural(count, word) for count, word in counts if count)
