"""A key of ``task_routes`` matches no task, and a task has nearly that name.

The task goes to the default queue instead of the one that was chosen for it: to workers that may lack its
libraries, its limits or its priority, or to no worker at all.

A key counts as misspelt when it matches nothing, and a task of the project that no route matches has a name
like it: the same last part, or one slip of the finger away. Other keys that match nothing are hints.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import RouteFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import is_typo


class RouteMisspelt(Rule):
    """A route key matches no task, and nearly matches one."""

    number: ClassVar = 102
    name: ClassVar = "route-misspelt"
    summary: ClassVar = "A route matches no task, and is nearly the name of one that has no route."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per key."""
        for route in evidence.routes:
            right = right_key(evidence, route)
            if right is not None:
                yield self.finding(
                    Kind.ROUTE,
                    route.key,
                    f"Route '{route.key}' matches no task: those it is meant for do not get {route.target}.",
                    evidence={
                        "nearest": right,
                        "target": route.target,
                        "tasks": [name for name in _unrouted(evidence) if fnmatch.fnmatchcase(name, right)],
                    },
                    fix=f"Write '{right}'.",
                )


def right_key(evidence: Evidence, route: RouteFacts) -> str | None:
    """Return the key that was meant by one that matches nothing; None when nobody can say."""
    if route.matches or route.key in evidence.all_names:
        return None
    unrouted = _unrouted(evidence)
    if route.is_pattern:
        return _right_glob(route.key, unrouted)
    last = route.key.rpartition(".")[2]
    same_last = [name for name in unrouted if name.rpartition(".")[2] == last]
    if len(same_last) == 1:
        return same_last[0]
    slips = [name for name in unrouted if is_typo(route.key, name)]
    near = slips or get_close_matches(route.key, unrouted, 1, 0.9)
    return near[0] if near else None


def _unrouted(evidence: Evidence) -> list[str]:
    routed = {name for other in evidence.routes for name in other.matches}
    return [task.name for task in evidence.own_tasks if task.name not in routed]


def _right_glob(key: str, unrouted: list[str]) -> str | None:
    """Return the glob ``a.b.*`` that was meant, if a prefix of unrouted tasks is one slip away."""
    prefix = key.removesuffix("*").removesuffix(".")
    if not key.endswith(".*") or "*" in prefix:
        return None
    depth = prefix.count(".") + 1
    prefixes = {".".join(name.split(".")[:depth]) for name in unrouted if name.count(".") >= depth}
    slips = sorted(other for other in prefixes if is_typo(prefix, other))
    return f"{slips[0]}.*" if slips else None
