"""``celery_health doctor``: what is wrong, the proof, and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.core.management.base import CommandParser
from django.core.management.color import Style

from celery_health.doctor.body import report_body
from celery_health.doctor.findings import DoctorReport, Finding, Scope, Severity, by_depth
from celery_health.management.subcommands.base import UsageError
from celery_health.management.terminal import Terminal
from celery_health.text.formats import plural
from celery_health.text.printable import printable

HELP: Final = "Find what fails silently, with its proof and its fix."
OK: Final = 0
FOUND: Final = 1
COULD_NOT_LOOK: Final = 2
_INDENT: Final = "      "


def add_arguments(parser: CommandParser) -> None:
    """Add the options of the doctor."""
    parser.add_argument(
        "--static", action="store_true", help="Look at code and settings alone: no network, no database."
    )
    parser.add_argument("--json", action="store_true", help="Print the body of doctor/, and nothing else.")
    parser.add_argument(
        "--fail-on",
        default=Severity.ERROR.value,
        metavar="SEVERITY",
        help="Exit with 1 if anything at least so bad is found: error (the default), warning or info.",
    )


def run(terminal: Terminal, options: Mapping[str, Any]) -> int:
    """Print the findings, and return the exit status.

    It is 1 if one is at or over ``--fail-on``; else 2 if the broker, or every worker, did not answer: that is
    no "well".
    """
    level = _severity(options["fail_on"])
    report = _examine(static=options["static"])
    if options["json"]:
        # ASCII only: whatever a name holds, it reaches the terminal as \\u escapes.
        terminal.write_lines([json.dumps(report_body(report), indent=2, ensure_ascii=True, default=str)])
    else:
        terminal.write_lines(render(report, terminal.style))
    if report.any_at_least(level):
        return FOUND
    return OK if report.answered else COULD_NOT_LOOK


def _examine(*, static: bool) -> DoctorReport:
    # Imported here: the verdict, which is asked more often, need not pay for the rules.
    if static:
        from celery_health.doctor.examination import examine_statically

        return examine_statically()
    from celery_health.doctor.live_examination import examine_live

    return examine_live(waits_for_imports=True)


def render(report: DoctorReport, style: Style) -> Iterator[str]:
    """Yield the lines of a report: what was found, worst first, and what could not be looked at."""
    yield headline(report, style)
    if report.unanswered:
        yield style.WARNING(printable(report.unanswered))
    for finding, depth in by_depth(report.findings):
        # What only follows stands right beneath its cause, and reads as part of it.
        if depth == 0:
            yield ""
        for line in _finding(finding, style):
            yield f"{_INDENT * depth}{line}"
    if report.notes:
        yield ""
        for note in report.notes:
            yield f"Not looked at: {printable(note)}"


def headline(report: DoctorReport, style: Style) -> str:
    """Return the number of findings, and how far the look went."""
    how = "code and settings alone" if report.scope is Scope.STATIC else "live"
    silenced = f", {report.silenced} silenced" if report.silenced else ""
    if not report.findings and report.answered:
        known = "Nothing wrong was found" + (", as far as could be looked" if report.notes else "")
        return style.SUCCESS(f"{known} ({how}{silenced}).")
    if not report.findings:
        return style.WARNING(f"Nothing wrong was found, which proves little ({how}{silenced}).")
    names = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "hint"))
    counts = [plural(report.count(severity), name) for severity, name in names if report.count(severity)]
    paint = {Severity.ERROR: style.ERROR, Severity.WARNING: style.WARNING, Severity.INFO: style.NOTICE}
    worst = report.worst or Severity.INFO
    return paint[worst](f"{', '.join(counts)} ({how}{silenced}).")


def _finding(finding: Finding, style: Style) -> Iterator[str]:
    paint = {Severity.ERROR: style.ERROR, Severity.WARNING: style.WARNING, Severity.INFO: style.NOTICE}
    yield f"{paint[finding.severity](finding.code)}  {printable(finding.message)}"
    if finding.because is not None:
        yield f"      Follows from {printable(finding.because)}."
    yield f"      Fix: {printable(finding.fix)}"
    yield f"      {finding.rule}: {finding.docs}"


def _severity(value: object) -> Severity:
    try:
        return Severity(str(value))
    except ValueError:
        known = ", ".join(severity.value for severity in Severity)
        raise UsageError(f"--fail-on is {value!r}: give one of {known}.") from None
