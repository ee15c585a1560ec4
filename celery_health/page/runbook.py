"""What to do about a check that found a fault: the runbooks of the docs, which every installation carries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from celery_health.health.gaps import WATCHED
from celery_health.page.blocks import Block, Cell, Html, Page, Text, joined, name
from celery_health.page.links import Links
from celery_health.page.problems import found_by
from celery_health.page.rendering import render
from celery_health.records import HealthReport

#: Check → the sections of the runbooks that are about it, the nearest first.
SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "broker.reachable": ("broker.reachable",),
    "broker.writable": ("CeleryBrokerRefusesWrites", "CeleryTasksNotSent"),
    "store.reachable": ("CeleryStoreDown",),
    "results.reachable": ("CeleryResultBackendDown",),
    "workers.alive": ("CeleryNoWorkers", "CeleryWorkerRestarting", "CeleryWorkerHeartbeatStale"),
    "workers.consuming": ("workers.consuming",),
    "workers.pool": ("workers.pool",),
    "queues.consumed": ("CeleryQueueWithoutConsumer", "CeleryExpectedQueueWithoutConsumer"),
    "queues.stalled": ("CeleryQueueStalled",),
    "queues.depth": ("CeleryQueueBacklogLarge",),
    "queues.age": ("CeleryOldestMessageTooOld",),
    "tasks.unknown": ("CeleryTaskUnknown",),
    "tasks.failing": ("CeleryTaskFailing", "CeleryTaskFailingInARow", "CeleryTaskRetryStorm"),
    "tasks.stuck": ("tasks.stuck", "CeleryTaskSlow"),
    "tasks.lost": ("CeleryTasksLost", "CeleryMessagesOrphaned"),
    "beat.alive": ("CeleryBeatDead",),
    "beat.on_time": ("CeleryScheduleOverdue",),
    "dead_letters.size": ("CeleryDeadLettersTooMany",),
}
_HERE: Final = Path(__file__).parent
#: In a wheel it stands beside this module; in a checkout, among the docs.
_PLACES: Final = (_HERE / "runbooks.md", _HERE.parents[1] / "docs" / "how-to" / "runbooks.md")
_PIECE: Final = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`|\[(?P<text>[^]]+)\]\((?P<to>[^)]+)\)")


class Piece(NamedTuple):
    """A part of a paragraph."""

    kind: str
    """``text``, ``strong``, ``code`` or ``link``."""
    text: str
    href: str = ""


def page(check: str, report: HealthReport, links: Links) -> Page:
    """Return what to do about a check, below what it says now."""
    sections = [(title, _sections().get(title)) for title in SECTIONS.get(check, ())]
    blocks: list[Block] = [
        Html(id=f"section-{place}", title=title, html=render("runbook.html", paragraphs=_parsed(text, links)))
        for place, (title, text) in enumerate(sections)
        if text
    ]
    says = (
        f"What it watches: {WATCHED[check]}."
        if check in WATCHED
        else f"There is no check {name(check).text}."
    )
    return Page(
        title=name(check).text,
        kind="Runbook",
        status=200 if check in SECTIONS else 404,
        blocks=joined(Text(id="watches", lines=(Cell(says),)), found_by(report.checks, check, links), blocks),
    )


@lru_cache(maxsize=1)
def _sections() -> dict[str, str]:
    """Return title → text; none where this installation lacks the file."""
    found = next((place for place in _PLACES if place.is_file()), None)
    if found is None:
        return {}
    _, *parts = re.split(r"^## ", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.strip(): text.strip() for title, _, text in (part.partition("\n") for part in parts)}


def _parsed(text: str, links: Links) -> list[tuple[bool, list[Piece]]]:
    """Return paragraphs, as pieces; or what stands between fences, as it is."""
    found: list[tuple[bool, list[Piece]]] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("```"):
            found.append((True, [Piece("code", paragraph.strip("`").strip())]))
        elif paragraph.strip():
            found.append((False, list(_pieces(" ".join(paragraph.split()), links))))
    return found


def _pieces(text: str, links: Links) -> Iterator[Piece]:
    done = 0
    for found in _PIECE.finditer(text):
        if found.start() > done:
            yield Piece("text", text[done : found.start()])
        done = found.end()
        if found["to"]:
            address = _address(found["to"], links)
            yield Piece("link" if address else "text", found["text"].strip("`"), address)
        elif found["strong"]:
            yield Piece("strong", found["strong"])
        else:
            yield Piece("code", found["code"])
    if done < len(text):
        yield Piece("text", text[done:])


def _address(to: str, links: Links) -> str:
    """Return where a link of the docs leads among the pages: to another runbook, or nowhere."""
    for check, titles in SECTIONS.items():
        if to == f"#{titles[0].lower()}":
            return links.runbook(check)
    return ""
