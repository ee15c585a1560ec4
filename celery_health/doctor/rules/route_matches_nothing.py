"""A key of ``task_routes`` matches no task of this project.

Often a leftover of a task that was renamed or removed; harmless in itself, and sometimes meant (a task of
an optional app, or one that is sent by name to another service). Keys outside the project's own packages
are left alone, as are those that stand in an installed package alone, as it was released; and keys that look
misspelt are a warning of their own.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import RouteFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.route_keys import MeantKeys
from celery_health.doctor.rules.base import Rule


class RouteMatchesNothing(Rule):
    """A route matches no task."""

    number: ClassVar = 301
    name: ClassVar = "route-matches-nothing"
    summary: ClassVar = "A route in the project's own packages matches no task."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per key; none while some names are not known."""
        if not evidence.knows_all_names:
            return
        keys = MeantKeys(evidence)
        for route in evidence.routes:
            if (
                route.matches
                or not route.is_editable
                or not _is_own(evidence, route)
                or keys.of(route) is not None
            ):
                continue
            if any(takes(route, name) for name in evidence.all_names - frozenset(evidence.tasks)):
                continue  # a worker of another code base has it
            yield self.finding(
                Kind.ROUTE,
                route.key,
                f"Route '{route.key}' matches no registered task.",
                evidence={"target": route.target},
                fix="Remove it, or correct the name.",
            )


def _is_own(evidence: Evidence, route: RouteFacts) -> bool:
    literal = re.match(r"\^?((?:\w|\\?\.)+)", route.key)
    return literal is not None and evidence.is_own_name(literal.group(1).replace("\\", ""))


def takes(route: RouteFacts, name: str) -> bool:
    """Say whether a key would match a name that is not registered here."""
    return fnmatch.fnmatchcase(name, route.key) if "*" in route.key else route.key == name
