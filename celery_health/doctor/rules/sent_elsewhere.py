"""A process sends tasks through another Celery app than the watched one, to another broker.

No worker of the watched app reads there, and nothing that is told here is of what was sent so. It happens
where `current_app` is not the project's app in every thread, where a module makes a Celery app of its own
(``app = Celery("tasks")``) and nobody sets its broker, or where a task is sent by the wrong one of two apps.

Every process that sends counts what goes to another broker, and names the app, the broker and the tasks. It
is reported when nobody set that app's ``broker_url``, or when the tasks are the watched app's own. What a
second app of the project sends of its own tasks, or of others' by name, is meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import LIVE, Rule
from celery_health.doctor.rules.current_app_differs import how_to_set
from celery_health.doctor.wording import listed
from celery_health.records import SentElsewhere as Row
from celery_health.text.formats import plural


class SentElsewhere(Rule):
    """Tasks go to a broker that the watched app's workers do not read."""

    number: ClassVar = 226
    name: ClassVar = "sent-elsewhere"
    summary: ClassVar = "A process sends tasks through another Celery app, to another broker."
    scopes: ClassVar[frozenset[Scope]] = LIVE

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per app and broker."""
        refused = evidence.live.snapshot.refused if evidence.live else None
        groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in refused.elsewhere if refused else ():
            if row.is_unset or astray(row, evidence):
                groups[row.app, row.broker].append(row)
        for (app, broker), rows in sorted(groups.items()):
            processes = [row.process for row in rows]
            tasks = sorted({task for row in rows for task in row.tasks})
            count, failed = sum(row.count for row in rows), sum(row.failed for row in rows)
            watched = evidence.identity
            by = "Celery's default app" if rows[0].is_default else f"the Celery app {app!r}"
            lost = f", {failed:,} of them in vain" if failed else ""
            yield self.finding(
                Kind.APP,
                app,
                f"{listed(processes)} {'sends' if len(processes) == 1 else 'send'} {listed(tasks)} by {by} "
                f"to {broker}: {plural(count, 'task')} lately{lost}. Workers of {watched.name!r} read from "
                f"{watched.broker}.",
                evidence={
                    "app": app,
                    "broker": broker,
                    "processes": processes,
                    "tasks": tasks,
                    "sent": count - failed,
                    "failed": failed,
                    "watched": watched.name,
                },
                fix=_fix(rows[0], evidence),
            )


def astray(row: Row, evidence: Evidence) -> tuple[str, ...]:
    """Return those tasks of the watched app's own that a process sent so; not those made with that app."""
    made = {task for other in evidence.identity.others if other.name == row.app for task in other.tasks}
    known = evidence.tasks
    return tuple(name for name in row.tasks if name in known and known[name].is_own and name not in made)


def _fix(row: Row, evidence: Evidence) -> str:
    facts = evidence.identity
    if row.is_default:
        return how_to_set(facts, everywhere=True)
    if row.is_unset:
        return (
            f"Make these tasks with the project's app or with shared_task, instead of with {row.app!r}; or "
            f"set the broker_url of {row.app!r}."
        )
    return (
        f"Send them by {facts.name!r}; or, where workers that read from {row.broker} are to run them, "
        "silence this finding."
    )
