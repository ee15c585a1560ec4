"""In a new thread ``celery.current_app`` is another app than the project's.

Celery keeps the current app for each thread, and a web server answers requests in threads. There
``shared_task.delay()`` asks for the default app: the first one that was made after Django's settings were
named, unless something touched ``current_app`` before it. Then it is one that Celery makes by itself, which
reads no settings of the project's and sends to ``amqp://guest@localhost``. The verdict, this command and
``check`` ask the project's app, which is well.

It is reported where own tasks are made with ``shared_task``, or own modules import ``current_app``, and what
that app sends goes to another broker or another queue. Where ``CELERY_APP`` names the app, it is reported
too when nothing but celery_health imports it, with all URLs loaded. An error it is when processes told that
they did send so, and lost it. An app that every task is bound to (``@app.task``) is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.identity import IdentityFacts, ThreadApp
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.doctor.wording import listed
from celery_health.records import SentElsewhere
from celery_health.text.formats import plural


class CurrentAppDiffers(Rule):
    """``current_app`` is not the project's app in every thread."""

    number: ClassVar = 130
    name: ClassVar = "current-app-differs"
    summary: ClassVar = "In a new thread, `current_app` is not the project's app: shared tasks go elsewhere."

    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most."""
        facts = evidence.identity
        found = facts.in_threads
        if rows := _seen(evidence):
            yield self._proven(evidence, rows)
            return
        if found is None or _is_told_by_choice(facts):
            return
        yield self.finding(
            Kind.APP,
            facts.name,
            f"{_fact(facts, found)} {_loss(facts, found)}",
            evidence=dict(_proof(facts, found)),
            fix=how_to_set(facts, found.is_unimported),
        )

    def _proven(self, evidence: Evidence, rows: list[SentElsewhere]) -> Finding:
        """Return the finding of what was really sent so."""
        facts = evidence.identity
        proof = _seen_evidence(facts, rows)
        names = [row.process for row in rows]
        tasks = sorted({task for row in rows for task in row.tasks})
        count = sum(row.count for row in rows)
        return self.finding(
            Kind.APP,
            facts.name,
            f"In threads of {listed(names)}, celery.current_app is the one that Celery makes by itself "
            f"instead of {facts.name!r}: {plural(count, 'task')} ({listed(tasks)}) went to "
            f"{rows[0].broker} lately, and no worker of {facts.name!r} runs what is sent so.",
            evidence=proof,
            fix=how_to_set(facts, everywhere=True),
            proven_live=True,
        )


def _seen(evidence: Evidence) -> list[SentElsewhere]:
    """Return what processes told of shared tasks that they sent by an app that they never chose."""
    refused = evidence.live.snapshot.refused if evidence.live else None
    return [row for row in (refused.elsewhere if refused else ()) if row.is_default and row.tasks]


def _is_told_by_choice(facts: IdentityFacts) -> bool:
    """Say whether nobody chose between several apps: whose tasks go astray is then not known."""
    return not facts.is_set and any(other.asked_in_threads and other.has_work for other in facts.others)


def _fact(facts: IdentityFacts, found: ThreadApp) -> str:
    other = "the one that Celery makes by itself" if found.is_default else f"{found.name!r}"
    if found.is_unimported:
        return (
            f"Only celery_health imports the Celery app {facts.name!r} ({facts.module}): until "
            f"it does, celery.current_app is {other}, which sends to {found.broker}."
        )
    where = "sends to the same broker with other routes" if not found.is_other_broker else ""
    return (
        f"In a new thread, as a web server has for requests, celery.current_app is {other} instead of "
        f"{facts.name!r}: it {where or f'sends to {found.broker}'}."
    )


def _loss(facts: IdentityFacts, found: ThreadApp) -> str:
    where = "there" if found.is_other_broker else "elsewhere"
    if found.tasks:
        fact = f"{listed(found.tasks)} {'goes' if len(found.tasks) == 1 else 'go'} {where}"
    else:
        fact = f"{listed(found.users)} {'uses' if len(found.users) == 1 else 'use'} current_app"
    return f"{fact}, and no worker of {facts.name!r} runs what is sent so."


def _seen_evidence(facts: IdentityFacts, rows: list[SentElsewhere]) -> dict[str, object]:
    return {
        "app": facts.name,
        "broker": facts.broker,
        "current_app": rows[0].app,
        "current_app_broker": rows[0].broker,
        "tasks": sorted({task for row in rows for task in row.tasks}),
        "processes": [row.process for row in rows],
    }


def _proof(facts: IdentityFacts, found: ThreadApp) -> Iterator[tuple[str, object]]:
    yield "app", facts.name
    yield "broker", facts.broker
    yield "current_app", found.name
    yield "current_app_broker", found.broker
    yield "tasks", list(found.tasks)
    if found.users:
        yield "users", list(found.users)


def how_to_set(facts: IdentityFacts, is_unimported: bool = False, *, everywhere: bool = False) -> str:
    """Return what makes the watched app the current one of every thread.

    `everywhere`: in processes that may import other things than this one.
    """
    steps = []
    if not is_unimported:
        steps.append(f"{facts.attribute}.set_default() below the line that makes it{_in(facts.module)}")
    if facts.holder_package is not None and (everywhere or not facts.is_imported):
        steps.append(f"{importing(facts)} in {facts.holder_package}/__init__.py")
    if not steps:
        steps.append("Import the app where Django starts")
    text = ", and ".join(steps)
    return f"{text}. Then restart what sends tasks."


def importing(facts: IdentityFacts) -> str:
    """Return the line that imports the watched app in the package that Django imports first."""
    module, package = str(facts.module), str(facts.holder_package)
    if module.startswith(f"{package}."):
        source = module.removeprefix(package)
        return f"from {source} import {facts.attribute} as celery_app"
    return f"from {module} import {facts.attribute} as celery_app"


def _in(module: str | None) -> str:
    return f" in {module}" if module else ""
