"""Dead letters as a list of Redis holds them: kombu's format (kombu/transport/virtual/base.py)."""

from __future__ import annotations

import base64
import binascii
import json
import uuid

from celery_health.dead_letters.boxes import Sending, Stored, UnwritableError
from celery_health.dead_letters.capture import Captured
from celery_health.dead_letters.envelope import HEADER, encode_reason
from celery_health.dead_letters.records import Reason
from celery_health.text.masking import describe_error


def encode(letter: Captured, dead: str) -> bytes:
    """Return the letter as the list holds it: what was received, under a delivery of its own.

    Raises:
        UnwritableError: it did not come through a virtual transport.
    """
    if letter.raw is None:
        raise UnwritableError("A letter that did not come from a Redis cannot be kept on one.")
    raw = {
        **letter.raw,
        "headers": {**letter.headers, HEADER: encode_reason(letter.reason)},
        "properties": {
            **letter.properties,
            "delivery_info": {"exchange": "", "routing_key": dead},
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    try:
        from kombu.utils.json import dumps  # kombu has made objects of what its own encoder marked

        return str(dumps(raw)).encode()
    except Exception as error:
        raise UnwritableError(f"The message cannot be written as JSON: {describe_error(error)}") from None


def encode_aside(raw: bytes, reason: Reason, dead: str) -> bytes:
    """Return a letter whose body is what could not be read as a message, byte for byte."""
    letter = {
        "body": base64.b64encode(raw).decode(),
        "content-type": reason.content_type,
        "content-encoding": "binary",
        "headers": {HEADER: encode_reason(reason)},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": dead},
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(letter).encode()


def decode(letter: bytes) -> Stored:
    """Return what lies in the list; what is no message at all has neither headers nor properties."""
    try:
        # Not kombu's decoder: what its encoder marked stays marked, and goes back as it came.
        raw = json.loads(letter)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raw = {}
    properties = raw.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    headers = raw.get("headers")
    body = _body(raw.get("body"), properties.get("body_encoding")) if raw else letter
    return Stored(
        token=letter,
        body=body,
        headers=headers if isinstance(headers, dict) else {},
        properties=properties,
        content_type=_string(raw.get("content-type")),
        content_encoding=_string(raw.get("content-encoding")),
        size_bytes=len(body),
        is_message=bool(raw),
    )


def message_of(stored: Stored, sending: Sending) -> bytes:
    """Return the message to send."""
    raw = json.loads(stored.token)
    raw["headers"] = dict(sending.headers)
    raw["properties"] = {
        **stored.properties,
        "delivery_info": {"exchange": sending.exchange, "routing_key": sending.routing_key},
        # A tag of its own: the first delivery may still be among the unacknowledged.
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(raw).encode()


def _body(body: object, encoding: object) -> bytes:
    text = body.encode(errors="surrogatepass") if isinstance(body, str) else b""
    if encoding != "base64":
        return text
    try:
        return base64.b64decode(text)
    except (ValueError, binascii.Error):
        return text


def _string(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
