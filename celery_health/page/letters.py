"""The dead letters of one queue: which, why, and what one can do. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from celery_health.dead_letters.body import FIRST_ONLY, HELD_BY_OTHERS
from celery_health.dead_letters.records import Cause, Filter, Group, Newest
from celery_health.page.blocks import (
    MOST_ROWS,
    Cell,
    Column,
    Page,
    Row,
    Table,
    Text,
    joined,
    name,
    table,
)
from celery_health.page.form_blocks import Actions, Button
from celery_health.page.letter_blocks import CAUSES, Cards, Choice, Choices, cards, json_of, when
from celery_health.page.links import Links
from celery_health.page.problems import about
from celery_health.records import HealthReport
from celery_health.text.formats import number, plural
from celery_health.text.printable import printable

#: Letters on one page of a queue.
LETTERS_PER_PAGE: Final = 50
#: Kinds that are shown; the others are found by their task or exception.
MOST_KINDS: Final = 20
#: Other queues to look in that are named.
MOST_ELSEWHERE: Final = 10
WHO_ACTS: Final = (
    "Sending again and purging are for those who have the permission “write”: superusers, unless "
    'PERMISSIONS["write"] says otherwise.'
)
_SINCE: Final = (
    ("", "any time"),
    ("15m", "the last 15 minutes"),
    ("1h", "the last hour"),
    ("24h", "the last day"),
    ("7d", "the last week"),
)
_ANY: Final = "any"
#: Of RabbitMQ, which cannot say more.
OTHERS_LOOK: Final = (
    "What somebody else looks at in that moment is neither shown nor counted: load the page again where some "
    "are missing."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which letters of a queue somebody wants to see."""

    queue: str
    where: Filter
    task: str | None = None
    exception: str | None = None
    cause: str | None = None
    since: str | None = None
    """As it was written: ``1h``."""
    number: int = 1
    """Of the page, from 1 on."""
    everything: bool = False
    """Look at all letters, not at the newest alone."""

    @property
    def chosen(self) -> dict[str, str]:
        """Return the part of the address that chooses."""
        given = {"task": self.task, "exception": self.exception, "cause": self.cause, "since": self.since}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def offset(self) -> int:
        """Return how many letters come before the page."""
        return (self.number - 1) * LETTERS_PER_PAGE


def page_of(asked: Asked, found: Newest, report: HealthReport, links: Links, *, may_write: bool) -> Page:
    """Return the letters of one queue, the newest first."""
    now = report.snapshot.taken_at.timestamp()
    return Page(
        title=name(asked.queue).text,
        kind="Dead letters of queue",
        # Where a look marks what it sees, nobody looks who has not asked for it.
        refreshes=not (found.marked or asked.everything or asked.number > 1),
        json=json_of(asked.queue, links),
        blocks=joined(
            about(report.checks, "letters", asked.queue, links),
            _kinds(asked, found, links, now) if found.groups else None,
            # A form carries its fields as text of the page, which cannot hold every name.
            _choices(asked, found, links) if found.groups and asked.queue.isprintable() else None,
            _actions(asked, found, links) if may_write and found.size else None,
            None if may_write or not found.size else Text(id="who-acts", lines=(Cell(WHO_ACTS),)),
            Cards(
                id="letters",
                title="Letters",
                count=found.taken if found.is_all else None,
                cards=cards(found.letters, now, links),
                empty=_none(asked, found, report),
                note=" ".join(_notes(asked, found)),
            ),
            _elsewhere(asked, report, links) if asked.chosen and not found.letters else None,
            _pages(asked, found, links),
        ),
    )


def _elsewhere(asked: Asked, report: HealthReport, links: Links) -> Text | None:
    """Return where such letters may be instead: a task is sent to more than one queue."""
    letters = (report.snapshot.dead_letters or {}).items()
    others = sorted((-count, queue) for queue, count in letters if count and queue != asked.queue)
    if not others:
        return None
    lines = tuple(
        Cell(name(queue).text, "plain", links.letters(queue, **asked.chosen), detail=plural(-count, "letter"))
        for count, queue in others[:MOST_ELSEWHERE]
    )
    note = f"And {number(len(others) - MOST_ELSEWHERE)} more queues." if len(others) > MOST_ELSEWHERE else ""
    return Text(id="elsewhere", title="Look for such letters of another queue", lines=lines, note=note)


def page_unread(asked_for: str, why: str, report: HealthReport, links: Links) -> Page:
    """Return the page of a queue whose letters cannot be read now."""
    return Page(
        title=name(asked_for).text,
        kind="Dead letters of queue",
        blocks=joined(
            Text(id="unread", lines=(Cell(f"Its letters cannot be shown now. {why}", "warn"),)),
            about(report.checks, "letters", asked_for, links),
        ),
    )


def _kinds(asked: Asked, found: Newest, links: Links, now: float) -> Table:
    rows = [
        Row(
            (
                Cell(
                    name(group.exception or CAUSES[group.cause]).text,
                    href=_of_kind(group, found.groups, asked, links),
                    detail=f"in {name(group.task_name).text}",
                ),
                Cell(number(group.count)),
                when(group.first, now),
                when(group.last, now),
            )
        )
        for group in found.groups[:MOST_KINDS]
    ]
    return table(
        "kinds",
        "Why they failed",
        (Column("Failed with"), Column("Letters", True), Column("First"), Column("Last")),
        rows,
        "",
        total=len(found.groups),
        note="" if found.is_all else _how_far(found),
    )


