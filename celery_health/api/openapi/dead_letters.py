"""The shapes of ``dead-letters/``."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiResponse

from celery_health.api.bodies import MAX_BODY_BYTES
from celery_health.api.openapi.parts import (
    ARGUMENTS,
    ERROR,
    FILLED,
    YES_NO,
    Schema,
    fields,
    limit,
    number,
    one_of,
    operation,
    parameter,
    rows,
    text,
    unknown_or,
    whole,
)
from celery_health.api.query import MAX_LIMIT, MAX_OFFSET
from celery_health.api.writing import MAX_IDS, MAX_RATE, MIN_RATE
from celery_health.dead_letters.letters import DEFAULT_LIMIT
from celery_health.dead_letters.records import Cause

SIZES: Final = fields(
    {
        "queues": rows(fields({"queue": text(), "size": unknown_or(whole("Dead letters."))})),
        "count": whole("How many queues there are."),
        "total": unknown_or(whole("Dead letters of all queues.")),
    }
)
LETTER: Final = fields(
    {
        "id": text("The letter's own."),
        "task_id": unknown_or(text()),
        "task_name": unknown_or(text()),
        "cause": one_of(Cause),
        "exception": unknown_or(text("Class name.")),
        "message": unknown_or(text()),
        "traceback": unknown_or(text("Its end.")),
        "failed_at": unknown_or(text("By the worker's clock.", format="date-time")),
        "first_failed_at": unknown_or(text(format="date-time")),
        "worker": unknown_or(text()),
        "attempts": unknown_or(whole("Runs so far; 0 for what never ran.")),
        "queue": text("Where it goes back to."),
        "exchange": text("As its sender published it."),
        "routing_key": text(),
        "priority": unknown_or(whole()),
        "size_bytes": whole("Of the body."),
        "content_type": text(),
        **ARGUMENTS,
    },
    optional=tuple(ARGUMENTS),
)
NOTES: Final[dict[str, Schema]] = {"notes": rows(text("What this broker cannot show or reach."))}
PAGE: Final = fields(
    {
        "queue": text(),
        "size": whole("Dead letters of the queue, chosen or not."),
        "letters": rows(LETTER),
        "offset": whole(),
        "looked_at": whole("Letters looked through, from the oldest on."),
        "more": {**YES_NO, "description": "There are letters behind those looked at."},
        "complete": {**YES_NO, "description": "False when RabbitMQ holds more than it can show."},
        **NOTES,
    }
)
REQUEUED_FIELDS: Final[dict[str, Schema]] = {
    "queue": text(),
    "requeued": whole("Sent; with `dry_run`, what would be."),
    "expired": whole("Kept, since their `expires` is over."),
    "unsendable": whole("Kept, since they are no messages."),
    "gone": whole("Taken by somebody else meanwhile."),
    "remaining": unknown_or(whole("Dead letters left in the queue.")),
    "looked_at": whole(),
    "finished": {**YES_NO, "description": "False when limit or time ended it: ask again."},
    "complete": {**YES_NO, "description": "False when RabbitMQ holds more than one call reaches."},
    "not_found": rows(text("An id that no letter has.")),
    "dry_run": YES_NO,
    **NOTES,
}
REQUEUED: Final = fields(REQUEUED_FIELDS)
PURGED: Final = fields({"queue": text(), "purged": whole("Dead letters removed."), "dry_run": YES_NO})
ERROR_OR_DONE: Final = fields(
    {**ERROR["properties"], "done": REQUEUED, **REQUEUED_FIELDS},
    optional=(*ERROR["properties"], "done", *REQUEUED_FIELDS),
)

_DRY_RUN: Final[dict[str, Schema]] = {"dry_run": {**YES_NO, "description": "Only say what would be done."}}
_FORCE: Final[dict[str, Schema]] = {
    "force": {**YES_NO, "description": "Also without a consumer, and what has expired."}
}
_WHEN: Final = "A time (ISO 8601), or how long ago: `2h`."
_CHOICE: Final[dict[str, Schema]] = {
    "ids": rows(text("Of a letter, or of its task.", **FILLED), maxItems=MAX_IDS),
    "task": text("Name of the task.", **FILLED),
    "exception": text("Class name.", **FILLED),
    "cause": one_of(Cause),
    "since": text(_WHEN, **FILLED),
    "until": text(_WHEN, **FILLED),
    "limit": whole(f"Letters at most, up to {MAX_LIMIT}.", minimum=1, maximum=MAX_LIMIT),
    "rate": number(
        "Letters per second at most; at least one within `DEADLINE`.", minimum=MIN_RATE, maximum=MAX_RATE
    ),
}

_ERRORS: Final = {501: "This transport keeps no dead letters.", 503: "The broker does not answer."}
_NO_LETTER: Final = {404: "No letter has that id."}
_WRITING: Final = {
    400: "A field or query parameter is wrong, or the body is no JSON.",
    403: "Not allowed, or without the CSRF token.",
    411: "The body comes without a Content-Length.",
    413: f"The body is larger than {MAX_BODY_BYTES} bytes.",
    415: "The body is neither JSON nor a form.",
}
_CONFLICT: Final = {409: "Nobody is known to consume the queue, or the letter has expired."}


def _reading(name: str, schema: Schema, summary: str, parameters: list[Any], **more: Any) -> dict[str, Any]:
    return operation(name, schema, summary, parameters, _answers({**_ERRORS, **more.get("errors", {})}))


def _writing(name: str, schema: Schema, summary: str, body: dict[str, Schema], errors: Any) -> dict[str, Any]:
    described = operation(name, schema, summary, [], _answers({**_ERRORS, **_WRITING, **errors}))
    request = {"application/json": fields(body, optional=tuple(body))}
    return {**described, "request": request}


def _answers(errors: dict[int, str]) -> dict[int, OpenApiResponse]:
    return {
        status: OpenApiResponse(
            {"type": "object"} if status == 403 else ERROR_OR_DONE if status in (409, 503) else ERROR,
            description=why,
        )
        for status, why in errors.items()
    }


OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    "dead-letters": _reading("dead_letters", SIZES, "How many dead letters there are", []),
    "dead-letters-queue": _reading(
        "dead_letters_queue",
        PAGE,
        "The dead letters of a queue",
        [
            limit(DEFAULT_LIMIT, f"Letters, at most {MAX_LIMIT}."),
            parameter(
                "offset",
                f"Letters to pass over, at most {MAX_OFFSET}.",
                type=whole(minimum=0, maximum=MAX_OFFSET, default=0),
            ),
            parameter("task", "Name of the task."),
            parameter("exception", "Class name."),
            parameter("cause", f"Why it was kept: {', '.join(Cause)}."),
            parameter("since", _WHEN),
            parameter("until", _WHEN),
        ],
    ),
    "dead-letters-entry": _reading("dead_letters_entry", LETTER, "A dead letter", [], errors=_NO_LETTER),
    "dead-letters-requeue": _writing(
        "dead_letters_requeue",
        REQUEUED,
        "Send dead letters again",
        {**_CHOICE, **_DRY_RUN, **_FORCE},
        _CONFLICT,
    ),
    "dead-letters-entry-requeue": _writing(
        "dead_letters_entry_requeue",
        REQUEUED,
        "Send a dead letter again",
        {**_DRY_RUN, **_FORCE},
        {**_NO_LETTER, **_CONFLICT},
    ),
    "dead-letters-purge": _writing(
        "dead_letters_purge", PURGED, "Remove the dead letters of a queue for good", _DRY_RUN, {}
    ),
}
