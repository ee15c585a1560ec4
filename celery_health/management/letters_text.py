"""Dead letters as lines of text. Pure; every text of a letter is printable before it comes here."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.management.color import Style

from celery_health.dead_letters.body import moment, page_notes, requeued_notes
from celery_health.dead_letters.records import DeadLetter, Page, Requeued, SetAside
from celery_health.text.commands import letters_command
from celery_health.text.formats import UNKNOWN, number, plural, table
from celery_health.text.printable import printable

#: Longer texts are cut in a table: `show` has them whole.
_NAME = 60
_MESSAGE = 60


def sizes_lines(sizes: Mapping[str, int | None]) -> list[str]:
    """Return how many letters each queue has."""
    if not sizes:
        return ["No queue is known."]
    rows = [(printable(queue, _NAME), number(size)) for queue, size in sorted(sizes.items())]
    return table(("queue", "dead letters"), rows, right=(1,))


def page_lines(page: Page, style: Style) -> list[str]:
    """Return a page as a table, and what it does not show."""
    queue = printable(page.queue, _NAME)
    lines = [style.MIGRATE_LABEL(f"Queue {queue}: {plural(page.size, 'dead letter')}.")]
    rows = [
        (
            letter.id,
            _time(letter.failed_at),
            printable(letter.task_name or UNKNOWN, _NAME),
            printable(letter.exception or letter.cause.value, _NAME),
            number(letter.attempts),
            printable(letter.message, _MESSAGE),
        )
        for letter in page.letters
    ]
    if rows:
        lines += table(("id", "failed (UTC)", "task", "exception", "attempts", "message"), rows, right=(4,))
    elif page.size:
        lines.append("  None of those looked at is meant.")
    if page.more:
        lines.append(f"There are more: --offset {page.offset + len(page.letters)}")
    lines += [style.WARNING(note) for note in page_notes(page)]
    return lines


def letter_lines(letter: DeadLetter, style: Style) -> list[str]:
    """Return everything there is to see of one letter."""
    fields = {
        "id": letter.id,
        "task": letter.task_name,
        "task id": letter.task_id,
        "queue": printable(letter.queue),
        "cause": letter.cause.value,
        "exception": letter.exception,
        "message": letter.message,
        "failed": _time(letter.failed_at) + " UTC",
        "first failed": _time(letter.first_failed_at) + " UTC",
        "attempts": number(letter.attempts),
        "worker": letter.worker,
        "exchange": letter.exchange,
        "routing key": letter.routing_key,
        "priority": None if letter.priority is None else str(letter.priority),
        "content type": letter.content_type,
        "size": f"{number(letter.size_bytes)} bytes",
        "args": letter.args,
        "kwargs": letter.kwargs,
    }
    widest = max(map(len, fields)) + 2
    lines = [f"{name:<{widest}}{value}" for name, value in fields.items() if value]
    if letter.args is None:
        lines.append(f"{'args':<{widest}}not shown (SHOW_ARGUMENTS, and a JSON body of a sensible size)")
    if letter.traceback:
        lines += ["", *(f"  {line}" for line in letter.traceback.split("\n"))]
    return lines


def requeued_lines(done: Requeued, style: Style) -> list[str]:
    """Return what a requeue did, or would do."""
    queue = printable(done.queue, _NAME)
    verb = "Would send" if done.dry_run else "Sent"
    lines = [style.SUCCESS(f"{verb} {plural(done.requeued, 'letter')} to queue {queue}.")]
    if done.expired:
        lines.append(
            f"{plural(done.expired, 'letter')} kept: they have expired. --force sends them all the same."
        )
    if done.unsendable:
        lines.append(f"{plural(done.unsendable, 'letter')} kept: no worker could read what they hold.")
    if done.gone:
        lines.append(f"{plural(done.gone, 'letter')} had gone before.")
    if done.not_found:
        names = ", ".join(printable(name, _NAME) for name in done.not_found[:20])
        lines.append(style.ERROR(f"No such letter: {names}"))
    lines += [style.WARNING(note) for note in requeued_notes(done)]
    lines.append(f"{number(done.remaining)} remain.")
    return lines


def aside_lines(done: SetAside, style: Style) -> list[str]:
    """Return what was set aside, or would be."""
    queue = printable(done.queue, _NAME)
    verb = "Would set aside" if done.dry_run else "Set aside"
    lines = [style.SUCCESS(f"{verb} {plural(len(done.messages), 'message')} of queue {queue}.")]
    lines += [
        f"  message {one.position} ({plural(one.size_bytes, 'byte')}): {printable(one.why)}"
        + (f"; now letter {one.letter_id}" if one.letter_id else "")
        for one in done.messages
    ]
    if done.gone:
        lines.append(f"{plural(done.gone, 'message')} had been taken before.")
    if done.not_looked_at:
        total = done.looked_at + done.not_looked_at
        lines.append(f"{done.looked_at:,} of {total:,} messages were looked at.")
        if not done.dry_run:
            lines.append(f"Look at the next: {letters_command('set-aside', done.queue)}")
    return lines


def _time(seconds: float | None) -> str:
    text = moment(seconds)
    return UNKNOWN if text is None else text[:19].replace("T", " ")
