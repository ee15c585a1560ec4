"""The project has another Celery app, with work of its own, that nobody watches.

A process watches one app: the one that ``CELERY_APP`` names, else the current one. Workers, queues and beat
of another have no verdict, no alarm and no finding, and everything shown is green without them.

It is reported for an app that a module of the project holds, or makes tasks with, that has tasks, a schedule
or task modules to import, and that is not the watched one under another name: with the same broker, routes
and tasks. What only tests hold, or a library for itself, is left alone, and so is an app that another
process watches: a module of the project has it as ``CELERY_APP``, or computes that, or it is the default app
and there are settings without ``CELERY_APP``. An app that merely sends to the workers of others is a note.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from celery_health.conf import SETTING
from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.identity import IdentityFacts, OtherApp
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.wording import listed


class AppUnwatched(Rule):
    """Another app of the project has no verdict."""

    number: ClassVar = 131
    name: ClassVar = "app-unwatched"
    summary: ClassVar = "The project has another Celery app with work of its own, and nobody watches it."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per app."""
        facts = evidence.identity
        for other in facts.others:
            if other.is_watched or not other.has_work:
                continue
            where = f" ({other.argument})" if other.argument else ""
            yield self.finding(
                Kind.APP,
                other.name,
                f"The Celery app {other.name!r}{where} {_work(other)}, and is not watched: all that is told "
                f"here is of {facts.name!r}.{_by_thread(other, facts.name)}",
                evidence={
                    "app": other.argument or other.name,
                    "watched": facts.name,
                    "broker": other.broker,
                    "tasks": list(other.tasks),
                },
                fix=_fix(other, facts),
            )


def _work(other: OtherApp) -> str:
    parts = []
    if other.tasks:
        parts.append(f"has {listed(other.tasks)}")
    if other.entries:
        parts.append(f"has a schedule of {other.entries}")
    if not parts:
        parts.append("imports task modules as a worker's app does")
    return " and ".join(parts)


def _by_thread(other: OtherApp, watched: str) -> str:
    if not other.asked_in_threads:
        return ""
    return f" Which one is asked depends on the thread: here {watched!r}, for requests {other.name!r}."


def _fix(other: OtherApp, facts: IdentityFacts) -> str:
    if other.argument is None:
        return "Give the app a name in a module, and watch it from a process of its own."
    watched = f"{facts.module}:{facts.attribute}" if facts.module else None
    chosen = next((one.argument for one in facts.others if one.asked_in_threads), None) or watched
    first = ""
    if not facts.is_set and chosen is not None:
        first = f"Say which one the project's processes watch: {_line(chosen)}. "
    rest = watched if chosen == other.argument else other.argument
    if rest is None:
        return first
    return (
        f"{first}For the other, a process of its own, under a settings module that begins with all of the "
        f"project's settings and ends with {_line(rest)}"
    )


def _line(argument: str) -> str:
    return f'{SETTING} = {{"CELERY_APP": "{argument}"}}'
