"""Blocks of the pages of dead letters, and how a letter is said in words. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple
from urllib.parse import quote

from celery_health.dead_letters.records import Cause, DeadLetter
from celery_health.page.blocks import Block, Cell, name
from celery_health.page.links import Links
from celery_health.text.formats import UNKNOWN, duration, number

#: Of a message in a list; the letter's own page has it whole.
MESSAGE_LENGTH: Final = 300
CAUSES: Final = {
    Cause.EXCEPTION: "It raised an exception",
    Cause.TIME_LIMIT: "It ran into its hard time limit",
    Cause.WORKER_LOST: "Its process was killed, or exited",
    Cause.REJECTED: "The task rejected it",
    Cause.ABANDONED: "The worker ended while it ran",
    Cause.POISON: "Its process was killed again and again",
    Cause.UNREGISTERED: "The worker has no task of that name",
    Cause.UNDECODABLE: "The worker could not read its body",
    Cause.INVALID: "It is no valid message of a task",
    Cause.UNREADABLE: "No worker could read it: it was set aside before one took it",
    Cause.UNKNOWN: "Not known: no worker of this app has put it there",
}


class Card(NamedTuple):
    """One letter of a list."""

    key: str
    title: Cell
    """What failed it, with the link to the letter."""
    message: str
    facts: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cards(Block):
    """Letters, each as a card."""

    template: ClassVar[str] = "blocks/cards.html"

    cards: tuple[Card, ...]
    empty: str
    """What to say when there are none: a whole sentence."""


class Choice(NamedTuple):
    """One select of a form that chooses."""

    name: str
    label: str
    options: tuple[tuple[str, str, bool], ...]
    """Value, text, and whether it is the chosen one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices(Block):
    """A form that asks for the same page with others chosen."""

    template: ClassVar[str] = "blocks/choices.html"
    holds_input: ClassVar[bool] = True

    choices: tuple[Choice, ...]
    hidden: tuple[tuple[str, str], ...] = ()
    clear: str = ""
    """The address of the page with nothing chosen; empty where nothing is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair(Block):
    """Two blocks side by side, one below the other on a small screen."""

    template: ClassVar[str] = "blocks/pair.html"

    blocks: tuple[Block, Block]


def title_of(letter: DeadLetter) -> str:
    """Return the class of its exception, or what happened to it, in a few words."""
    return name(letter.exception or CAUSES[letter.cause]).text


def cards(letters: Iterable[DeadLetter], now: float, links: Links) -> tuple[Card, ...]:
    """Return letters as cards; `now` is in unix seconds."""
    keys: Counter[str] = Counter()
    found = []
    for letter in letters:
        # No two elements may have one id, and ids are others' texts: what was put there twice has it twice.
        key = hashlib.sha256(letter.id.encode("utf-8", "replace")).hexdigest()[:12]
        keys[key] += 1
        found.append(_card(letter, f"{key}-{keys[key]}", now, links))
    return tuple(found)


def _card(letter: DeadLetter, key: str, now: float, links: Links) -> Card:
    message = letter.message
    if len(message) > MESSAGE_LENGTH:
        message = message[:MESSAGE_LENGTH] + "..."
    facts = [
        ("Task", task(letter, links)),
        ("Failed", when(letter.failed_at, now)),
        ("Attempts", Cell(number(letter.attempts))),
        ("Worker", worker(letter, links)),
    ]
    if letter.exception and letter.cause is not Cause.EXCEPTION:
        facts.insert(1, ("Why", Cell(CAUSES[letter.cause])))
    return Card(
        key, Cell(title_of(letter), href=links.letter(letter.queue, letter.id)), message, tuple(facts)
    )


def task(letter: DeadLetter, links: Links) -> Cell:
    """Return its task with a link."""
    return name(letter.task_name, href=links.task(letter.task_name or ""))


def worker(letter: DeadLetter, links: Links) -> Cell:
    """Return its worker with a link."""
    return name(letter.worker, href=links.worker(letter.worker or ""))


def when(seconds: float | None, now: float) -> Cell:
    """Return how long ago, and the time: that of a worker's clock, which may be ahead of ours."""
    if seconds is None:
        return Cell(UNKNOWN, "quiet")
    at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Cell(at) if seconds > now else Cell(f"{duration(now - seconds)} ago", detail=at)


def json_of(queue: str, links: Links, letter_id: str | None = None) -> str:
    """Return the address of the letters, or of one, as JSON; empty for names that no path can hold."""
    parts = [queue, *([] if letter_id is None else [letter_id])]
    if any("/" in part or part in ("", ".", "..") for part in parts):
        return ""
    return links.json("/".join(["dead-letters", *(quote(part, safe="", errors="replace") for part in parts)]))
