"""Purge dead letters: asked, done, and told by the pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from celery_health.dead_letters import acting
from celery_health.dead_letters.newest import seen, size_in_a_moment
from celery_health.dead_letters.records import Seen
from celery_health.deadline import Deadline
from celery_health.page.actions import Action, Outcome, Question, Refused, Target
from celery_health.page.form_blocks import Button
from celery_health.page.letter_actions import FAILURES
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.formats import number, plural
from celery_health.text.masking import mask
from celery_health.text.printable import printable

_THOSE_TO_COME: Final = "Those that come until you press go with them: which they are is not known here."
#: Of RabbitMQ, which cannot say more.
_OTHERS_LOOK: Final = "Those that somebody else looks at in that moment are not counted, and stay."


class Purge(Action):
    """Removes all letters of a queue for good."""

    path: ClassVar = "dead-letters/purge"
    stop: ClassVar = "dead-letters"
    kind: ClassVar = "Dead letters"
    parameters: ClassVar = ("queue",)
    fields: ClassVar = ("seen", "newest")

    def question(self, target: Target, report: HealthReport, deadline: Deadline) -> Question:
        """Return how many would go."""
        queue = printable(target["queue"])
        known = seen(target["queue"], deadline)
        size = known.size
        title = f"Purge the dead letters of {printable(target['queue'], 120)}"
        others = [_OTHERS_LOOK] if known.marked else []
        if size == 0:
            says = f"Queue '{queue}' has no dead letters: there is nothing to purge."
            return Question(title=title, says=(says, *others), button="")
        count = "All dead letters" if size is None else f"All {plural(size, 'dead letter')}"
        return Question(
            title=title,
            says=(
                f"{count} of queue '{queue}' would be removed for good: what their tasks were called with "
                "is lost then.",
                *([] if known.newest_id else [_THOSE_TO_COME]),
                *others,
            ),
            button=f"Purge {number(size)}" if size is not None else "Purge",
            tone="bad",
            hidden=(("seen", "" if size is None else str(size)), ("newest", known.newest_id or "")),
        )

    def confirmation(self, target: Target) -> str | None:
        """Return the queue's name."""
        return target["queue"]

    def do(self, target: Target, fields: Mapping[str, str], who: str, deadline: Deadline) -> Outcome:
        """Purge them, unless others have come that nobody has seen."""
        queue = target["queue"]
        try:
            known = seen(queue, deadline)
        except FAILURES as error:
            raise Refused(f"Nothing was purged. {mask(error)}", 503) from None
        _refuse_others(known, fields)
        try:
            count = acting.purge(who, queue)
        except FAILURES as error:
            line = f"It is not known whether they were purged: {mask(error)}"
            return Outcome(lines=(("bad", line),))
        if not count:
            gone = ("warn", "Nothing was purged: there were none any more.")
            return Outcome(lines=(gone, *_came_back(queue, deadline)))
        purged = ("good", f"{plural(count, 'dead letter')} of queue '{printable(queue)}' purged.")
        return Outcome(lines=(purged, *_came_back(queue, deadline)))

    def ways(self, target: Target, links: Links) -> tuple[Button, ...]:
        """Return the ways to the letters and to the queue."""
        queue = target["queue"]
        shown = printable(queue, 120)
        return (
            Button(f"Dead letters of {shown}", links.letters(queue)),
            Button(f"Queue {shown}", links.queue(queue)),
        )


def _refuse_others(known: Seen, fields: Mapping[str, str]) -> None:
    """Refuse where letters have come that were not there when somebody was asked.

    Raises:
        Refused: there are more, or another is the newest: a full queue drops one for each that comes.
    """
    size, newest_id = fields.get("seen", ""), fields.get("newest", "")
    is_number = size.isascii() and size.isdigit() and len(size) < 10
    if is_number and known.size is not None and known.size > int(size):
        more = plural(known.size - int(size), "dead letter")
        or_back = "" if not known.marked else ", or came back from the look of somebody else"
        raise Refused(f"Nothing was purged. {more} came since you were asked{or_back}: look again.")
    if newest_id and known.newest_id not in (None, newest_id):
        raise Refused("Nothing was purged. Other dead letters have come since you were asked: look again.")


def _came_back(queue: str, deadline: Deadline) -> Iterator[tuple[str, str]]:
    """Yield what is there again after a purge, with its tone."""
    size = size_in_a_moment(queue, 0, deadline)
    if size:
        yield (
            "warn",
            f"{plural(size, 'dead letter')} {'is' if size == 1 else 'are'} there again: somebody else was "
            "looking at them, or they came since. Purge again.",
        )
