"""How a dead letter looks in the broker: the original message, and one header that says why.

The header is a JSON text, so that it is the same on every transport. What was published is never decoded
here: the body is bytes, and stays as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from celery_health.dead_letters.records import Cause, Reason
from celery_health.text.masking import mask

#: Why the message was kept: a JSON object, the fields of `Reason`.
HEADER: Final = "celery_health_dead_letter"
#: What a message that was sent again remembers: a JSON object with ``attempts``, ``retries`` (its header at
#: that time), ``first_failed_at``, ``exchange``, ``routing_key``.
MEMORY_HEADER: Final = "celery_health_requeued"

MAX_MESSAGE: Final = 1000
#: The end says where it failed. An AMQP message's headers must fit into one frame, 128 KiB by default.
MAX_TRACEBACK: Final = 8000
#: Of every other text.
MAX_TEXT: Final = 500
#: Kept over the limits until passwords are masked: cut first, half of one would look like none.
SPARE: Final = 1000


def encode_reason(reason: Reason, *, brief: bool = False) -> str:
    """Return the header's value: ASCII, so that no character can upset a transport.

    Passwords in URLs are masked here, and texts cut to their limits. With `brief` it is as short as can be,
    for a message whose own headers leave little room.
    """
    fields = {**asdict(reason), "message": _first(reason.message, MAX_MESSAGE), "v": 1}
    if reason.traceback:
        fields["traceback"] = _last(reason.traceback, MAX_TRACEBACK)
    if brief:
        fields.update(traceback=None, message=fields["message"][:100])
    return json.dumps(fields)


def _first(text: str, limit: int) -> str:
    """Return the first `limit` characters of a text that `capture` may have cut, masked."""
    if len(text) > limit:
        # The last word may end in half a password, which looks like none.
        words = text.rsplit(None, 1)
        text = words[0] if len(words) == 2 and len(words[1]) <= SPARE else text[:-SPARE]
    return mask(text)[:limit]


def _last(text: str, limit: int) -> str:
    if len(text) > limit:
        words = text.split(None, 1)
        text = words[1] if len(words) == 2 and len(words[0]) <= SPARE else text[SPARE:]
    return mask(text)[-limit:]


def decode_reason(headers: Mapping[str, Any]) -> Reason | None:
    """Return what our header says; None without one that can be read. Wrong types become unknown."""
    given = _load(headers.get(HEADER))
    if not given or not _text(given.get("id")):
        return None
    failed_at = _number(given.get("failed_at")) or 0.0
    return Reason(
        id=_text(given["id"]),
        cause=_cause(given.get("cause")),
        exception=_text(given.get("exception")),
        message=_text(given.get("message"), MAX_MESSAGE),
        traceback=_text(given.get("traceback"), MAX_TRACEBACK) or None,
        worker=_text(given.get("worker")),
        attempts=int(_number(given.get("attempts")) or 0),
        failed_at=failed_at,
        first_failed_at=_number(given.get("first_failed_at")) or failed_at,
        queue=_text(given.get("queue")),
        exchange=_text(given.get("exchange")),
        routing_key=_text(given.get("routing_key")),
        priority=whole(given.get("priority")),
        content_type=_text(given.get("content_type")),
        expiration=_text(given.get("expiration")) or None,
    )


def decode_memory(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a message remembers of having been sent again; empty when it was not."""
    return _load(headers.get(MEMORY_HEADER)) or {}


def attempts_of(headers: Mapping[str, Any]) -> int:
    """Return which run of its task this message's is, counted over retries and requeues, from 1."""
    retries = whole(headers.get("retries")) or 0
    memory = decode_memory(headers)
    before = whole(memory.get("attempts"))
    if before is None:
        return retries + 1
    return before + max(0, retries - (whole(memory.get("retries")) or 0)) + 1


def headers_again(headers: Mapping[str, Any], reason: Reason | None) -> dict[str, Any]:
    """Return the headers to send a letter again with: the original ones, and what it is to remember."""
    again = {name: value for name, value in headers.items() if name != HEADER}
    if reason is not None:
        again[MEMORY_HEADER] = json.dumps(
            {
                "attempts": reason.attempts,
                "retries": whole(headers.get("retries")) or 0,
                "first_failed_at": reason.first_failed_at,
                "exchange": reason.exchange,
                "routing_key": reason.routing_key,
            }
        )
    return again


def whole(value: object) -> int | None:
    """Return `value` if it is a whole number of sensible size, else None."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        return None
    return value


def _load(value: object) -> dict[str, Any] | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if not isinstance(value, str):
        return None
    try:
        loaded = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _cause(value: object) -> Cause:
    try:
        return Cause(str(value))
    except ValueError:
        return Cause.UNKNOWN


def _text(value: object, limit: int = MAX_TEXT) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
