"""A key of ``task_routes`` never decides: a broader one before it takes all that it matches.

Celery asks routers in order, and within one dict exact names first and then patterns in the order in which
they are written; the first that matches decides. A narrow pattern after a broad one is dead, and its tasks
go where the broad one says.

It is reported when a key matches tasks, wins none, and a key that does win matches all of them and more,
with another target. A broad pattern as the last resort is fine, and so are keys behind a router that is
code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import setting_name
from celery_health.doctor.wording import listed


class RouteShadowed(Rule):
    """A route never decides, since a broader one before it does."""

    number: ClassVar = 103
    name: ClassVar = "route-shadowed"
    summary: ClassVar = "A route never decides: a broader one before it takes all its tasks."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per dead key."""
        for route in evidence.routes:
            if not route.matches or route.wins or route.is_first_unsure:
                continue
            others = [key for key in route.broader if route.beaten_by[key] != route.target]
            if others:
                winner = others[0]
                yield self.finding(
                    Kind.ROUTE,
                    route.key,
                    f"Route '{route.key}' never decides: '{winner}' is asked before it, and sends "
                    f"{listed(route.matches)} to {route.beaten_by[winner]} instead of {route.target}.",
                    evidence={"tasks": list(route.matches), "shadowed_by": winner, "target": route.target},
                    fix=f"Put '{route.key}' before '{winner}' in {setting_name(evidence, 'task_routes')}.",
                )
