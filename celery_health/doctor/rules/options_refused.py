"""With these options no call comes to a run: Celery raises in the caller, or the message expires first.

``delay()`` and ``apply_async()`` raise in the caller, and beat logs an error and goes on without having sent
anything:

- for a task whose soft time limit is longer than its hard one; on Celery 5.7 the app's limits count for tasks
  without their own, so that one short ``time_limit`` beside a long ``task_soft_time_limit`` is enough;
- for a route with an option that belongs to a call (``expires``, ``time_limit``, ``countdown``): Celery gets
  it twice;
- for a beat entry whose options name ``args`` or ``kwargs``, which stand beside them, or give a ``timedelta``
  where Celery wants seconds.

And what expires before its countdown is over, or at once, is discarded by every worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts, RouteFacts, TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.rules.soft_limit_unreached import (
    by_origin,
    fix_of,
    limits_of,
    proof_of,
    subject_of,
)
from celery_health.doctor.spelling import annotations_added
from celery_health.doctor.wording import listed

#: What ``Celery.send_task`` gives by itself to what it hands a route's options to as well.
REFUSED_OF_ROUTES: Final = (
    "countdown", "eta", "expires", "time_limit", "soft_time_limit", "ignore_result", "args", "kwargs", "name",
    "task_id", "group_id", "group_index", "retries", "chord", "chain", "callbacks", "errbacks", "reply_to",
    "root_id", "parent_id", "shadow", "create_sent_event", "replaced_task_nesting", "producer", "message",
    "body",
)  # fmt: skip

#: Those of them that a task may have as well.
_ATTRIBUTES: Final = ("expires", "time_limit", "soft_time_limit", "ignore_result")


class OptionsRefused(Rule):
    """Options with which no call comes to a run."""

    number: ClassVar = 128
    name: ClassVar = "options-refused"
    summary: ClassVar = "Options with which every call raises, or its message expires before it may run."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per route, entry and task; one for all tasks that have a limit of the app's."""
        refused = [task for task in evidence.own_tasks if task.call_error]
        limited = [task for task in refused if "soft_time_limit" in (task.call_error or "")]
        for tasks in by_origin(evidence, limited):
            limits = limits_of(evidence, tasks).replace("no shorter", "longer")
            yield self.finding(
                *subject_of(evidence, tasks),
                f"{limits}: each call raises ValueError.",
                evidence={**proof_of(tasks), "error": tasks[0].call_error},
                fix=fix_of(evidence, tasks),
            )
        for task in evidence.own_tasks:
            yield from self._judge_task(task, is_said=task in limited)
        for route in evidence.routes:
            yield from self._judge_route(evidence, route)
        for entry in evidence.all_entries:
            yield from self._judge_entry(evidence, entry)

    def _judge_task(self, task: TaskFacts, *, is_said: bool) -> Iterator[Finding]:
        if is_said:
            return
        if task.call_error:
            message = f"Each call of '{task.name}' raises {task.call_error}."
            yield self._found(Kind.TASK, task.name, message, "expires=3600 on the task, in seconds.", task)
        elif task.expires_seconds is not None and task.expires_seconds <= 0:
            message = (
                f"Messages of '{task.name}' expire at once (expires={task.expires_seconds:g}): it never runs."
            )
            fix = "expires=3600 on the task, in seconds, or none."
            yield self._found(Kind.TASK, task.name, message, fix, task)

    def _judge_route(self, evidence: Evidence, route: RouteFacts) -> Iterator[Finding]:
        names = [option for option in route.option_names if option in REFUSED_OF_ROUTES]
        if not names or not route.wins:
            return
        yield self.finding(
            Kind.ROUTE,
            route.key,
            f"Route '{route.key}' has {listed(names)}, which Celery has from the call already: each call of "
            f"{listed(route.wins)} raises TypeError.",
            evidence={"options": names, "tasks": list(route.wins)},
            fix=f"Leave {listed(names)} out of the route. {_elsewhere(evidence, route, names)}",
        )

    def _judge_entry(self, evidence: Evidence, entry: EntryFacts) -> Iterator[Finding]:
        task = evidence.tasks.get(entry.task)
        if task is not None and task.call_error:
            return
        whose = f"Beat entry '{entry.name}'"
        if entry.call_error and task is not None:
            fix = "Give seconds, as a number: 'expires': 3600."
            if "multiple values" in entry.call_error:
                fix = "Write 'args' and 'kwargs' beside 'options', not in it, and leave the others out."
            message = f"{whose} is never sent: {entry.call_error}."
            yield self._found(Kind.BEAT_ENTRY, entry.name, message, fix, entry)
            return
        expires = entry.expires_seconds
        if expires is None and "expires" not in entry.option_names and task is not None:
            expires = task.expires_seconds if task.expires_seconds and task.expires_seconds > 0 else None
        waits = max(entry.countdown_seconds or 0.0, 0.0)
        if expires is not None and expires <= waits:
            yield self.finding(
                Kind.BEAT_ENTRY,
                entry.name,
                f"{whose} never runs: its message expires after {expires:g} s, and waits for {waits:g} s.",
                evidence={"expires": expires, "countdown": waits},
                fix=f"'expires': {int(waits * 2) or 3600} in its options, or none.",
            )

    def _found(
        self, kind: Kind, subject: str, message: str, fix: str, facts: TaskFacts | EntryFacts
    ) -> Finding:
        proof = {"error": facts.call_error, "expires": facts.expires_seconds}
        return self.finding(kind, subject, message, evidence=proof, fix=fix)


def _elsewhere(evidence: Evidence, route: RouteFacts, names: list[str]) -> str:
    """Return where options of a route may stand: those that are attributes of tasks, there."""
    kept = {name: route.options[name] for name in names if name in _ATTRIBUTES and name in route.options}
    if len(kept) < len(names):
        return "They belong to the call, or to an entry's options."
    added = annotations_added(evidence, dict.fromkeys(route.wins, kept))
    return f"Tasks may have {'it' if len(names) == 1 else 'them'}: {added}"
