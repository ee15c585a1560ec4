"""The line that has workers import a module does so when it is pasted, and drops nothing that they have."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.rules.tasks_unimported import how_to_import
from celery_health.topology import import_tasks


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app with one module that it imports already, and three that it does not."""
    (tmp_path / "club_of_fix").mkdir()
    for name in (
        "had_by_fix",
        "chores_of_fix",
        "club_of_fix/__init__",
        "club_of_fix/tasks",
        "club_of_fix/jobs",
    ):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.imports = ["had_by_fix"]
    yield app
    app.close()
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_fix")]:
        del sys.modules[name]


@pytest.mark.parametrize("module", ["chores_of_fix", "club_of_fix.tasks", "club_of_fix.jobs"])
def test_how_to_import__a_line_and_a_setting_do_it(app: Any, module: str) -> None:
    fix = how_to_import(Evidence(app_name="proj"), module)
    line = re.match(r"app\.autodiscover_tasks\(.*?\)", fix)
    assert line is not None
    exec(line.group(), {"app": app})
    import_tasks(app)

    assert {module, "had_by_fix"} <= sys.modules.keys()
    assert fix.endswith(f"or add '{module}' to app.conf.imports")
