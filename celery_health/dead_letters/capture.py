"""What a worker keeps of a message that failed for good. Cheap, since its main process does it; no I/O.

Texts are only cut here, with room to spare: what makes them presentable runs where they are written
(`envelope.encode_reason`), in a thread that no task waits for.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any, Final

from celery_health.dead_letters.envelope import (
    MAX_MESSAGE,
    MAX_TEXT,
    MAX_TRACEBACK,
    SPARE,
    attempts_of,
    decode_memory,
    whole,
)
from celery_health.dead_letters.records import Cause, Reason

#: What a letter takes in memory besides its body: headers, properties, traceback.
OVERHEAD_BYTES: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """A message that is to become a dead letter, with references to what was received: nothing is copied."""

    queue: str
    """The queue it came from, which is also where it goes back to."""
    reason: Reason
    raw: Mapping[str, Any] | None
    """The message as a virtual transport keeps it, parsed; None on AMQP."""
    body: Any
    """bytes, or str where the client library has decoded it."""
    unpacked: str | None
    """How `body` was compressed when it was received, where kombu has unpacked it since."""
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    size_bytes: int
    """What it holds in memory, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How a message failed."""

    cause: Cause
    exception: str = ""
    message: str = ""
    traceback: str | None = None
    ran: bool = True
    """False for what no task was started for."""


def capture(message: Any, failure: Failure, *, queue: str, worker: str) -> Captured:
    """Return what there is to keep of a kombu `message` that was taken from `queue`."""
    raw = getattr(message, "_raw", None)
    raw = raw if isinstance(raw, Mapping) else None
    headers = (raw or {}).get("headers") if raw is not None else message.headers
    headers = headers if isinstance(headers, Mapping) else {}
    properties = message.properties if isinstance(message.properties, Mapping) else {}
    body = raw.get("body") if raw is not None else message.body
    # On AMQP kombu keeps the unpacked body alone; one that it could not unpack it left as it was.
    packed = headers.get("compression") if raw is None and not message.errors else None
    size = len(body) if isinstance(body, str | bytes) else 0
    return Captured(
        queue=queue,
        reason=_reason(message, failure, headers, properties, queue, worker),
        raw=raw,
        body=body,
        unpacked=packed if isinstance(packed, str) else None,
        headers=headers,
        properties=properties,
        size_bytes=size + OVERHEAD_BYTES,
    )


def _reason(
    message: Any,
    failure: Failure,
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    queue: str,
    worker: str,
) -> Reason:
    now = time()
    memory = decode_memory(headers)
    info = message.delivery_info or {}
    first = memory.get("first_failed_at")
    expiration = properties.get("expiration")
    return Reason(
        id=uuid.uuid4().hex,
        cause=failure.cause,
        exception=failure.exception[:MAX_TEXT],
        message=failure.message[: MAX_MESSAGE + SPARE],
        traceback=failure.traceback[-MAX_TRACEBACK - SPARE :] if failure.traceback else None,
        worker=worker,
        attempts=attempts_of(headers) if failure.ran else whole(memory.get("attempts")) or 0,
        failed_at=now,
        first_failed_at=first if isinstance(first, float) else now,
        queue=queue,
        exchange=_text(memory.get("exchange", info.get("exchange"))),
        routing_key=_text(memory.get("routing_key", info.get("routing_key"))),
        priority=whole(properties.get("priority")),
        content_type=_text(message.content_type),
        expiration=None if expiration is None else _text(str(expiration)),
    )


def _text(value: object) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""
