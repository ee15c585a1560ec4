"""A key of ``task_routes`` matches no task, and a task has nearly that name.

The task goes to the default queue instead of the one that was chosen for it: to workers that may lack its
libraries, its limits or its priority, or to no worker at all.

A key counts as misspelt when it matches nothing, and a task of the project that no key names, and that does
not go there anyway, is what it says but for a slip of the finger, the case or a blank; or has that last part
in another module (of several, the one where most of the keys that match nothing would find their tasks); or
lives at that path under a name of its own. So does the path of a module without its star, and a regular
expression that is written as a text. Other keys that match nothing are hints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.route_keys import MeantKeys
from celery_health.doctor.rules.base import Rule


class RouteMisspelt(Rule):
    """A route key matches no task, and nearly matches one."""

    number: ClassVar = 102
    name: ClassVar = "route-misspelt"
    summary: ClassVar = "A route matches no task, and is nearly the name of one that has no route."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per key."""
        keys = MeantKeys(evidence)
        for route in evidence.routes:
            meant = keys.of(route)
            if meant is not None:
                yield self.finding(
                    Kind.ROUTE,
                    route.key,
                    f"Route '{route.key}' matches no task: those it is meant for do not get {route.target}.",
                    evidence={"nearest": meant.key, "target": route.target, "tasks": list(meant.tasks)},
                    fix=meant.fix,
                )
