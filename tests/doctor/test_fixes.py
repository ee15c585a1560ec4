"""A fix that is printed works when it is pasted: the finding goes, nothing else comes or changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from celery.app import defaults

from celery_health.doctor.findings import DoctorReport, Finding, Kind
from tests.cases import (
    broken_live,
    broken_names,
    broken_options,
    broken_settings,
    broken_static,
    broken_to_all,
)
from tests.cases.support import BROKEN, Case, Project, a_project
from tests.doctor.pasting import CONFIG, code, effective, paste, read_module, read_settings
from tests.doctor.shop import Shop

pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*task attribute"),
    pytest.mark.filterwarnings("ignore:(?s).*already registered to a different callable"),
    pytest.mark.filterwarnings("ignore:(?s).*task_acks_on_failure_or_timeout"),
]

_STATIC = {
    one.__name__ for one in (broken_static, broken_options, broken_settings, broken_names, broken_to_all)
}
#: Cases of what is seen live alone, among the others.
_SEEN = ("E104", "E129", "W225", "W229")
STATIC = [c for c in BROKEN if c.build.__module__ in _STATIC and not c.finds[0].startswith(_SEEN)]
#: What beats did is in the store, whatever is set now: tests/beat/test_restarts.py proves what cures it.
LIVE = [c for c in BROKEN if c.build.__module__ == broken_live.__name__ and not c.finds[0].startswith("W229")]
#: Findings of settings that no line can put right: somebody has to choose.
FOR_PEOPLE: Final = {
    "W105": "which of the routes' forms is meant",
    "W115": "which of two schedules is meant",
    "W116": "a value, which is not shown",
    "W117": "which serializer is meant, or installed",
    "W210": "which backend there is",
    "W222": "which pool workers have",
    "W223": "which backend there is",
    "I303": "which tasks may run twice",
    "I308": "which backend there is",
    "I315": "which code is meant",
}
_TO_OLD: Final = defaults._TO_OLD_KEY  # type: ignore[attr-defined]


def name(finding: Finding) -> str:
    return f"{finding.code}:{finding.subject.kind}:{finding.subject.name}"


def found(report: DoctorReport) -> set[str]:
    return {name(finding) for finding in report.findings}


# Where the options of a case stand -----------------------------------------------------------------------


def in_code(project: Project) -> None:
    """Leave them on ``app.conf``."""


def in_settings(project: Project) -> None:
    """Have them in Django's settings, under a namespace."""
    _move(project, lambda option: f"CELERY_{option.upper()}", "CELERY")


def by_old_names(project: Project) -> None:
    """Have them in Django's settings, by the names from before Celery 4."""
    _move(project, lambda option: str(_TO_OLD[option]), None)


def in_own_namespace(project: Project) -> None:
    """Have them in Django's settings, under a namespace that is not the usual one."""
    _move(project, lambda option: f"QUEUE_{option.upper()}", "QUEUE")


def in_module(project: Project) -> None:
    """Have them in a module of their own, ``celeryconfig``."""
    _move(project, str, None, to=CONFIG)


def _move(project: Project, spelt: Callable[[str], str], namespace: str | None, to: str = "") -> None:
    if project.app.conf and project.app._config_source:
        pytest.skip("It has settings of its own.")
    len(project.app.conf)  # reads it
    assigned = project.app.conf.maps[0]
    options = {option: assigned.pop(option) for option in list(assigned) if option in defaults.DEFAULTS}
    project.app._preconf.clear()
    if to:
        module = ModuleType(to)
        vars(module).update({spelt(option): value for option, value in options.items()})
        project.monkeypatch.setitem(sys.modules, to, module)
        read_module(project)
        return
    vars(project.settings).update({spelt(option): value for option, value in options.items()})
    read_settings(project, namespace)


FORMS: Final = (in_code, in_settings, in_own_namespace, by_old_names, in_module)


def _each() -> Iterator[tuple[Case, int, Callable[[Project], None]]]:
    for case in STATIC:
        for index in range(len(case.finds)):
            is_setting = any(f":{Kind.SETTING}:" in find for find in case.finds)
            for form in FORMS if is_setting else (in_code,):
                yield case, index, form


EACH = list(_each())


@pytest.mark.parametrize(
    ("case", "index", "form"),
    EACH,
    ids=[f"{case.name}-{index}-{form.__name__}" for case, index, form in EACH],
)
def test_fix__puts_right_what_was_found_and_changes_nothing_else(
    case: Case, index: int, form: Callable[[Project], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        case.build(project)
        form(project)
        report = project.report()
        missing = set(case.finds) - found(report)
        if form is not in_code and missing:
            assert {find.partition(":")[0] for find in missing} <= {"W116", "W202"}
            pytest.skip("Settings of Django's that Celery reads say it already.")
        assert found(report) >= set(case.finds)
        finding, options = report.findings[index], dict(effective(project))
        if not paste(project, finding):  # for people, who are listed with what they alone know
            assert finding.subject.kind is not Kind.SETTING or finding.code in FOR_PEOPLE, finding.fix
            return
        after = project.report()
        changed = [option for option, value in effective(project) if value != options[option]]

    assert name(finding) not in found(after), finding.fix
    assert found(after) <= found(report), finding.fix
    if finding.subject.kind is not Kind.SETTING:
        return  # the routes, the schedule or the queues are what was to be changed
    # Others that were found may be put right with it.
    said = f"{finding.fix} {[(one.message, dict(one.evidence)) for one in report.findings]}".lower()
    assert [o for o in changed if o not in said and str(_TO_OLD[o]).lower() not in said] == []


# Live ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", LIVE, ids=lambda case: case.name)
def test_fix__of_a_look_puts_right_what_was_found(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        case.build(project)
        report = project.report()
        for finding in report.findings:
            if code(finding.fix) and paste(project, finding):
                after = found(project.report())
                assert name(finding) not in after, finding.fix


# In a settings file ---------------------------------------------------------------------------------------

#: Wrong in five ways, each of which one line puts right.
WRONG = """
    CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = 60
    CELERY_TASK_SERIALIZER = "yaml"
    CELERY_RESULT_BACKEND = "redis://127.0.0.1:1/1"
    CELERY_TASK_IGNORE_RESULT = False
    CELERY_RESULT_EXPIRES = None
    CELERY_TIMEZONE = "America/New_York"
    DEBUG = False
    CELERY_TASK_ALWAYS_EAGER = True
"""


def test_fix__is_pasted_into_a_settings_file(shop: Shop) -> None:
    shop.change(WRONG)
    asked = shop.doctor("--static")
    lines = [code(one["fix"]) for one in asked.body["findings"]]

    assert sorted({one.partition(":")[0] for one in asked.found}) == ["I306", "W117", "W204", "W211", "W212"]
    assert None not in lines, asked.body["findings"]

    shop.change(WRONG + "".join(f"    {line}\n" for line in lines))

    assert shop.doctor("--static").found == []
