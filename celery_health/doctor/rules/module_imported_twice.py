"""One file with tasks is imported under two names, and so its tasks have two names each.

The web process sends ``orders.tasks.ship`` while the worker registers ``shop.orders.tasks.ship``, or the
other way round, depending on who imported what: calls are discarded as unregistered. It happens when a
project folder is on ``sys.path`` besides its parent, and modules are imported both ways.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class ModuleImportedTwice(Rule):
    """A module with tasks is imported under several names."""

    number: ClassVar = 118
    name: ClassVar = "module-imported-twice"
    summary: ClassVar = "A file with tasks is imported under two names: its tasks have two names each."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per file."""
        for modules in evidence.code.imported_twice:
            shortest = min(modules, key=lambda name: (name.count("."), name))
            tasks = sorted(task.name for task in evidence.own_tasks if task.module in modules)
            yield self.finding(
                Kind.TASK,
                tasks[0] if tasks else shortest,
                f"{listed(modules)} are one file: its tasks are registered under both names.",
                evidence={"modules": list(modules), "tasks": tasks},
                fix=f"Import it as one of them everywhere, as '{shortest}' for example.",
            )
