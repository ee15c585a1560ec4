"""A module of the project defines tasks, and no worker imports it.

Its tasks are registered in no worker: messages for them are discarded. It happens when an app's tasks live
in a module of another name than ``tasks``, when ``autodiscover_tasks()`` is missing or given a list, or
when a module is left out of ``imports``.

The source of ``<app>.tasks`` of every own app in ``INSTALLED_APPS``, and of every module that a beat entry
names, is read (not imported) when the module was not imported after everything that a worker imports: task
modules, and what Django's system checks bring along. It counts when a function stands under Celery's
decorator there. What a worker that lives registers all the same (``--include``) is left alone, and so is
what another app of the project imports or discovers: its workers have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import listed


class TasksUnimported(Rule):
    """A task module is not imported by workers."""

    number: ClassVar = 114
    name: ClassVar = "tasks-unimported"
    summary: ClassVar = "A module of the project defines tasks, and workers do not import it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per module."""
        if not evidence.knows_all_names:
            return  # what cannot be imported here may import it
        named = {entry.task.rpartition(".")[0] for entry in evidence.entries}
        others = frozenset[str]().union(*(other.modules for other in evidence.identity.others))
        for module in evidence.code.unimported:
            if module.module in others:
                continue  # another app's
            if module.module in named:
                continue  # said of the entry, with the same fix
            if evidence.all_names.issuperset(module.tasks):
                continue  # a worker has them: by --include, or by its environment
            yield self.finding(
                Kind.TASK,
                module.tasks[0],
                f"Workers do not import {module.module}, which defines {listed(module.tasks)}: "
                "they would discard calls of that.",
                evidence={"module": module.module, "tasks": list(module.tasks)},
                fix=f"{how_to_import(evidence, module.module)}.",
            )


def how_to_import(evidence: Evidence, module: str) -> str:
    """Return what has workers import a module; it adds to what they import already."""
    package, _, last = module.rpartition(".")
    if not package:
        line = f"app.autodiscover_tasks(['{module}'], related_name=None)"
    elif last == "tasks":
        line = f"app.autodiscover_tasks(['{package}'])"
    else:
        line = f"app.autodiscover_tasks(['{package}'], related_name='{last}')"
    setting = setting_name(evidence, "imports")
    return f"{line} in the module that makes the Celery app, or add '{module}' to {setting}"
