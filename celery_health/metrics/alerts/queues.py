"""Alerts on queues and their dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from celery_health.metrics.alerts.base import (
    CRITICAL,
    FOUND,
    HOUR,
    INFO,
    MINUTE,
    TIME,
    WARNING,
    Alert,
    Makers,
    Project,
    any_of,
    subject,
)
from celery_health.metrics.promql import Scope, number, one_of

#: A backlog of one part in so many of the depth limit is news, if it stays.
BACKLOG_PARTS: Final = 10
#: Within this nobody took a task, or somebody did.
TAKEN_SECONDS: Final = 2 * MINUTE

_BY: Final = ("queue_name",)
_QUEUE: Final = subject("queue_name")


def without_consumer(project: Project) -> Iterator[Alert]:
    """Yield the alert that nobody takes what waits, for each length of time that is set."""
    scope = project.scope
    for name, matcher, seconds in project.queues("unconsumed_seconds", _scaled_to_zero(project)):
        waiting = scope.gauge("celery_queue_length", matcher, by=_BY)
        consumers = scope.gauge("celery_active_consumer_count", matcher, by=_BY)
        yield Alert(
            name="CeleryQueueWithoutConsumer",
            expr=f"{waiting} > 0\nand\n{consumers} == 0",
            hold_seconds=seconds,
            severity=CRITICAL,
            summary=f"Queue {_QUEUE} holds {FOUND} tasks, and no worker consumes it.",
            check="queues.consumed",
            labels={"limit_of": name} if name else {},
        )


def _scaled_to_zero(project: Project) -> list[str]:
    """Return the queues that are judged by the age of their messages alone."""
    return [name for name in project.settings.queues if project.settings.scales_to_zero(name)]


def deserted(project: Project) -> Iterator[Alert]:
    """Yield the alert that nobody consumes a queue of EXPECTED_QUEUES, though nothing waits there."""
    settings, scope = project.settings, project.scope
    ignored = settings.ignored_queues
    expected = {
        name for name in settings.expected_queues if name not in ignored and not settings.scales_to_zero(name)
    }
    if not expected:
        return
    yield Alert(
        name="CeleryExpectedQueueWithoutConsumer",
        expr=f"{scope.gauge('celery_active_consumer_count', one_of('queue_name', expected), by=_BY)} == 0",
        hold_seconds=max(settings.limit("unconsumed_seconds", queue=name) for name in expected),
        severity=WARNING,
        summary=f"No worker consumes queue {_QUEUE}, which EXPECTED_QUEUES names.",
        check="queues.consumed",
    )


def stalled(project: Project) -> Iterator[Alert]:
    """Yield the alert that workers with free slots take nothing, for each length of time that is set."""
    for name, matcher, seconds in project.queues("stalled_seconds", _scaled_to_zero(project)):
        yield Alert(
            name="CeleryQueueStalled",
            expr=_stalled(project.scope, matcher),
            hold_seconds=seconds,
            severity=CRITICAL,
            summary=f"Queue {_QUEUE} holds {FOUND} tasks, its workers have free slots, and none takes any.",
            check="queues.stalled",
            labels={"limit_of": name} if name else {},
        )


def _stalled(scope: Scope, matcher: str) -> str:
    kept = scope.names()
    received = (
        f"increase({scope.select('celery_task_received_total', matcher)}[{scope.window(TAKEN_SECONDS)}])"
    )
    # Whatever workers run may fill the slots of this queue's: fewer than its slots leaves one free for sure.
    running = f"sum by ({kept}) ({scope.gauge('celery_worker_tasks_active', by=('hostname',))})"
    slots = scope.gauge("celery_active_process_count", matcher, by=_BY)
    # A worker whose hands are full of what waits for a rate limit takes nothing, and is well.
    held_back = scope.gauge("celery_held_back_process_count", matcher, by=_BY)
    return (
        f"{scope.gauge('celery_queue_length', matcher, by=_BY)} > 0\n"
        f"and\n({slots} - {held_back} or {slots}) > on ({kept}) group_left () {running}\n"
        f"unless\nsum by ({scope.names(_BY)}) ({received}) > 0"
    )


def backlog(project: Project) -> Iterator[Alert]:
    """Yield the alerts on the depth of a queue: a tenth of its limit that stays, and the limit itself."""

    def over(parts: int) -> str:
        return any_of(
            f"{_waiting(project.scope, matcher)} > {number(limit / parts)}"
            for _, matcher, limit in project.queues("depth", _scaled_to_zero(project))
        )

    yield Alert(
        name="CeleryQueueBacklog",
        expr=over(BACKLOG_PARTS),
        hold_seconds=5 * MINUTE,
        severity=INFO,
        summary=f"Queue {_QUEUE} holds {FOUND} tasks, and has for a while.",
        check="queues.depth",
    )
    yield Alert(
        name="CeleryQueueBacklogLarge",
        expr=over(1),
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"Queue {_QUEUE} holds {FOUND} tasks, over its limit.",
        check="queues.depth",
    )


def _waiting(scope: Scope, matcher: str) -> str:
    """Return what could run and does not: in the broker, and, where that is known, in workers."""
    ready = scope.gauge("celery_queue_length", matcher, by=_BY)
    return f"({ready} + {scope.gauge('celery_queue_tasks_held', matcher, by=_BY)} or {ready})"


def oldest(project: Project) -> Iterator[Alert]:
    """Yield the alert on the age of what waits."""
    yield Alert(
        name="CeleryOldestMessageTooOld",
        expr=any_of(
            f"{project.scope.gauge('celery_queue_oldest_message_age_seconds', matcher, by=_BY)}"
            f" > {number(limit)}"
            for _, matcher, limit in project.queues("age_seconds")
        ),
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"The oldest task in queue {_QUEUE} has waited for {TIME}.",
        check="queues.age",
    )


def letters(project: Project) -> Iterator[Alert]:
    """Yield the alerts on dead letters: that they grow, and that they are too many."""
    scope = project.scope
    now = scope.gauge("celery_dead_letter_queue_size", by=_BY)
    series = f"{scope.select('celery_dead_letter_queue_size')} offset {scope.window(HOUR)}"
    before = f"max by ({scope.names(_BY)}) ({series})"
    up = "celery_health_up" if "celery_health_up" in project.metrics else None
    yield Alert(
        name="CeleryDeadLettersGrowing",
        # A queue may have had no series before its first letter: then there were none, if somebody looked.
        expr=(
            f"{now}\n- (\n  {before}\n  or ({now} * 0 and on ({scope.names()}) "
            f"{project.watched(up, HOUR)})\n) > 0"
        ),
        hold_seconds=0,
        severity=INFO,
        summary=f"Queue {_QUEUE} has {FOUND} more dead letters than an hour ago.",
        check="dead_letters.size",
    )
    yield Alert(
        name="CeleryDeadLettersTooMany",
        expr=any_of(
            f"{scope.gauge('celery_dead_letter_queue_size', matcher, by=_BY)} > {number(limit)}"
            for _, matcher, limit in project.queues("dead_letters")
        ),
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"Queue {_QUEUE} has {FOUND} dead letters, over its limit.",
        check="dead_letters.size",
    )


def letters_lost(project: Project) -> Iterator[Alert]:
    """Yield the alert that dead letters were dropped, or could not be written."""
    grown = project.increase(
        "celery_dead_letters_dropped_total", seconds=HOUR, by=_BY, of=("queue_name", "reason")
    )
    yield Alert(
        name="CeleryDeadLettersLost",
        expr=f"{grown} > 0",
        hold_seconds=0,
        severity=WARNING,
        summary=f"{FOUND} dead letters of queue {_QUEUE} were lost in the last hour.",
        check="dead_letters.size",
    )


def orphaned(project: Project) -> Iterator[Alert]:
    """Yield the alert that messages were taken from a queue which no worker holds."""
    yield Alert(
        name="CeleryMessagesOrphaned",
        expr=f"{project.scope.gauge('celery_queue_tasks_orphaned', by=_BY)} > 0",
        hold_seconds=MINUTE,
        severity=WARNING,
        summary=f"{FOUND} messages taken from queue {_QUEUE} are held by no worker.",
        check="tasks.lost",
    )


ALERTS: Final[Makers] = (
    ("celery_queue_length", without_consumer),
    ("celery_active_consumer_count", deserted),
    ("celery_queue_length", stalled),
    ("celery_queue_length", backlog),
    ("celery_queue_oldest_message_age_seconds", oldest),
    ("celery_queue_tasks_orphaned", orphaned),
    ("celery_dead_letter_queue_size", letters),
    ("celery_dead_letters_dropped_total", letters_lost),
)