def _of_kind(group: Group, groups: Iterable[Group], asked: Asked, links: Links) -> str:
    """Return the address of the letters of one kind, and of no others; empty where there is none."""
    chosen = {"exception": group.exception} if group.exception else {"cause": group.cause.value}
    if group.task_name is not None:
        return links.letters(asked.queue, task=group.task_name, **chosen)
    alike = [one for one in groups if (one.exception or one.cause) == (group.exception or group.cause)]
    return links.letters(asked.queue, **chosen) if len(alike) == 1 else ""


def _how_far(found: Newest) -> str:
    if not found.complete:
        said = HELD_BY_OTHERS if found.disturbed else FIRST_ONLY
        return said.format(shown=number(found.looked_at), size=number(found.size))
    return f"Of the newest {number(found.looked_at)} of {number(found.size)} letters."


def _choices(asked: Asked, found: Newest, links: Links) -> Choices:
    causes = {group.cause.value for group in found.groups} | ({asked.cause} if asked.cause else set())
    exceptions = _options(asked.exception, (group.exception for group in found.groups))
    return Choices(
        id="choices",
        title="Choose letters",
        hidden=(("queue", asked.queue), *([("all", "1")] if asked.everything else [])),
        choices=(
            Choice("task", "Task", _options(asked.task, (group.task_name for group in found.groups))),
            Choice("exception", "Exception", exceptions),
            Choice(
                "cause",
                "Cause",
                (
                    ("", _ANY, asked.cause is None),
                    *((each, CAUSES[Cause(each)], each == asked.cause) for each in sorted(causes)),
                ),
            ),
            Choice("since", "Failed within", _spans(asked.since)),
        ),
        clear=links.letters(asked.queue) if asked.chosen else "",
    )


def _options(chosen: str | None, names: Iterable[str | None]) -> tuple[tuple[str, str, bool], ...]:
    known = sorted({each for each in names if each} | ({chosen} if chosen else set()))[:MOST_ROWS]
    shown = ((printable(each), name(each).text, each == chosen) for each in known)
    return (("", _ANY, chosen is None), *shown)


def _spans(chosen: str | None) -> tuple[tuple[str, str, bool], ...]:
    spans = [(value, text, value == (chosen or "")) for value, text in _SINCE]
    if chosen and not any(is_chosen for *_, is_chosen in spans):
        spans.append((chosen, printable(chosen, 60), True))
    return tuple(spans)


def _actions(asked: Asked, found: Newest, links: Links) -> Actions:
    # While others look, nobody knows how many there are.
    size = "" if found.disturbed else f" {number(found.size)}"
    purge = Button(f"Purge all{size}", links.purging(asked.queue), "bad")
    if not asked.chosen:
        send = Button(f"Send all{size} again", links.sending(asked.queue))
        return Actions(id="actions", buttons=(send, purge))
    count = f"these {number(found.taken)}" if found.is_all else "all such letters"
    chosen = Button(f"Send {count} again", links.sending(asked.queue, **absolute(asked)))
    return Actions(id="actions", buttons=(*([chosen] if found.taken or not found.is_all else []), purge))


def absolute(asked: Asked) -> dict[str, str]:
    """Return the part of the address that chooses, with a time that stays: in an hour 1h is another one."""
    since = asked.where.since
    if since is None:
        return asked.chosen
    at = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**asked.chosen, "since": at}


def _none(asked: Asked, found: Newest, report: HealthReport) -> str:
    if not found.size:
        snapshot = report.snapshot
        known = {*(queue.name for queue in snapshot.queues), *(snapshot.dead_letters or {})}
        if found.queue not in known:
            return "None: nothing is kept here, and no queue of this name is known."
        hidden = f" {OTHERS_LOOK}" if found.marked else ""
        return f"None: nothing is kept here. What was sent again or purged is gone from this list.{hidden}"
    if asked.chosen:
        return "None of those looked at is such a letter."
    return "There are no letters so far back." if found.complete else "None of those shown stands here."


def _notes(asked: Asked, found: Newest) -> Iterable[str]:
    if found.marked and found.size:
        yield (
            "RabbitMQ shows a letter only by taking it, and puts it back marked as redelivered: "
            f"this page looks when you load it, and not by itself. {OTHERS_LOOK}"
        )
    if not found.complete or (asked.chosen and not found.is_all):
        yield _how_far(found)


def _pages(asked: Asked, found: Newest, links: Links) -> Actions:
    more = {**asked.chosen, **({"all": "1"} if asked.everything else {})}
    buttons = []
    if asked.number > 1:
        before = {"page": str(asked.number - 1)} if asked.number > 2 else {}
        buttons.append(Button("Newer", links.letters(asked.queue, **more, **before)))
    end = asked.offset + LETTERS_PER_PAGE
    if end < (found.taken if asked.chosen else found.size if found.complete else found.looked_at):
        buttons.append(Button("Older", links.letters(asked.queue, **more, page=str(asked.number + 1))))
    if not found.is_all and found.complete and not asked.everything:
        text = f"Look at all {plural(found.size, 'letter')}"
        buttons.append(Button(text, links.letters(asked.queue, **asked.chosen, all="1")))
    return Actions(id="pages", title="More letters", buttons=tuple(buttons))
