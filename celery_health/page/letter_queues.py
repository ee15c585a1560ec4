"""The queues with dead letters, and why there are none. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from celery_health.page.blocks import (
    MOST_ROWS,
    Block,
    Cell,
    Code,
    Column,
    Page,
    Row,
    Table,
    Text,
    name,
    table,
)
from celery_health.page.links import Links
from celery_health.page.problems import worst_of
from celery_health.records import HealthReport, LettersLack
from celery_health.text.formats import number

#: What there is to paste.
SWITCH_ON: Final = """\
CELERY_HEALTH = {
    "DEAD_LETTERS": {"enabled": True},
}"""


def page(report: HealthReport, links: Links) -> Page:
    """Return the queues with dead letters, or why there are none."""
    snapshot = report.snapshot
    if snapshot.dead_letters is not None:
        blocks: tuple[Block, ...] = (
            replace(sizes(report, links), title="Queues with dead letters", json=""),
        )
    elif snapshot.dead_letters_lack is LettersLack.OFF:
        blocks = _off()
    else:
        blocks = (Text(id="lack", lines=(Cell(_lack(snapshot.dead_letters_lack), "warn"),)),)
    return Page(title="Dead letters", blocks=blocks, json=links.json("dead-letters"))


def sizes(report: HealthReport, links: Links, *, most: int = MOST_ROWS) -> Table:
    """Return one row per queue with dead letters: those not known, then those with most."""
    faults = worst_of(report.checks, "letters")
    letters = (report.snapshot.dead_letters or {}).items()
    found = sorted(letters, key=lambda item: (item[1] is not None, -(item[1] or 0), item[0]))
    rows = (
        Row(
            (name(queue, href=links.letters(queue)), Cell(number(count), "warn" if count is None else "")),
            faults.get(queue, ""),
        )
        for queue, count in found
    )
    return table(
        "dead-letters",
        "Dead letters",
        (Column("Queue"), Column("Letters", True)),
        rows,
        "None: no task has failed for good.",
        most=most,
        total=len(found),
        json=links.json("dead-letters"),
    )


def _off() -> tuple[Block, ...]:
    said = (
        "Dead letters are off in these settings (DEAD_LETTERS): what failed for good is not kept.",
        "Switch them on in Django's settings, or add the second line to the CELERY_HEALTH that is there, and "
        "start the workers again:",
    )
    after = (
        "After that a message that failed for good is kept in the broker, beside its queue, with its "
        "exception. Here you see why it failed, and send it again."
    )
    return (
        Text(id="off", lines=tuple(Cell(line, "quiet") for line in said)),
        Code(id="switch-on", text=SWITCH_ON, note=after),
    )


def _lack(lack: LettersLack | None) -> str:
    if lack is LettersLack.UNSUPPORTED:
        return "This transport cannot keep dead letters: Redis and RabbitMQ can."
    return "Dead letters were not counted; why is not known. The overview says what is known of the broker."
