"""The soft time limit of a task is no shorter than its hard one: it is of no use.

The soft limit raises ``SoftTimeLimitExceeded`` in the task, so that it can clean up; the hard one kills the
process. Where the soft one is as long or longer, the process is killed before the task is told, or in the
same moment. A prefork worker keeps the hard limit no earlier than the soft one, so that the run may even
last longer than its hard limit says (``celery/concurrency/asynpool.py``, ``_on_soft_timeout``).

Each limit may be the task's own, the app's, or an entry's: what comes together in the worker is compared.
Where the call itself raises for it, that is said instead (``options-refused``). Live, nothing is said while
no worker has a prefork pool: others have no soft limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import EntryFacts, TaskFacts
from celery_health.doctor.findings import Finding, Kind
from celery_health.doctor.rules.base import Rule
from celery_health.doctor.spelling import annotations_added, assigned
from celery_health.doctor.wording import listed

_LIMITS: Final = ("time_limit", "soft_time_limit")


class SoftLimitUnreached(Rule):
    """A soft time limit is no shorter than the hard one."""

    number: ClassVar = 221
    name: ClassVar = "soft-limit-unreached"
    summary: ClassVar = "A soft time limit is no shorter than the hard one: no task can clean up."

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield a finding per task with limits of its own, one for the app's, and one per entry."""
        pools = {worker.pool for worker in evidence.workers if worker.pool}
        if pools and "prefork" not in pools:
            return
        useless = [task for task in evidence.own_tasks if _is_useless(task) and not task.call_error]
        for tasks in by_origin(evidence, useless):
            yield self.finding(
                *subject_of(evidence, tasks),
                f"{limits_of(evidence, tasks)}: a run is killed before it is asked to end, or with it.",
                evidence=proof_of(tasks),
                fix=fix_of(evidence, tasks),
            )
        for entry in evidence.all_entries:
            task = evidence.tasks.get(entry.task)
            if task is not None and task.is_own:
                yield from self._judge_entry(entry, task)

    def _judge_entry(self, entry: EntryFacts, task: TaskFacts) -> Iterator[Finding]:
        own = {name: value for name in _LIMITS if (value := _number(entry.options.get(name))) is not None}
        hard = own.get("time_limit", task.time_limit_seconds)
        soft = own.get("soft_time_limit", task.soft_time_limit_seconds)
        if not own or not hard or not soft or soft < hard or task.call_error:
            return
        yield self.finding(
            Kind.BEAT_ENTRY,
            entry.name,
            f"The soft time limit of beat entry '{entry.name}' ({soft:g} s) is no shorter than the hard one "
            f"({hard:g} s): a run is killed before it is asked to end, or in the same moment.",
            evidence={"soft_time_limit": soft, "time_limit": hard, "options": own},
            fix=f"'soft_time_limit': {shorter(hard)} in its options.",
        )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_useless(task: TaskFacts) -> bool:
    soft, hard = task.soft_time_limit_seconds, task.time_limit_seconds
    return bool(soft and hard and soft >= hard)


def by_origin(evidence: Evidence, tasks: Iterable[TaskFacts]) -> Iterator[Sequence[TaskFacts]]:
    """Yield tasks that have the same of their two limits from the app: each of their own by itself."""
    groups: dict[tuple[bool, bool], list[TaskFacts]] = {}
    for task in tasks:
        own = _has_own_hard(evidence, task), _has_own_soft(evidence, task)
        if own == (True, True):
            yield (task,)
        else:
            groups.setdefault(own, []).append(task)
    yield from groups.values()


def _has_own_hard(evidence: Evidence, task: TaskFacts) -> bool:
    return task.time_limit_seconds != evidence.conf.task_time_limit_seconds


def _has_own_soft(evidence: Evidence, task: TaskFacts) -> bool:
    return task.soft_time_limit_seconds != evidence.conf.task_soft_time_limit_seconds


def subject_of(evidence: Evidence, tasks: Sequence[TaskFacts]) -> tuple[Kind, str]:
    """Return what a finding about the limits of `tasks` is about: the one of the app's that they have."""
    if not _has_own_soft(evidence, tasks[0]):
        return Kind.SETTING, "task_soft_time_limit"
    if not _has_own_hard(evidence, tasks[0]):
        return Kind.SETTING, "task_time_limit"
    return Kind.TASK, tasks[0].name


def limits_of(evidence: Evidence, tasks: Sequence[TaskFacts]) -> str:
    """Return in words which limits `tasks` have."""
    soft, hard = ({getattr(task, f"{name}_seconds") for task in tasks} for name in reversed(_LIMITS))
    spans = f"({_span(soft)}) is no shorter than", f"hard one ({_span(hard)})"
    if _has_own_hard(evidence, tasks[0]) or _has_own_soft(evidence, tasks[0]):
        return f"The soft time limit of {listed(task.name for task in tasks)} {spans[0]} the {spans[1]}"
    have = "1 task has" if len(tasks) == 1 else f"{len(tasks)} tasks have"
    return f"The app's soft time limit {spans[0]} its {spans[1]}, and {have} both"


def _span(seconds: set[float]) -> str:
    least, most = min(seconds), max(seconds)
    return f"{least:g} s" if least == most else f"{least:g} to {most:g} s"


def proof_of(tasks: Sequence[TaskFacts]) -> Mapping[str, object]:
    """Return the limits of each task."""
    return {
        "tasks": {
            task.name: {
                "soft_time_limit": task.soft_time_limit_seconds,
                "time_limit": task.time_limit_seconds,
            }
            for task in tasks
        }
    }


def fix_of(evidence: Evidence, tasks: Sequence[TaskFacts]) -> str:
    """Return what makes the limits of `tasks` right: the one that is nobody's own is changed."""
    own_hard, own_soft = _has_own_hard(evidence, tasks[0]), _has_own_soft(evidence, tasks[0])
    if not own_hard and not own_soft:
        hard = evidence.conf.task_time_limit_seconds or 0
        return assigned(evidence, "task_soft_time_limit", shorter(hard))
    if own_hard:
        changes = {t.name: {"soft_time_limit": shorter(t.time_limit_seconds or 0)} for t in tasks}
    else:
        changes = {t.name: {"time_limit": longer(t.soft_time_limit_seconds or 0)} for t in tasks}
    option = next(iter(next(iter(changes.values()))))
    return f"{annotations_added(evidence, changes)}, or {option}= on the task{'s' * (len(tasks) > 1)}."


def shorter(hard: float) -> int | float:
    """Return a soft limit that leaves a tenth of the hard one to clean up."""
    return int(hard * 0.9) if hard >= 2 else hard * 0.9


def longer(soft: float) -> int | float:
    """Return a hard limit that leaves a tenth of the soft one to clean up."""
    return max(int(soft * 1.1), int(soft) + 1)
