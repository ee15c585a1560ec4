"""Paste a printed fix into the project of a case, as a person does: by what is printed alone."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from kombu import Exchange

from celery_health.doctor.findings import Finding
from tests.cases.support import Project
from tests.doctor.pasting_words import follow

_RENAMED: Final = re.compile(r"\b(?P<old>[A-Z][A-Z0-9_]+) to (?P<new>[A-Z][A-Z0-9_]+)")
#: The module that the app of a case may be configured by.
CONFIG: Final = "celeryconfig"
_IN_MODULE: Final = f"In {CONFIG}: "
_NAMESPACE: Final = 'app.config_from_object("django.conf:settings", namespace="CELERY")'
#: Where the code of a fix may end: what follows is for people.
_END: Final = re.compile(r"$|\.?$|, |; | \(|: | to ")


def paste(project: Project, finding: Finding) -> bool:
    """Change the project as the fix says; False where it says nothing that can be pasted.

    Settings of Django's are changed there, and the app reads them anew.
    """
    # Of one that only follows from another, the own words.
    fix = finding.fix.rpartition("if this is still found: ")[2]
    before = dict(effective(project))
    if "Rename " in fix or _NAMESPACE in fix:
        _rename(project, finding, fix)
    elif line := code(fix):
        _run(project, line)
    elif not follow(project, finding, fix):
        return False
    _start_again(project, before)
    return True


def _run(project: Project, line: str) -> None:
    app, settings = project.app, vars(project.settings)
    if line.startswith("CACHE"):  # no app reads it
        exec(line, {"__builtins__": {}}, settings)
        return
    if app._config_source == CONFIG and "app." not in line:
        exec(line, {"Exchange": Exchange, "__builtins__": {}}, vars(sys.modules[CONFIG]))
        read_module(project)
        return
    exec(line, {"app": app, "Exchange": Exchange, "__builtins__": {}}, settings)
    settings.pop("app", None)
    if "app." not in line:
        read_settings(project, app.namespace)


def _rename(project: Project, finding: Finding, fix: str) -> None:
    settings = vars(project.settings)
    pairs = _RENAMED.findall(fix.partition(":")[0] if fix.startswith("Rename") else fix)
    if alone := re.search(r"Rename it to ([\w.]+\w)", fix):
        pairs = [(finding.subject.name, alone[1])]
    if pairs and (pairs[0][0].startswith("app.conf.") or project.app._config_source == CONFIG):
        for old, new in pairs:
            _rename_in_code(project, old, new)
        return
    for old, new in pairs:
        settings[new] = settings.pop(old)
    read_settings(project, "CELERY" if _NAMESPACE in fix else project.app.namespace)


def _rename_in_code(project: Project, old: str, new: str) -> None:
    if old.startswith("app.conf."):
        value = project.app.conf.maps[0].pop(old.removeprefix("app.conf."))
        project.app.conf[new.removeprefix("app.conf.")] = value
    else:
        names = vars(sys.modules[CONFIG])
        names[new] = names.pop(old)
        read_module(project)


def read_module(project: Project) -> None:
    """Have the app of a case read its module of settings, as `config_from_object` does."""
    assigned = {key: value for key, value in project.app.conf.maps[0].items() if key != "deprecated_settings"}
    project.app.config_from_object(CONFIG, force=True)
    project.app.conf.update(assigned)
    _forget(project)


def read_settings(project: Project, namespace: str | None) -> None:
    """Have the app of a case read its settings, as `config_from_object` does."""
    assigned = dict(project.app.conf.maps[0])
    project.app.config_from_object(project.settings, force=True, namespace=namespace)
    project.app.conf.update(assigned)
    _forget(project)


def _forget(project: Project) -> None:
    """Have the app make anew what it made of its configuration."""
    for made in ("amqp", "annotations", "timezone"):
        project.app.__dict__.pop(made, None)


def _start_again(project: Project, before: dict[str, Any]) -> None:
    """Have all be as in a process that starts with this configuration."""
    _forget(project)
    now = dict(effective(project))
    for task in project.app.tasks.values():
        cls: Any = type(task)
        for attribute, option in cls.from_config:
            if getattr(cls, attribute, None) == before.get(option):
                setattr(cls, attribute, now.get(option))
        for attribute in ("acks_on_failure", "acks_on_timeout"):
            # Made of both options when the task is bound (celery/app/task.py, Task.bind).
            own = now.get(f"task_{attribute}")
            setattr(cls, attribute, cls.acks_on_failure_or_timeout is not False if own is None else own)
        cls.annotate()
        task.__dict__.pop("_exec_options", None)


def code(fix: str) -> str | None:
    """Return the longest start of a fix that is Python, and sets something."""
    fix = fix.removeprefix(_IN_MODULE)
    for end in sorted({found.start() for found in _END.finditer(fix)}, reverse=True):
        try:
            body = ast.parse(fix[:end].strip()).body
        except SyntaxError:
            continue
        if body and all(isinstance(one, ast.Assign | ast.AugAssign) for one in body):
            return fix[:end].strip()
    return None


def effective(project: Project) -> Iterator[tuple[str, Any]]:
    """Yield every option of the app."""
    from celery.app.defaults import DEFAULTS

    conf: Any = project.app.conf
    for option in DEFAULTS:
        yield option, conf[option]
