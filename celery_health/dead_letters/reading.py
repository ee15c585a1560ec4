"""From what lies in a box to what people are shown. Pure; nothing is unpickled, evaluated or decompressed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celery_health.conf import Settings
from celery_health.dead_letters.boxes import Stored
from celery_health.dead_letters.envelope import MAX_MESSAGE, MAX_TEXT, MAX_TRACEBACK, decode_reason, whole
from celery_health.dead_letters.records import Brief, Cause, DeadLetter, Reason
from celery_health.text.arguments import MAX_ITEMS, shown
from celery_health.text.masking import MASK
from celery_health.text.printable import printable

#: A larger body is not decoded to show its arguments.
MAX_DECODED_BYTES: Final = 1024 * 1024
#: The one kind of body that is decoded: to read it runs nothing.
JSON: Final = "application/json"
#: Celery's message protocol 1 keeps in the body what protocol 2 has in headers; there it is small.
_MAX_OLD_BYTES: Final = 64 * 1024
_MAX_TRACEBACK_LINE: Final = 500


def read_letter(
    stored: Stored, queue: str, settings: Settings | None = None, tasks: Mapping[str, Any] | None = None
) -> DeadLetter:
    """Return a letter of `queue` for people: every text of it printable.

    Arguments are shown only when `settings` are given and allow it. `tasks`, by name, say what the positional
    ones are called; those of a task that is not among them are all masked.
    """
    reason = decode_reason(stored.headers)
    headers = stored.headers if stored.headers.get("task") else _old_headers(stored)
    args, kwargs = _arguments(stored, settings, (tasks or {}).get(_line(headers.get("task"))))
    return DeadLetter(
        id=_line(reason.id) if reason else hashlib.sha256(stored.body).hexdigest()[:32],
        task_id=_line(headers.get("id") or stored.properties.get("correlation_id")) or None,
        task_name=_line(headers.get("task")) or None,
        cause=reason.cause if reason else Cause.UNKNOWN,
        exception=_line(reason.exception) if reason else "",
        message=printable(reason.message, MAX_MESSAGE) if reason else "",
        traceback=_lines(reason.traceback) if reason and reason.traceback else None,
        failed_at=_when(reason.failed_at) if reason else None,
        first_failed_at=_when(reason.first_failed_at) if reason else None,
        worker=_line(reason.worker) or None if reason else None,
        attempts=reason.attempts if reason else None,
        queue=queue,
        exchange=_line(reason.exchange) if reason else "",
        routing_key=_line(reason.routing_key) if reason else "",
        priority=whole(stored.properties.get("priority")),
        size_bytes=stored.size_bytes,
        content_type=_line(stored.content_type),
        args=args,
        kwargs=kwargs,
    )


def read_brief(stored: Stored) -> Brief:
    """Return what a letter is chosen and counted by, as `read_letter` says it."""
    reason = decode_reason(stored.headers)
    headers = stored.headers if stored.headers.get("task") else _old_headers(stored)
    return Brief(
        task_name=_line(headers.get("task")) or None,
        cause=reason.cause if reason else Cause.UNKNOWN,
        exception=_line(reason.exception) if reason else "",
        failed_at=_when(reason.failed_at) if reason else None,
    )


def has_expired(headers: Mapping[str, Any], now: float) -> bool:
    """Say whether a worker would throw the message away since its ``expires`` is over (unix seconds)."""
    given = headers.get("expires")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return given < now
    if not isinstance(given, str):
        return False
    try:
        expires = datetime.fromisoformat(given)
    except ValueError:
        return False
    # Celery takes a time without a zone for UTC (celery/utils/time.py, maybe_make_aware).
    return (expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp() < now


def names(stored: Stored, reason: Reason | None, wanted: frozenset[str]) -> str | None:
    """Return which of the ids `wanted` is a letter's own or its task's; None if none."""
    return next((name for name in ids(stored, reason) if name in wanted), None)


def ids(stored: Stored, reason: Reason | None) -> list[str]:
    """Return a letter's own id and those of its task."""
    own = reason.id if reason else hashlib.sha256(stored.body).hexdigest()[:32]
    headers = stored.headers if stored.headers.get("task") else _old_headers(stored)
    found = (own, headers.get("id"), stored.properties.get("correlation_id"))
    return [name for name in found if isinstance(name, str)]


def _arguments(stored: Stored, settings: Settings | None, task: Any) -> tuple[str | None, str | None]:
    if settings is None or not settings.show_arguments:
        return None, None
    body = _json_body(stored, MAX_DECODED_BYTES)
    if isinstance(body, dict):
        args, kwargs = body.get("args"), body.get("kwargs")
    elif isinstance(body, list) and len(body) >= 2:
        args, kwargs = body[:2]
    else:
        return None, None
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return None, None
    if task is None:
        args = [MASK] * len(args[:MAX_ITEMS])
    try:
        texts = shown(_nothing if task is None else task.run, args, kwargs, settings.redact)
    except (RecursionError, ValueError):  # an integer of more digits than Python prints
        return None, None
    return printable(texts[0]), printable(texts[1])


def _nothing() -> None:
    """Stand for a task whose signature is not known here."""


def _old_headers(stored: Stored) -> Mapping[str, Any]:
    """Return ``id`` and ``task`` of a message of protocol 1; empty when it is none."""
    body = _json_body(stored, _MAX_OLD_BYTES)
    return body if isinstance(body, dict) else {}


def _json_body(stored: Stored, limit: int) -> Any:
    """Return the decoded body, None when it is not JSON, too large, or compressed."""
    if (
        stored.content_type != JSON
        or stored.size_bytes > limit
        # A body of a few bytes may hold gigabytes.
        or stored.headers.get("compression")
    ):
        return None
    try:
        return json.loads(stored.body)
    except (ValueError, RecursionError):
        return None


def _when(seconds: float) -> float | None:
    """Return a time that a calendar has; None for zero, which stands for unknown, and for nonsense."""
    return seconds if 0.0 < seconds < 253402300800.0 else None


def _line(value: object) -> str:
    return printable(value, MAX_TEXT) if isinstance(value, str) else ""


def _lines(text: str) -> str:
    lines = text[-MAX_TRACEBACK:].splitlines()
    return "\n".join(printable(line, _MAX_TRACEBACK_LINE) for line in lines)
