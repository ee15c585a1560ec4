"""``celery_health doctor``: what it prints, and its exit status."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.color import no_style

from celery_health.doctor.findings import DoctorReport, Finding, Kind, Scope, Severity, Subject
from celery_health.exceptions import ConfigurationError
from celery_health.management.subcommands.doctor import render
from tests.api.conftest import FOUND


def finding(severity: Severity, name: str = "x", **changes: Any) -> Finding:
    found = replace(FOUND.findings[0], severity=severity, subject=Subject(kind=Kind.QUEUE, name=name))
    return replace(found, code=f"{severity.letter}101", **changes)


def report(*findings: Finding, **changes: Any) -> DoctorReport:
    return replace(FOUND, findings=findings, **changes)


NOTHING = report()
BLIND = report(
    unanswered="The broker answers, and no worker is there.", notes=("the broker at redis://b/0: refused",)
)
ALL = [Severity.ERROR, Severity.WARNING, Severity.INFO]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the doctor finds: ``found["live"] = report``; the last question is in ``found["asked"]``."""
    kept: dict[str, Any] = {"live": NOTHING, "static": replace(NOTHING, scope=Scope.STATIC)}

    def answer(scope: str) -> Any:
        kept["asked"] = scope
        if isinstance(kept[scope], Exception):
            raise kept[scope]
        return kept[scope]

    monkeypatch.setattr(
        "celery_health.doctor.live_examination.examine_live", lambda **options: answer("live")
    )
    monkeypatch.setattr("celery_health.doctor.examination.examine_statically", lambda: answer("static"))
    return kept


def run(*argv: str) -> int:
    try:
        call_command("celery_health", "doctor", *argv)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


#: What is found, --fail-on, and the exit status.
STATUSES = [
    (NOTHING, None, 0),
    (report(finding(Severity.ERROR)), None, 1),
    (report(finding(Severity.WARNING)), None, 0),
    (report(finding(Severity.WARNING)), "warning", 1),
    (report(finding(Severity.INFO)), "warning", 0),
    (report(finding(Severity.INFO)), "info", 1),
    (report(finding(Severity.ERROR)), "info", 1),
    # Nobody answered: that nothing was found means nothing.
    (BLIND, None, 2),
    (replace(BLIND, findings=(finding(Severity.WARNING),)), None, 2),
    # But what was found is proven all the same.
    (replace(BLIND, findings=(finding(Severity.WARNING),)), "warning", 1),
]


@pytest.mark.parametrize(("seen", "level", "status"), STATUSES)
@pytest.mark.parametrize("as_json", [False, True])
def test_status__table(
    found: dict[str, Any], seen: DoctorReport, level: str | None, status: int, as_json: bool
) -> None:
    found["live"] = seen

    options = ["--fail-on", level] if level else []

    assert run(*options, *(["--json"] if as_json else [])) == status


def test_static__looks_at_code_and_settings_alone(
    found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--static") == 0

    assert found["asked"] == "static"
    assert capsys.readouterr().out == "Nothing wrong was found (code and settings alone).\n"


@pytest.mark.parametrize("value", ["bad", "ERROR", ""])
def test_fail_on__bad_value_names_the_known(found: dict[str, Any], value: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(f"--fail-on={value}")

    assert caught.value.returncode == 2
    assert str(caught.value) == f"--fail-on is {value!r}: give one of error, warning, info."
    assert "asked" not in found


def test_configuration_error__exits_2(found: dict[str, Any]) -> None:
    found["live"] = ConfigurationError("No Celery app is configured. Set CELERY_APP.")

    with pytest.raises(CommandError, match=r"^No Celery app is configured\. Set CELERY_APP\.$") as caught:
        run()
    assert caught.value.returncode == 2


def test_json__is_the_body_of_the_endpoint(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    found["live"] = report(finding(Severity.ERROR, message="a\x1b[31m\u202eb"))

    run("--json")

    written = capsys.readouterr().out
    assert "\x1b" not in written
    assert written.isascii()
    body = json.loads(written)
    assert body["findings"][0]["message"] == "a\x1b[31m\u202eb"
    assert body["counts"] == {"error": 1, "warning": 0, "info": 0}


def test_text__shows_proof_and_fix() -> None:
    shown = "\n".join(render(FOUND, no_style()))

    assert shown == (
        "1 error (live).\n"
        "\n"
        "E101  Beat entry 'sync' sends 'accounts.tasks.sync', which no consumer of 'celery' registers.\n"
        "      Fix: Set the entry's task to 'accounts.tasks.sync_accounts'.\n"
        "      beat-task-unregistered: docs/doctor/lost-work.md#beat-task-unregistered"
    )


def test_text__counts_what_there_is() -> None:
    many = report(
        finding(Severity.ERROR), finding(Severity.WARNING), finding(Severity.WARNING, "y"), silenced=3
    )

    assert next(iter(render(many, no_style()))) == "1 error, 2 warnings (live, 3 silenced)."
    assert next(iter(render(report(finding(Severity.INFO)), no_style()))) == "1 hint (live)."


def test_text__says_what_was_not_looked_at() -> None:
    partly = replace(NOTHING, notes=("the tables of django-celery-beat: no such table",))

    assert list(render(partly, no_style())) == [
        "Nothing wrong was found, as far as could be looked (live).",
        "",
        "Not looked at: the tables of django-celery-beat: no such table",
    ]


def test_text__is_no_green_when_nobody_answered() -> None:
    assert list(render(BLIND, no_style())) == [
        "Nothing wrong was found, which proves little (live).",
        "The broker answers, and no worker is there.",
        "",
        "Not looked at: the broker at redis://b/0: refused",
    ]


def test_text__lets_no_escape_through() -> None:
    evil = report(finding(Severity.ERROR, message="\x1b[2J", fix="a\nb"), notes=("\u202e",))

    shown = "\n".join(render(evil, no_style()))

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "Fix: a\\nb" in shown


@pytest.mark.parametrize("severity", ALL)
def test_severities__order(severity: Severity) -> None:
    assert [severity.at_least(other) for other in ALL] == [
        ALL.index(severity) <= ALL.index(other) for other in ALL
    ]


def test_report__as_of_is_utc() -> None:
    from celery_health.doctor.body import report_body

    moment = datetime(2026, 11, 21, 10, 0, 0, 5000, tzinfo=UTC)

    assert report_body(replace(NOTHING, as_of=moment))["as_of"] == "2026-11-21T10:00:00.005Z"
