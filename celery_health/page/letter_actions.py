"""Send dead letters again: asked, done, and told by the pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from celery_health.api.dead_letters import filter_of
from celery_health.api.query import BadParameter
from celery_health.conf import get_settings
from celery_health.dead_letters import acting, letters
from celery_health.dead_letters.destination import why_unconsumed
from celery_health.dead_letters.newest import size_in_a_moment
from celery_health.dead_letters.records import Filter, Requeued
from celery_health.dead_letters.resending import RequeueInterruptedError
from celery_health.deadline import Deadline
from celery_health.exceptions import (
    BrokerError,
    DeadlineExceeded,
    NotConsumedError,
    UnsupportedError,
)
from celery_health.page.actions import Action, Outcome, Question, Refused, Target
from celery_health.page.form_blocks import Button
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.formats import number, plural
from celery_health.text.masking import mask
from celery_health.text.printable import printable

#: What the broker may answer instead.
FAILURES: Final = (BrokerError, DeadlineExceeded, UnsupportedError)
_TWICE: Final = (
    "Each is sent before it is removed: should this process be killed in between, its task may run twice. "
    "What fails again comes back. Where the cause is a bug, deploy the fix first."
)
_FORCE: Final = (
    "Send all the same: also while nobody is known to consume the queue, and letters whose expires is over, "
    "without it."
)
#: Of the time of an answer, for the dry run: what is left is for the page.
_SHARE_OF_DRY_RUN: Final = 0.5


class SendAgain(Action):
    """Sends one letter, those chosen, or all of a queue back to it."""

    path: ClassVar = "dead-letters/requeue"
    stop: ClassVar = "dead-letters"
    kind: ClassVar = "Dead letters"
    parameters: ClassVar = ("queue", "id", "task", "exception", "cause", "since")
    fields: ClassVar = ("force",)

    def question(self, target: Target, report: HealthReport, deadline: Deadline) -> Question:
        """Return how many would go, and which would stay."""
        queue, ids = target["queue"], _ids(target)
        timeout = max(0.1, deadline.remaining() * _SHARE_OF_DRY_RUN)
        would = letters.requeue(queue, ids, where=_where(target), dry_run=True, timeout=timeout)
        refusal = why_unconsumed(report.snapshot, would.queue)
        says = [*_would(would, ids), *([refusal] if refusal else []), *_stays(would)]
        title = _title(target)
        if would.not_found:
            return Question(title=title, says=(_not_found(would),), button="", status=404)
        if not would.requeued and not would.expired:
            return Question(title=title, says=tuple(says), button="")
        return Question(
            title=title,
            says=(*says, _TWICE),
            button=f"Send {_which(would, ids)} again",
            boxes=(("force", _FORCE),) if refusal or would.expired else (),
        )

    def confirmation(self, target: Target) -> str | None:
        """Return the queue's name, where it is about every letter."""
        is_all = _ids(target) is None and _where(target).takes_all
        return target["queue"] if is_all else None

    def do(self, target: Target, fields: Mapping[str, str], who: str, deadline: Deadline) -> Outcome:
        """Send them."""
        queue, ids = target["queue"], _ids(target)
        force = fields.get("force") == "yes"
        try:
            done = acting.requeue(
                who, queue, ids, where=_where(target), force=force, timeout=get_settings().deadline
            )
        except RequeueInterruptedError as error:
            return Outcome(lines=(("bad", mask(error)), *_went(error.done)), again=True)
        except NotConsumedError as error:
            raise Refused(f"Nothing was sent. {mask(error)}") from None
        except FAILURES as error:
            raise Refused(f"Nothing was sent. {mask(error)}", 503) from None
        if done.not_found:
            return Outcome(lines=(("warn", f"Nothing was sent. {_not_found(done)}"),))
        if ids and not done.requeued and done.expired:
            raise Refused("Nothing was sent: it has expired, and a worker would throw it away. Force it.")
        more = done.timed_out or not done.complete
        if self.confirmation(target) is not None and not done.timed_out and done.complete:
            done = _counted_again(done)
            more = done.disturbed
        again = more and bool(done.requeued) and done.remaining != 0
        return Outcome(lines=(*_went(done), *_left(done, again)), again=again)

    def ways(self, target: Target, links: Links) -> tuple[Button, ...]:
        """Return the ways to the letters and to the queue."""
        queue = target["queue"]
        shown = printable(queue, 120)
        chosen = {key: value for key, value in target.items() if key not in ("queue", "id")}
        back = Button(f"Dead letters of {shown}", links.letters(queue, **chosen))
        return (back, Button(f"Queue {shown}", links.queue(queue)))


