"""Whether the runs of each task end well: of the many lately, of the last few, and of those tried again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from celery_health.conf import Settings
from celery_health.health.base import Check, one_more_worker
from celery_health.health.needs import RESULTS, Need, outcomes_are_kept, tasks_are_sent
from celery_health.records import CheckResult, CheckStatus, Snapshot, TaskOutcomes, TaskStreak
from celery_health.text.formats import duration, number

#: A task that fails every night does not fail to the second, and takes its time: it stays warned until then.
NEXT_RUN_SECONDS: Final = 3600

#: Outcomes are counted by the minute.
MINUTE_SECONDS: Final = 60
#: What does not happen once a week by chance, at a run a second.
UNLIKELY: Final = 1e-6

#: How a run ended where there is no exception to name (`TaskStreak.failed_by`), as people read it.
_WORDS: Final = {
    "expired": "it had expired before it began",
    "rejected": "it was rejected",
    "killed": "its process was killed",
}
_TASK_REASON: Final = "task:"


class TasksFailing(Check):
    """Warn when the runs of a task end badly: most of the recent, each of the last, or never at all."""

    id: ClassVar[str] = "tasks.failing"
    needs: ClassVar[Sequence[Need]] = (tasks_are_sent, outcomes_are_kept)

    def run(self, snapshot: Snapshot, settings: Settings) -> Iterable[CheckResult]:
        """Yield one result per task in trouble, else one for all."""
        assert snapshot.recent is not None, "needs outcomes_are_kept"
        unstored = _unstored(snapshot)
        found = [
            _for_its_result(result) if name in unstored else result
            for name in sorted({*snapshot.recent, *snapshot.streaks})
            if (result := self._judge(name, snapshot, settings)) is not None
        ]
        yield from found or [self.result(CheckStatus.PASS, "No task fails more often than it may.")]

    def _judge(self, name: str, snapshot: Snapshot, settings: Settings) -> CheckResult | None:
        outcomes = (snapshot.recent or {}).get(name) or TaskOutcomes()
        streak = snapshot.streaks.get(name) or TaskStreak()
        is_judged = outcomes.ended >= max(1, settings.limit("failure_floor", task=name))
        if is_judged and outcomes.ended_badly / outcomes.ended > settings.limit("failure_ratio", task=name):
            return self._often(name, outcomes, streak, snapshot, settings)
        streak = _without_rows_that_are_over(streak, outcomes, settings)
        failures = streak.failures, streak.failed_seconds
        may_fail = is_judged and "failure_streak" not in settings.tasks.get(name, {})
        may_fail = may_fail and (_may_fail_often(name, settings) or _is_chance(streak.failures, outcomes))
        if not may_fail and _is_long(*failures, "failure_streak", name, settings):
            return self._in_a_row(name, streak, snapshot, settings)
        return self._endlessly(name, streak, settings)

    def _often(
        self, name: str, outcomes: TaskOutcomes, streak: TaskStreak, snapshot: Snapshot, settings: Settings
    ) -> CheckResult:
        kinds = _kinds(outcomes, streak)
        runs, badly = number(outcomes.ended), number(outcomes.ended_badly)
        if [kind for kind, _, _ in kinds] == ["failed"]:
            message = f"Task '{name}' failed in {badly} of its last {runs} runs{_by(streak)}."
        else:
            each = ", ".join(f"{number(count)} {words}" for _, count, words in kinds)
            message = f"Task '{name}' ended badly in {badly} of its last {runs} runs: {each}."
        advice = _advice(kinds[0][0], name, streak, snapshot)
        return self.result(
            CheckStatus.WARN,
            message,
            subject=name,
            observed=round(outcomes.ended_badly / outcomes.ended, 3),
            limit=settings.limit("failure_ratio", task=name),
            unit="ratio",
            recommendation=f"{message} {advice}",
        )

    def _in_a_row(self, name: str, streak: TaskStreak, snapshot: Snapshot, settings: Settings) -> CheckResult:
        words = _WORDS.get(streak.failed_by)
        message = (
            f"Task '{name}' {'ended badly' if words else 'failed'} in each of its last "
            f"{number(streak.failures)} runs, the last {duration(streak.failed_seconds)} ago"
            f"{f' ({words or streak.failed_by})' if streak.failed_by else ''}."
        )
        kind = streak.failed_by if words else "failed"
        memory = duration(settings.limit("streak_memory_seconds", task=name) + NEXT_RUN_SECONDS)
        return self.result(
            CheckStatus.WARN,
            message,
            subject=name,
            observed=streak.failures,
            limit=settings.limit("failure_streak", task=name),
            unit="runs",
            recommendation=(
                f"{message} Its next success clears this, or {memory} without another failure. "
                f"{_advice(kind, name, streak, snapshot)}"
            ),
        )

    def _endlessly(self, name: str, streak: TaskStreak, settings: Settings) -> CheckResult | None:
        limit = settings.limit("autoretry_attempts", task=name)
        by = f" ({streak.retried_by})" if streak.retried_by else ""
        if _is_long(streak.retries, streak.retried_seconds, "autoretry_attempts", name, settings, over=True):
            observed, unit = streak.retries, "retries"
            message = (
                f"Task '{name}' did not succeed in its last {number(observed)} retries by autoretry_for, "
                f"the last {duration(streak.retried_seconds)} ago{by}."
            )
        elif streak.attempts > limit and streak.overdue_seconds <= settings.limits.recent_seconds:
            observed, unit = streak.attempts, "attempts"
            message = (
                f"A run of task '{name}' has failed in {number(observed)} attempts, autoretry_for asks for "
                f"another each time, and nothing ends it{by}."
            )
        else:
            return None
        what = f"what raises {streak.retried_by}" if streak.retried_by else "what it fails at"
        return self.result(
            CheckStatus.WARN,
            message,
            subject=name,
            observed=observed,
            limit=limit,
            unit=unit,
            recommendation=(
                f"{message} Fix {what}, and give its retries an end: max_retries=10. Where waiting is all "
                "that it does, declare the exception with throws=, or set "
                f"TASKS = {{{name!r}: {{'autoretry_attempts': {10 * observed}}}}}."
            ),
        )


def _unstored(snapshot: Snapshot) -> frozenset[str]:
    """Return the tasks that mostly fail because their results cannot be stored."""
    told = snapshot.results.told if snapshot.results is not None else None
    if told is None or told.is_over:
        return frozenset()
    recent = snapshot.recent or {}
    return frozenset(
        name for name, count in told.unstored.items() if name in recent and 2 * count >= recent[name].failed
    )


def _for_its_result(result: CheckResult) -> CheckResult:
    """Return what is said of a task that is taken for failed because its result is not stored."""
    return replace(
        result,
        because=RESULTS,
        recommendation=(
            f"{result.message} Results of this task could not be stored, which counts as its failure: see to "
            "the result backend first."
        ),
    )


def _without_rows_that_are_over(streak: TaskStreak, outcomes: TaskOutcomes, settings: Settings) -> TaskStreak:
    """Return `streak` without the rows that a run has ended which nobody told the store of as such.

    Workers of earlier versions count their successes, and tell of no rows: as after a rollback.
    """
    if outcomes.ended <= outcomes.ended_badly:
        return streak
    # What ended well did so later than the last of the row.
    lately = settings.limits.recent_seconds + MINUTE_SECONDS
    if streak.failed_seconds > lately:
        streak = replace(streak, failures=0)
    return replace(streak, retries=0) if streak.retried_seconds > lately else streak


def _is_chance(failures: int, outcomes: TaskOutcomes) -> bool:
    """Say whether so many in a row are no wonder where as many fail as lately did."""
    return (outcomes.ended_badly / outcomes.ended) ** failures >= UNLIKELY


def _may_fail_often(name: str, settings: Settings) -> bool:
    """Say whether a task may fail more often than others: a row of failures is chance then."""
    own: float = settings.tasks.get(name, {}).get("failure_ratio", 0.0)
    return own > settings.limits.failure_ratio


def _is_long(
    count: int, seconds: float, limit: str, name: str, settings: Settings, *, over: bool = False
) -> bool:
    """Say whether a row of runs is as long as its limit, or `over` it, and is remembered."""
    least = settings.limit(limit, task=name)
    memory = settings.limit("streak_memory_seconds", task=name) + NEXT_RUN_SECONDS
    return count > 0 and (count > least if over else count >= least) and seconds <= memory


def _kinds(outcomes: TaskOutcomes, streak: TaskStreak) -> list[tuple[str, int, str]]:
    """Return how runs ended badly, the most frequent first: kind, how many, and words for it."""
    again = " and their messages delivered again" if outcomes.redelivered else ""
    kinds = [
        ("failed", outcomes.failed_otherwise, f"failed{_by(streak)}"),
        ("killed", outcomes.killed, f"were killed with their process{again}"),
        ("expired", outcomes.expired, "had expired before they began"),
        ("rejected", outcomes.rejected, "were rejected"),
    ]
    return sorted((kind for kind in kinds if kind[1]), key=lambda kind: -kind[1])


def _by(streak: TaskStreak) -> str:
    """Return the exception of the last failure, where that was the last end and had one."""
    return f" ({streak.failed_by})" if streak.failed_by and streak.failed_by not in _WORDS else ""


def _advice(kind: str, name: str, streak: TaskStreak, snapshot: Snapshot) -> str:
    """Return what to do about runs that end so."""
    if kind == "expired":
        queues = [queue.name for queue in snapshot.queues if f"{_TASK_REASON}{name}" in queue.expected_by]
        waits = "They wait longer in their queue than `expires` allows. Let them expire later, or"
        if len(queues) == 1:
            return f"{waits} start another worker: {one_more_worker(snapshot, queues[0])}"
        return f"{waits} have more workers take that queue."
    if kind == "killed":
        return (
            "Look for its memory first: the kernel's log names what it killed (dmesg), a container's state "
            "says OOMKilled. Give it more memory, or less to do at once: --max-memory-per-child ends no run "
            "that grows. With reject_on_worker_lost a message that kills comes back for ever, unless "
            "DEAD_LETTERS keeps it."
        )
    if kind == "rejected":
        return "The task raises Reject, or its messages cannot be read: read the worker's log for which."
    by = streak.failed_by if _by(streak) else "its exception"
    return f"Read the worker's log for {by}."
