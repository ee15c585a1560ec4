"""What is wrong, as a page shows it: the rows of `health.folding`, with links and what to do. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from celery_health.health.folding import FAULTS, Consequence, Row, folded, unfolded
from celery_health.health.gaps import WATCHED
from celery_health.page.blocks import MOST_ON_OVERVIEW, Cell, name
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Advice, Consequences, Problem, Problems
from celery_health.records import CheckResult, CheckStatus
from celery_health.text.commands import split_commands
from celery_health.text.formats import listing
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
#: The same of a check that is about two kinds: they differ in what it counts.
_LOST: Final[Mapping[tuple[str, str | None], str]] = {
    ("tasks.lost", "runs"): "worker",
    ("tasks.lost", "messages"): "queue",
}
KINDS: Final = tuple(dict.fromkeys(_KINDS.values()))
#: Characters of what a button copies.
_MOST_COPIED: Final = 4000
_MOST_WATCHED: Final = 6
_MOST_OF_NAME: Final = 80
#: Things with the same fault that are shown with all that is known; of the others a line each.
_MOST_ALIKE: Final = 3
_MOST_LINES: Final = 5
_FOLLOWS: Final = {
    CheckStatus.UNKNOWN: "Not known",
    CheckStatus.UNSUPPORTED: "Not watched",
    CheckStatus.OFF: "Off",
}


def kind_of(result: CheckResult) -> str:
    """Return what a result is about: ``queue``, ``worker``, ``task``, ``entry``, ``letters``; else empty."""
    return _LOST.get((result.id, result.unit)) or _KINDS.get(result.id.partition(".")[0], "")


def tone_of(status: CheckStatus) -> str:
    """Return the CSS class of a status."""
    return _TONES.get(status, "quiet")


def tone_of_checks(results: Iterable[CheckResult], *ids: str) -> str:
    """Return ``bad`` or ``warn`` where one of these checks, or of those that begin so, found a fault."""
    found = {
        _TONES[one.status]
        for one in results
        if one.status in _TONES and (one.id in ids or one.id.partition(".")[0] in ids)
    }
    return "bad" if "bad" in found else "warn" if found else ""


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
    page = pages.get(kind_of(result))
    return "" if page is None else page(result.subject)


def troubles(
    results: Iterable[CheckResult],
    links: Links,
    *,
    known: Mapping[tuple[str, str], Cell] | None = None,
    most: int = MOST_ON_OVERVIEW,
) -> Problems:
    """Return what did not pass, the worst first, each cause with what is not known because of it.

    Args:
        results: of all checks.
        links: from the page that shows it.
        known: (id of a check, subject) → what else is known of that.
        most: faults; what is not known has as many.
    """
    results = tuple(results)
    rows = [row for row in folded(results) if row.status is not CheckStatus.PASS]
    names = _odd_names(results)
    faults = [row for row in rows if row.status in FAULTS]
    groups = _alike(faults)
    others = [row for row in rows if row.status not in FAULTS]
    watched = list(dict.fromkeys(WATCHED.get(id, id) for row in others for id in _all_ids(row)))
    return Problems(
        id="problems",
        title="What is wrong" if faults else "",
        problems=tuple(
            replace(
                _problem(row, links, names, known or {}),
                others=tuple(_line(one, links) for one in others[:_MOST_LINES]),
                left_out=max(0, len(others) - _MOST_LINES),
            )
            for row, others in groups[:most]
        ),
        unknown=tuple(_problem(row, links, names, {}) for row in others[:most]),
        summary=f"Not known or not watched: {listing(watched, _MOST_WATCHED)}",
        left_out=sum(1 + len(others) for _, others in groups[most:]),
        count=len(faults) or None,
    )


def _alike(rows: Iterable[Row]) -> list[tuple[Row, list[Row]]]:
    """Return the first rows of each fault; the last of them with the others that have the same."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    found: list[tuple[Row, list[Row]]] = []
    for row in rows:
        group = groups.setdefault((row.status, row.ids), [])
        if len(group) >= _MOST_ALIKE:
            next(others for shown, others in found if shown is group[-1]).append(row)
            continue
        group.append(row)
        found.append((row, []))
    return found