def _ids(target: Target) -> list[str] | None:
    return [target["id"]] if "id" in target else None


def _where(target: Target) -> Filter:
    return filter_of(target.get, BadParameter)


def _title(target: Target) -> str:
    shown = printable(target["queue"], 120)
    if "id" in target:
        return f"Send a dead letter of {shown} again"
    chosen = [printable(target[name], 120) for name in ("exception", "cause", "task") if name in target]
    since = [f"since {printable(target['since'], 60)}"] if "since" in target else []
    if not chosen and not since:
        return f"Send all dead letters of {shown} again"
    return f"Send dead letters of {shown} again: {', '.join([*chosen, *since])}"


def _would(would: Requeued, ids: list[str] | None) -> Iterator[str]:
    """Yield how many would go."""
    queue = printable(would.queue)
    least = "At least " if would.timed_out or not would.complete else ""
    if ids is None or would.requeued != 1:
        yield (
            f"{least}{plural(would.requeued, 'letter')} would go back to queue '{queue}', each as it was "
            "published: with the same id, arguments and headers."
        )
    else:
        yield (
            f"It goes back to queue '{queue}' as it was published: with the same id, arguments and headers."
        )
    if would.timed_out:
        yield f"The time (DEADLINE) was enough for {number(would.looked_at)} of {number(would.remaining)}."
    elif would.disturbed:
        yield "RabbitMQ did not show all: somebody else may be looking at the others, which may go, too."
    elif not would.complete:
        yield "RabbitMQ shows only the first thousand letters of a queue: those behind may go, too."


def _which(would: Requeued, ids: list[str] | None) -> str:
    if ids:
        return "it"
    is_sure = would.complete and not would.timed_out and would.requeued
    return number(would.requeued) if is_sure else "them"


def _stays(done: Requeued) -> Iterator[str]:
    """Yield how many stay, and why."""
    if done.expired:
        stay = _kept(done.expired, "stay")
        yield f"{stay}, expired: a worker would throw away what comes after its expires."
    if done.unsendable:
        yield f"{_kept(done.unsendable, 'stay')}: what was put there by others is no message of a task."
    if done.gone:
        yield f"{plural(done.gone, 'letter')} had gone before: somebody else was quicker."


def _kept(count: int, verb: str) -> str:
    return f"{plural(count, 'letter')} {verb}{'s' if count == 1 else ''}"


def _not_found(done: Requeued) -> str:
    """Return why a letter is not there."""
    queue = printable(done.queue)
    if done.timed_out:
        return f"The letter was not found in the time (DEADLINE) among the dead letters of queue '{queue}'."
    if done.disturbed:
        return (
            f"It is not among those dead letters of queue '{queue}' that RabbitMQ showed: somebody else may "
            "be looking at it. Try again in a moment."
        )
    if not done.complete:
        return f"It is not among those letters of queue '{queue}' that RabbitMQ shows: the first thousand."
    return (
        f"No dead letter of queue '{queue}' has that id, or none has it any more: it was sent again or "
        "purged, or newer ones took its place (max_length)."
    )


def _went(done: Requeued) -> Iterator[tuple[str, str]]:
    """Yield what was done, with its tone."""
    queue = printable(done.queue)
    tone = "good" if done.requeued else "warn"
    yield tone, f"{plural(done.requeued, 'letter')} sent again to queue '{queue}'."
    for line in _stays(done):
        yield "warn", line


def _counted_again(done: Requeued) -> Requeued:
    """Return what was done, with what is left once the looks of others are over."""
    kept = done.expired + done.unsendable
    size = size_in_a_moment(done.queue, kept, Deadline.after(get_settings().deadline))
    if size is None:
        return done
    return replace(done, remaining=size, disturbed=size > kept)


def _left(done: Requeued, again: bool) -> Iterator[tuple[str, str]]:
    """Yield what is left, with its tone."""
    left = number(done.remaining)
    if done.timed_out:
        yield "warn", f"The time (DEADLINE) was up: {left} left{', press again' if again else ''}."
    elif done.disturbed:
        yield (
            "warn",
            f"Somebody else was looking at letters meanwhile, or some came since: {left} left"
            f"{', press again' if again else ''}.",
        )
    elif not done.complete:
        yield "warn", f"RabbitMQ shows a thousand at once: {left} left{', press again' if again else ''}."
    elif done.remaining is None:
        yield "warn", "How many dead letters are left is not known."
    elif done.remaining:
        yield "plain", f"{plural(done.remaining, 'dead letter')} left."
