"""A message may be held longer than the broker waits: it is handed out again, and the task runs twice.

On Redis and SQS a message that is not acknowledged within the visibility timeout (an hour on Redis unless
set) goes back to its queue. A worker holds a message that long when it waits for an ETA, a countdown or a
retry, and, with ``acks_late``, while the task runs.

Statically, countdowns of beat entries, retry delays, and the time limits of ``acks_late`` tasks are
compared with it. Live, the ETAs that workers hold and the runs that were observed are. One finding names what
is held longest, since one setting is for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from celery_health.doctor.evidence import Evidence
from celery_health.doctor.facts import TaskFacts
from celery_health.doctor.findings import Finding, Kind, Scope
from celery_health.doctor.rules.base import BOTH, Rule
from celery_health.doctor.spelling import transport_option_added
from celery_health.doctor.wording import listed


class VisibilityTimeout(Rule):
    """The visibility timeout is shorter than a message may be held."""

    number: ClassVar = 204
    name: ClassVar = "visibility-timeout"
    summary: ClassVar = "The visibility timeout is shorter than a message may be held: tasks run twice."
    scopes: ClassVar[frozenset[Scope]] = BOTH

    def find(self, evidence: Evidence) -> Iterable[Finding]:
        """Yield one finding at most, for what is held longest: there is one setting for all."""
        timeout = evidence.conf.visibility_timeout_seconds
        if timeout is None:
            return
        held = [hold for hold in self._holds(evidence) if hold[2] > timeout]
        if not held:
            return
        kind, subject, seconds, why = max(held, key=lambda hold: hold[2])
        others = [name for one, name, *_ in held if (one, name) != (kind, subject)]
        yield self.finding(
            kind,
            subject,
            f"{why} for {seconds:g} s, and the visibility timeout is {timeout:g} s: "
            "the message is handed out again meanwhile, and the task runs twice."
            + (f" The same holds of {listed(others)}." if others else ""),
            evidence={"held_seconds": seconds, "visibility_timeout": timeout, "others": others},
            fix=f"{transport_option_added(evidence, 'visibility_timeout', int(seconds * 2))}, "
            "in every process.",
        )

    def _holds(self, evidence: Evidence) -> Iterator[tuple[Kind, str, float, str]]:
        """Yield subject, seconds and reason of what may be held, once per task and entry."""
        for entry in evidence.all_entries:
            if entry.countdown_seconds is not None:
                why = f"Beat entry '{entry.name}' has its message wait"
                yield Kind.BEAT_ENTRY, entry.name, entry.countdown_seconds, why
        etas = _farthest_etas(evidence)
        for task in evidence.own_tasks:
            yield Kind.TASK, task.name, *_longest_hold(evidence, task, etas)


def _longest_hold(evidence: Evidence, task: TaskFacts, etas: dict[str, float]) -> tuple[float, str]:
    """Return how long a message of `task` may be held, and why."""
    holds = [(0.0, "")]
    if task.longest_retry_seconds is not None:
        holds.append((task.longest_retry_seconds, f"A retry of '{task.name}' may wait"))
    if task.name in etas:
        holds.append((etas[task.name], f"A worker holds '{task.name}' until its ETA"))
    if task.acks_late:
        limit = task.time_limit_seconds or task.soft_time_limit_seconds
        if limit is not None:
            holds.append((limit, f"'{task.name}' is acknowledged late (acks_late), and may run"))
        observed = evidence.live.observed.get(task.name) if evidence.live else None
        if observed is not None:
            # Where the history ends, it says "at least so long".
            ran = observed.measured_to_seconds if observed.p99_seconds is None else observed.p99_seconds
            if ran is not None:
                holds.append((ran, f"'{task.name}' is acknowledged late, and was seen to run"))
    return max(holds)


def _farthest_etas(evidence: Evidence) -> dict[str, float]:
    """Return task → seconds until the farthest ETA that a worker holds now."""
    farthest: dict[str, float] = {}
    if evidence.live is not None:
        now = evidence.live.snapshot.taken_at
        for worker in evidence.workers:
            for held in worker.scheduled:
                if held.eta is not None:
                    seconds = (held.eta - now).total_seconds()
                    farthest[held.task_name] = max(seconds, farthest.get(held.task_name, 0.0))
    return farthest
