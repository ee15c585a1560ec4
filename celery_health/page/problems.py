"""What is wrong, as a page shows it: the rows of `health.folding`, with links and what to do. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

from celery_health.health.folding import Row, folded, unfolded
from celery_health.page.blocks import MOST_ON_OVERVIEW, Advice, Cell, Consequences, Problem, Problems, name
from celery_health.page.links import Links
from celery_health.records import CheckResult, CheckStatus
from celery_health.text.commands import split_commands
from celery_health.text.printable import printable

_TONES: Final = {CheckStatus.FAIL: "bad", CheckStatus.WARN: "warn"}
#: What the subject of a check is, by the first part of its id.
_KINDS: Final = {
    "queues": "queue",
    "workers": "worker",
    "tasks": "task",
    "beat": "entry",
    "dead_letters": "letters",
}
KINDS: Final = tuple(dict.fromkeys(_KINDS.values()))
#: Characters of what a button copies.
_MOST_COPIED: Final = 4000


def kind_of(check_id: str) -> str:
    """Return what a check is about: ``queue``, ``worker``, ``task``, ``entry``, ``letters``; else empty."""
    return _KINDS.get(check_id.partition(".")[0], "")


def tone_of(status: CheckStatus) -> str:
    """Return the CSS class of a status."""
    return _TONES.get(status, "quiet")


def address_of(result: CheckResult, links: Links) -> str:
    """Return the page of what a check is about; empty where there is none."""
    if result.subject is None:
        return ""
    pages = {
        "queue": links.queue,
        "worker": links.worker,
        "task": links.task,
        "entry": links.entry,
        "letters": links.letters,
    }
    page = pages.get(kind_of(result.id))
    return "" if page is None else page(result.subject)


def troubles(results: Iterable[CheckResult], links: Links, *, most: int = MOST_ON_OVERVIEW) -> Problems:
    """Return what did not pass, the worst first, each cause with what is not known because of it."""
    rows = [row for row in folded(results) if row.status is not CheckStatus.PASS]
    return Problems(
        id="problems",
        title="What is wrong" if any(row.status in _TONES for row in rows) else "What is not known",
        problems=tuple(_problem(row, links) for row in rows[:most]),
        left_out=max(0, len(rows) - most),
        count=len(rows),
    )


def about(results: Iterable[CheckResult], kind: str, subject: str, links: Links) -> Problems | None:
    """Return what the checks found of one thing; None where nothing is wrong with it."""
    found = [
        result
        for result in results
        if result.subject == subject and kind_of(result.id) == kind and result.status is not CheckStatus.PASS
    ]
    if not found:
        return None
    return Problems(id="problems", problems=tuple(_problem(row, links) for row in unfolded(found)))


def worst_of(results: Iterable[CheckResult], kind: str) -> dict[str, str]:
    """Return subject → ``bad`` or ``warn`` of the things of a kind that a check found a fault of."""
    found: dict[str, str] = {}
    for result in results:
        tone = _TONES.get(result.status)
        if tone and result.subject is not None and kind_of(result.id) == kind:
            found[result.subject] = "bad" if "bad" in (tone, found.get(result.subject)) else tone
    return found


def _problem(row: Row, links: Links) -> Problem:
    first = row.results[0]
    todo = first.recommendation
    return Problem(
        key=_key(row.ids, first.subject),
        status=row.status.value,
        tone=tone_of(row.status),
        message=printable(row.message),
        ids=row.ids,
        subject=name(first.subject, href=address_of(first, links)) if first.subject is not None else None,
        advice=advice(todo) if todo else None,
        consequences=tuple(
            Consequences(one.status.value, ", ".join(one.ids), f"{one.why}.") for one in row.consequences
        ),
    )


def _key(ids: Iterable[str], subject: str | None) -> str:
    return hashlib.sha256(f"{' '.join(ids)} {subject}".encode("utf-8", "replace")).hexdigest()[:10]


def advice(text: str, names: Collection[str] = ()) -> Advice:
    """Return what to do, taken apart into sentences and what is to be pasted.

    `names` are others' texts that may stand in it: no button copies what one of them says.
    """
    parts = ((_is_shown_whole(part) and is_command, part) for is_command, part in split_commands(text, names))
    return Advice(tuple((is_command, part if is_command else printable(part)) for is_command, part in parts))


def _is_shown_whole(command: str) -> bool:
    """Say whether people see all that they would copy."""
    return printable(command, _MOST_COPIED) == command


def passed(results: Iterable[CheckResult], *, most: int = 100) -> tuple[Cell, ...]:
    """Return what passed, in a line each."""
    found = [result for result in results if result.status is CheckStatus.PASS]
    return tuple(Cell(printable(result.message), detail=_named(result)) for result in found[:most])


def _named(result: CheckResult) -> str:
    return result.id if result.subject is None else f"{result.id} ({printable(result.subject, 120)})"
