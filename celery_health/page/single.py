"""What the pages of one thing share: what is wrong with it, and what to say where it is not known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

from celery_health.health.folding import FAULTS
from celery_health.page.blocks import MOST_ROWS, Block, Cell, Facts, Page, Text, joined, name
from celery_health.page.form_blocks import Choice
from celery_health.page.links import Links
from celery_health.page.problem_blocks import Problems
from celery_health.page.problems import kind_of, tone_of, troubles
from celery_health.records import CheckResult, CheckStatus
from celery_health.text.printable import printable

_MOST_SIMILAR: Final = 5
#: Of a name; what is behind that tells similar ones apart no better.
_COMPARED: Final = 80
_LONGEST: Final = 1000


def tones_of(checks: Iterable[CheckResult], kind: str) -> dict[str, dict[str, str]]:
    """Return subject → check id → ``bad`` or ``warn``, of the faults that the checks found."""
    found: dict[str, dict[str, str]] = {}
    for check in checks:
        if check.subject is not None and check.status in FAULTS and kind_of(check) == kind:
            of_it = found.setdefault(check.subject, {})
            of_it[check.id] = "bad" if "bad" in (tone_of(check.status), of_it.get(check.id)) else "warn"
    return found


def tones(checks: Iterable[CheckResult], kind: str, subject: str) -> dict[str, str]:
    """Return check id → ``bad`` or ``warn``, of the faults that the checks found of one thing."""
    return tones_of((check for check in checks if check.subject == subject), kind).get(subject, {})


def of_the_whole(checks: Iterable[CheckResult], kind: str, links: Links) -> Problems | None:
    """Return what is wrong or not known of all things of a kind together; None for nothing."""
    said = (*FAULTS, CheckStatus.UNKNOWN)
    found = [
        check for check in checks if check.subject is None and check.status in said and kind_of(check) == kind
    ]
    return troubles(found, links) if found else None


def missing(
    kind: str,
    title: str,
    links: Links,
    *,
    looked: Iterable[str],
    among: Iterable[str],
    address: str,
    is_certain: bool = True,
) -> Page:
    """Return the page of a thing that nobody knows.

    Args:
        kind: what it would be: ``queue``.
        title: the name that was asked for.
        links: of this page.
        looked: where it was looked for, and why it may be missing: whole sentences.
        among: the names that are known.
        address: of all things of that kind.
        is_certain: there is none; else it may only be that not everything could be asked.
    """
    said = f"No {kind} of this name is known" + (
        "." if is_certain else ", and not everything could be asked."
    )
    lines = [Cell(said, "plain"), *(Cell(text, "plain") for text in looked)]
    similar = _similar(title, among)
    return Page(
        title=name(title).text,
        kind=kind.capitalize(),
        status=HTTPStatus.NOT_FOUND if is_certain else HTTPStatus.OK,
        blocks=joined(
            in_full(title),
            Text(id="missing", lines=tuple(lines)),
            _links("similar", "Similar names", similar, links, kind) if similar else None,
            Text(
                id="elsewhere",
                lines=(
                    Cell("Search for what begins so", "plain", links.search_for(title[:300])),
                    Cell(f"All {plural_of(kind)}", "plain", address),
                ),
            ),
        ),
    )


def in_full(title: str) -> Facts | None:
    """Return a name of which the heading has no more than a part; None where it has the whole."""
    if len(printable(title, _LONGEST)) <= len(name(title).text):
        return None
    return Facts(id="name", pairs=(("Name in full", Cell(printable(title, _LONGEST))),))


def choice(what: str, begins: str, total: int, address: str) -> Choice | None:
    """Return the field that chooses among `total` things; None where they are few and all shown."""
    if total <= MOST_ROWS and not begins:
        return None
    return Choice(id="choice", what=what, begins=begins, address=address)


def title_of(begins: str) -> str:
    """Return the heading of a list."""
    return f"Those that begin with {name(begins).text}" if begins else "All, those that worry first"


def starts_with(title: str, begins: str) -> bool:
    """Say whether a name begins so, whatever its case, as it is or as it is shown."""
    wanted = begins.casefold()
    if not wanted or title.casefold().startswith(wanted):
        return True
    return not title.isprintable() and printable(title).casefold().startswith(wanted)


def plural_of(kind: str) -> str:
    """Return ``entries`` for ``entry``."""
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _links(id: str, title: str, names: Iterable[str], links: Links, kind: str) -> Block:
    address = {"queue": links.queue, "worker": links.worker, "entry": links.entry}[kind]
    return Text(
        id=id,
        title=title,
        lines=tuple(Cell(name(each).text, "plain", address(each)) for each in names),
    )


def _similar(title: str, among: Iterable[str]) -> Sequence[str]:
    by_start = {each[:_COMPARED].casefold(): each for each in among}
    wanted = title[:_COMPARED].casefold()
    found = get_close_matches(wanted, by_start, n=_MOST_SIMILAR, cutoff=0.6)
    return [by_start[each] for each in found]