def _line(row: Row, links: Links) -> Cell:
    """Return a row as one line."""
    return Cell(_shortened(row.message, row.results[0].subject), href=address_of(row.results[0], links))


def about(results: Iterable[CheckResult], kind: str, subject: str, links: Links) -> Problems | None:
    """Return what the checks found of one thing; None where nothing is wrong with it."""
    found = [
        result
        for result in results
        if result.subject == subject and kind_of(result) == kind and result.status is not CheckStatus.PASS
    ]
    if not found:
        return None
    names = _odd_names(found)
    return Problems(id="problems", problems=tuple(_problem(row, links, names, {}) for row in unfolded(found)))


def found_by(results: Iterable[CheckResult], check: str, links: Links) -> Problems | None:
    """Return what one check says now; None where it found nothing wrong."""
    found = [result for result in results if result.id == check and result.status is not CheckStatus.PASS]
    if not found:
        return None
    names, rows = _odd_names(found), unfolded(found)
    return Problems(
        id="problems",
        title="What it says now",
        problems=tuple(
            replace(_problem(row, links, names, {}), runbook="") for row in rows[:MOST_ON_OVERVIEW]
        ),
        left_out=max(0, len(rows) - MOST_ON_OVERVIEW),
        count=len(rows),
    )


def worst_of(results: Iterable[CheckResult], kind: str) -> dict[str, str]:
    """Return subject → ``bad`` or ``warn`` of the things of a kind that a check found a fault of."""
    found: dict[str, str] = {}
    for result in results:
        tone = _TONES.get(result.status)
        if tone and result.subject is not None and kind_of(result) == kind:
            found[result.subject] = "bad" if "bad" in (tone, found.get(result.subject)) else tone
    return found


def _problem(
    row: Row,
    links: Links,
    names: Sequence[str],
    known: Mapping[tuple[str, str], Cell],
) -> Problem:
    first = row.results[0]
    todo = _without_message(first)
    return Problem(
        key=_key(row.ids, first.subject),
        status=row.status.value,
        tone=tone_of(row.status),
        message=_shortened(row.message, first.subject),
        ids=row.ids,
        subject=name(first.subject, href=address_of(first, links)) if first.subject is not None else None,
        advice=advice(todo, names) if todo else None,
        runbook=links.runbook(first.id),
        consequences=tuple(map(_consequence, row.consequences)),
        known=known.get((first.id, first.subject or "")),
    )


def _shortened(message: str, subject: str | None) -> str:
    """Return a message with a very long name cut: what it is about stands below it, and leads to its page."""
    if subject is not None and len(subject) > _MOST_OF_NAME:
        message = message.replace(subject, f"{subject[: _MOST_OF_NAME - 3]}...")
    return printable(message)


def _without_message(result: CheckResult) -> str:
    """Return what to do: a recommendation begins with the fact, so that it can stand alone."""
    message, todo = result.message.rstrip("."), result.recommendation or ""
    if todo.rstrip(".") == message:
        return ""
    # Its first sentence may say less than the message; a name in it may hold what looks like its end.
    ends = [found.start() for found in re.finditer(r"\. ", todo) if message.startswith(todo[: found.start()])]
    return todo[ends[-1] + 2 :] if ends else todo


def _consequence(one: Consequence) -> Consequences:
    watched = list(dict.fromkeys(WATCHED.get(id, id) for id in one.ids))
    return Consequences(
        one.status.value,
        ", ".join(one.ids),
        f"{_FOLLOWS.get(one.status, one.status.value)} because of {one.cause}: {', '.join(watched)}.",
    )


def _all_ids(row: Row) -> list[str]:
    return [*row.ids, *(id for consequence in row.consequences for id in consequence.ids)]


def _key(ids: Iterable[str], subject: str | None) -> str:
    return hashlib.sha256(f"{' '.join(ids)} {subject}".encode("utf-8", "replace")).hexdigest()[:10]


def _odd_names(results: Iterable[CheckResult]) -> list[str]:
    """Return the names that may look like a command."""
    return [one.subject for one in results if one.subject and (" " in one.subject or "(" in one.subject)]


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
