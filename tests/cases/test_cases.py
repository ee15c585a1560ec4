"""Every broken configuration is found with its code and fix, and nothing is found wrong with a sound one."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_health.doctor.findings import DoctorReport
from celery_health.doctor.rules import RULES
from tests.cases import (  # noqa: F401 - they fill the lists
    broken_identity,
    broken_live,
    broken_names,
    broken_options,
    broken_settings,
    broken_static,
    broken_to_all,
    sound_identity,
    sound_live,
    sound_names,
    sound_options,
    sound_settings,
    sound_static,
    sound_to_all,
)
from tests.cases.support import BROKEN, SOUND, Case, a_project
from tests.text.splitting import commands_in

pytestmark = [
    # Celery 5.7 calls task attributes old; real projects use them all the same.
    pytest.mark.filterwarnings("ignore:(?s).*task attribute"),
    pytest.mark.filterwarnings("ignore:(?s).*already registered to a different callable"),
]


def run(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> DoctorReport:
    with a_project(folder, monkeypatch) as project:
        case.build(project)
        return project.report()


def found(report: DoctorReport) -> list[str]:
    return sorted(f"{f.code}:{f.subject.kind}:{f.subject.name}" for f in report.findings)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_broken__is_found_with_code_and_fix(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(case, tmp_path, monkeypatch)

    assert found(report) == list(case.finds), [f.message for f in report.findings]
    assert case.fix is not None
    assert case.fix in report.findings[0].fix
    for finding in report.findings:
        commands_in(finding.fix)


@pytest.mark.parametrize("case", SOUND, ids=lambda case: case.name)
def test_sound__is_left_alone(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(case, tmp_path, monkeypatch)

    assert found(report) == [], [f.message for f in report.findings]


def test_cases__are_many_and_have_names_of_their_own() -> None:
    names = [case.name for case in (*BROKEN, *SOUND)]

    assert len(BROKEN) >= 40
    assert len(SOUND) >= 40
    assert len(set(names)) == len(names)


def test_cases__every_code_has_a_broken_one() -> None:
    shown = {find.partition(":")[0] for case in BROKEN for find in case.finds}
    codes = {code for rule in RULES for code in rule.codes()}

    assert shown == codes


def test_cases__every_rule_has_a_sound_near_miss() -> None:
    assert {name for case in SOUND for name in case.near} == {rule.name for rule in RULES}
