"""Django's tasks on a backend that sends them by Celery, in a package written for one test."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest


def use_tasks(
    monkeypatch: pytest.MonkeyPatch, folder: Path, backend: str, source: str, **params: Any
) -> ModuleType:
    """Set ``TASKS`` to a backend, and import `source`, where ``task`` is known, as ``jobs``.

    `backend` is a class of `tests/topology/backends.py`, or a path. Skips on a Django without tasks.
    """
    tasks: Any = pytest.importorskip("django.tasks")
    monkeypatch.syspath_prepend(str(folder))
    path = backend if "." in backend else f"tests.topology.backends.{backend}"
    import_module(path.rpartition(".")[0])
    handler = tasks.TaskBackendHandler({"default": {"BACKEND": path, **params}})
    monkeypatch.setattr(tasks, "task_backends", handler)
    (folder / "jobs.py").write_text(f"from django.tasks import task\n{dedent(source)}")
    monkeypatch.delitem(sys.modules, "jobs", raising=False)
    module = import_module("jobs")
    monkeypatch.setitem(sys.modules, "jobs", module)
    return module
