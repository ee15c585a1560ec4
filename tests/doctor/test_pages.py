"""docs/doctor says what the rules say: a page and an anchor for every code."""

from __future__ import annotations

import re

import pytest

from celery_health.doctor import checks, wiring
from celery_health.doctor.findings import Kind, Severity
from celery_health.doctor.rules import RULES
from celery_health.management.subcommands import doctor
from tests.cases import test_cases  # noqa: F401 - it fills the lists
from tests.doctor.pages import FOLDER, pages
from tests.support import ROOT

INDEX = (FOLDER / "index.md").read_text()


def test_pages__are_what_the_rules_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in pages().items():
        assert (FOLDER / name).read_text() == text, "Run: python -m tests.doctor.pages"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_pages__have_the_anchor_that_findings_name(rule: object) -> None:
    path, anchor = rule.docs().split("#")  # type: ignore[attr-defined]

    assert f"\n## {anchor}\n" in (ROOT / path).read_text()


def test_index__names_every_system_check_besides() -> None:
    listed = re.findall(r"^\| `(celery_health\.W0\d\d)` \|", INDEX, re.MULTILINE)

    assert listed == [
        checks.SETTINGS_WRONG,
        checks.APP_UNKNOWN,
        checks.TASKS_BROKEN,
        wiring.APP_MISSING,
        wiring.FRAMEWORK_MISSING,
        wiring.URLS_TWICE,
        wiring.URLS_MISSING,
        wiring.PATH_WRONG,
        checks.DETAILS_PUBLIC,
        checks.METRICS_PUBLIC,
    ]


def test_index__names_severities_subjects_and_statuses() -> None:
    for severity in Severity:
        assert f"`{severity.value}`" in INDEX
    for kind in Kind:
        assert f"`{kind.value}`" in INDEX
    statuses = re.findall(r"^\| `(\d)` \|", INDEX, re.MULTILINE)
    assert statuses == [str(status) for status in (doctor.OK, doctor.FOUND, doctor.COULD_NOT_LOOK)]
