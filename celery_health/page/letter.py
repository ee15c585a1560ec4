"""One dead letter: the exception first, where it was raised, and what the message was. Pure."""

from __future__ import annotations

import re
from typing import Final

from celery_health.dead_letters.destination import why_unconsumed
from celery_health.dead_letters.records import DeadLetter
from celery_health.page.blocks import Cell, Code, Facts, Page, Text, joined, name
from celery_health.page.form_blocks import Actions, Button, Form
from celery_health.page.letter_blocks import CAUSES, Pair, json_of, task, title_of, when, worker
from celery_health.page.letters import WHO_ACTS
from celery_health.page.links import Links
from celery_health.records import HealthReport
from celery_health.text.formats import UNKNOWN, number
from celery_health.text.printable import printable

_FRAME: Final = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>[0-9]+), in (?P<function>.+)$')
#: Where code lies that is not the project's.
_OTHERS: Final = re.compile(
    r"[/\\](site-packages|dist-packages|lib[/\\]python[0-9.]+|python[0-9.]+[/\\]lib)[/\\]|^<", re.IGNORECASE
)
_MOST_OF_A_LINE: Final = 200


def page(
    letter: DeadLetter, report: HealthReport, links: Links, *, csrf_token: str | None, shows_arguments: bool
) -> Page:
    """Return one letter; without a `csrf_token` for who may not send it again."""
    queue = letter.queue
    place = raised_at(letter.traceback)
    now = report.snapshot.taken_at.timestamp()
    said = [Cell(letter.message, "said")] if letter.message else []
    whose = task(letter, links)._replace(detail=f"Failed {' · '.join(_parts(when(letter.failed_at, now)))}")
    sending = links.sending(queue, id=letter.id)
    every = Button(f"All letters of {name(queue).text}", links.letters(queue))
    form: Form | None = None
    buttons: tuple[Button, ...] = (every,)
    if csrf_token is not None and why_unconsumed(report.snapshot, queue) is None:
        says = f"It goes back to queue {name(queue).text} as it was published, and its task runs again."
        buttons, form = (
            (),
            Form(
                id="send",
                csrf_token=csrf_token,
                says=(says,),
                button="Send it again",
                action=sending,
                cancel=links.letters(queue),
            ),
        )
    elif csrf_token is not None:
        buttons = (Button("Send it again", sending), every)
    return Page(
        title=title_of(letter),
        kind="Dead letter",
        # It stays as it is; and on RabbitMQ each look marks it.
        refreshes=False,
        json=json_of(queue, links, letter.id),
        blocks=joined(
            Text(id="said", lines=(*said, *([Cell(place, "place")] if place else []), whose)),
            form,
            Actions(id="actions", buttons=buttons),
            None if csrf_token is not None else Text(id="who-acts", lines=(Cell(WHO_ACTS),)),
            Pair(id="error-and-arguments", blocks=(_error(letter), _arguments(letter, shows_arguments))),
            _facts(letter, now, links),
        ),
    )


def page_of_none(queue: str, letter_id: str, why: str, links: Links) -> Page:
    """Return the page of a letter that is not there."""
    return Page(
        title="No such letter",
        kind="Dead letter",
        status=404,
        refreshes=False,
        blocks=(
            Text(
                id="none",
                lines=(
                    Cell(printable(why), "said"),
                    Cell(
                        "It was sent again or purged, or went for newer ones: "
                        "DEAD_LETTERS['max_length'] is the most that is kept of a queue."
                    ),
                ),
            ),
            Actions(id="actions", buttons=(Button(f"Letters of {name(queue).text}", links.letters(queue)),)),
        ),
    )


def raised_at(traceback: str | None) -> str:
    """Return the innermost place in the project's own code, in words; empty where a traceback names none."""
    lines = (traceback or "").split("\n")
    found = ""
    for index, line in enumerate(lines):
        frame = _FRAME.match(line[: _MOST_OF_A_LINE * 2])
        if frame is None or _OTHERS.search(frame["file"]):
            continue
        # Its source stands below it, and further in.
        code = lines[index + 1] if index + 1 < len(lines) else ""
        shown = f": {code.strip()[:_MOST_OF_A_LINE]}" if code.startswith("    ") else ""
        found = f"Raised in {frame['function']}, {frame['file']} line {frame['line']}{shown}"
    return found


def _parts(cell: Cell) -> list[str]:
    return [text for text in (cell.text, cell.detail) if text]


def _error(letter: DeadLetter) -> Code | Text:
    if letter.traceback:
        return Code(id="traceback", title="Traceback", text=letter.traceback)
    why = f"{CAUSES[letter.cause]}: there is none."
    return Text(id="traceback", title="Traceback", lines=(Cell(why),))


def _arguments(letter: DeadLetter, are_shown: bool) -> Code | Text:
    if letter.args is not None or letter.kwargs is not None:
        text = f"{letter.args or '[]'}\n{letter.kwargs or '{}'}"
        return Code(
            id="arguments",
            title="Arguments",
            text=text,
            note="By position, then by name; REDACT masks values.",
        )
    why = "Not shown: SHOW_ARGUMENTS is False in CELERY_HEALTH. Set it to True; REDACT says what is masked."
    if are_shown:
        why = "They cannot be shown: the body is not JSON, is compressed, or is larger than 1 MiB."
    return Text(id="arguments", title="Arguments", lines=(Cell(why),))


def _facts(letter: DeadLetter, now: float, links: Links) -> Facts:
    exchange = "the default exchange" if not letter.exchange else f"exchange {name(letter.exchange).text}"
    published = f"{exchange}, routing key {name(letter.routing_key).text}" if letter.routing_key else UNKNOWN
    return Facts(
        id="facts",
        title="The message",
        pairs=(
            ("Task", task(letter, links)),
            ("Why", Cell(CAUSES[letter.cause])),
            ("Failed", when(letter.failed_at, now)),
            ("First failed", when(letter.first_failed_at, now)),
            ("Attempts", Cell(number(letter.attempts))),
            ("Worker", worker(letter, links)),
            ("Goes back to", name(letter.queue, href=links.queue(letter.queue))),
            ("Was published to", Cell(published)),
            ("Priority", Cell("none" if letter.priority is None else str(letter.priority))),
            ("Size", Cell(f"{number(letter.size_bytes)} bytes", detail=name(letter.content_type).text)),
            ("Task id", name(letter.task_id)),
            ("Letter id", name(letter.id)),
        ),
    )
