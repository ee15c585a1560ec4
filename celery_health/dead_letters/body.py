"""Dead letters as the contract has them, field by field: for HTTP and for ``--json``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celery_health.dead_letters.records import DeadLetter, Page, Requeued, SetAside
from celery_health.text.printable import printable

#: What RabbitMQ cannot do, where it matters.
FIRST_ONLY: Final = (
    "RabbitMQ shows only the first {shown} of {size} letters. Requeue or purge to see those behind."
)
#: What it cannot do while two look.
HELD_BY_OTHERS: Final = (
    "RabbitMQ showed {shown} of {size} letters: somebody else may be looking at the others, or they came "
    "meanwhile. Look again in a moment."
)
REACHED_BY_OTHERS: Final = (
    "RabbitMQ did not show every letter: somebody else may be looking at the others. Call again in a moment."
)
CALL_AGAIN: Final = (
    "RabbitMQ lets one call reach only the first letters of a queue: those behind were not looked at."
)

TIME_IS_UP: Final = "The time was up before every letter was looked at. Ask again for the rest."


def sizes_body(sizes: Mapping[str, int | None]) -> dict[str, Any]:
    """Return how many letters each queue has."""
    rows = [{"queue": printable(queue), "size": size} for queue, size in sorted(sizes.items())]
    known = [size for size in sizes.values() if size is not None]
    return {"queues": rows, "count": len(rows), "total": sum(known) if len(known) == len(rows) else None}


def page_body(page: Page) -> dict[str, Any]:
    """Return some letters of one queue."""
    return {
        "queue": printable(page.queue),
        "size": page.size,
        "letters": [letter_row(letter) for letter in page.letters],
        "offset": page.offset,
        "looked_at": page.looked_at,
        "more": page.more,
        "complete": page.complete,
        "notes": list(page_notes(page)),
    }


def page_notes(page: Page) -> tuple[str, ...]:
    """Return what to know of a page that does not show everything there is."""
    if page.complete:
        return ()
    said = HELD_BY_OTHERS if page.disturbed else FIRST_ONLY
    return (said.format(shown=page.looked_at, size=page.size),)


def letter_row(letter: DeadLetter) -> dict[str, Any]:
    """Return one letter; its arguments only where they may be seen."""
    row = {
        "id": letter.id,
        "task_id": letter.task_id,
        "task_name": letter.task_name,
        "cause": letter.cause.value,
        "exception": letter.exception or None,
        "message": letter.message or None,
        "traceback": letter.traceback,
        "failed_at": moment(letter.failed_at),
        "first_failed_at": moment(letter.first_failed_at),
        "worker": letter.worker,
        "attempts": letter.attempts,
        "queue": printable(letter.queue),
        "exchange": letter.exchange,
        "routing_key": letter.routing_key,
        "priority": letter.priority,
        "size_bytes": letter.size_bytes,
        "content_type": letter.content_type,
    }
    if letter.args is not None or letter.kwargs is not None:
        row |= {"args": letter.args, "kwargs": letter.kwargs}
    return row


def requeued_body(done: Requeued) -> dict[str, Any]:
    """Return what a requeue did, or would do."""
    return {
        "queue": printable(done.queue),
        "requeued": done.requeued,
        "expired": done.expired,
        "unsendable": done.unsendable,
        "gone": done.gone,
        "remaining": done.remaining,
        "looked_at": done.looked_at,
        "finished": done.finished,
        "complete": done.complete,
        "not_found": [printable(name) for name in done.not_found],
        "dry_run": done.dry_run,
        "notes": list(requeued_notes(done)),
    }


def requeued_notes(done: Requeued) -> tuple[str, ...]:
    """Return why a requeue has not come to the end."""
    reach = REACHED_BY_OTHERS if done.disturbed else CALL_AGAIN
    return (*([TIME_IS_UP] if done.timed_out else []), *([] if done.complete else [reach]))


def aside_body(done: SetAside) -> dict[str, Any]:
    """Return what was set aside, or would be."""
    return {
        "queue": printable(done.queue),
        "set_aside": len(done.messages),
        "messages": [
            {
                "position": one.position,
                "size_bytes": one.size_bytes,
                "why": printable(one.why),
                "id": one.letter_id,
            }
            for one in done.messages
        ],
        "looked_at": done.looked_at,
        "not_looked_at": done.not_looked_at,
        "gone": done.gone,
        "dry_run": done.dry_run,
    }


def moment(seconds: float | None) -> str | None:
    """Return a time as ISO 8601, UTC, to the millisecond; None when it is unknown."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
