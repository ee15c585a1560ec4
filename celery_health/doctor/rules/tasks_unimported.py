"""A module of the project defines tasks, and no worker imports it.

Its tasks are registered in no worker: messages for them are discarded. It happens when an app's tasks live
in a module of another name than ``tasks``, when ``autodiscover_tasks()`` is missing or given a list, or
when a module is left out of ``imports``.

The source of ``<app>.tasks`` of every own app in ``INSTALLED_APPS``, and of every module that a beat entry
names, is read (not imported) when the module was not imported after everything that a worker imports. It
counts when a function stands under Celery's decorator there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class TasksUnimported(Rule):
    """A task module is not imported by workers."""

    number: ClassVar = 114
    name: ClassVar = "tasks-unimported"
    summary: ClassVar = "A module of the project defines tasks, and workers do not import it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per module."""
        named = {entry.task.rpartition(".")[0] for entry in evidence.entries}
        for module in evidence.code.unimported:
            if module.module in named:
                continue  # said of the entry, with the same fix
            package, _, last = module.module.rpartition(".")
            how = (
                "Call app.autodiscover_tasks() without a list in the module that makes the Celery app"
                if last == "tasks"
                else f"Import it in {package}.tasks"
            )
            yield self.finding(
                Kind.TASK,
                module.tasks[0],
                f"Workers do not import {module.module}, which defines {listed(module.tasks)}: "
                "they would discard calls of that.",
                evidence={"module": module.module, "tasks": list(module.tasks)},
                fix=f"{how}, or set app.conf.imports = ['{module.module}'].",
            )
