"""Whether a worker can read what lies in a queue on Redis: proven by its bytes, as kombu and Celery read it.

Pure. Nothing is unpickled, decompressed or evaluated: of a body only JSON is decoded. What depends on more
than the bytes, such as types that a project registers with kombu, is taken for readable.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from celery_health.text.json_types import json_empty, json_type

#: The one content type of a body that is decoded.
_JSON: Final = "application/json"
#: These are taken without being decoded.
_RAW: Final = (None, "", "application/data")
#: What Celery's message protocol 2 has in a body: args, kwargs, and how it is embedded.
_PARTS: Final = 3
#: Encodings that kombu does not decode by.
_BINARY: Final = ("binary", "ascii-8bit")
_UNDECODED: Final = object()


class Effect(StrEnum):
    """What becomes of a worker that takes such a message, and of the message."""

    ENDS = "ends"
    """The worker ends, and the message is gone."""
    ENDS_EACH = "ends_each"
    """The worker ends and puts the message back: so does the next one."""
    RECONNECTS = "reconnects"
    """The worker gives up its connection and makes another, and the message is gone."""
    RECONNECTS_EACH = "reconnects_each"
    """The same, and it gets the message again: it comes to nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """Why no worker can read a message."""

    why: str
    """The rest of a sentence about it: ``it is no JSON``."""
    effect: Effect


class _NotReadable(Exception):  # noqa: N818 - a verdict
    def __init__(self, why: str, effect: Effect = Effect.ENDS) -> None:
        self.found = Unreadable(why=why, effect=effect)
        super().__init__(why)


def unreadable(raw: bytes, is_task: Callable[[str], bool], *, takes_json: bool = True) -> Unreadable | None:
    """Return why no worker can read the message `raw`; None for one that some worker can, or may.

    Args:
        raw: all of its bytes.
        is_task: whether workers know a task of this name: what names none is deleted, unread.
        takes_json: workers accept bodies of JSON; else they delete those, unread.
    """
    try:
        message = _parsed(raw)
        properties = _properties(message)
        body = _body(message.get("body"), properties)
        headers = _headers(message)
        _delivery(properties)
        _check_task(message, headers, body, is_task, takes_json)
    except _NotReadable as error:
        return error.found
    return None


def unreadable_start(start: bytes) -> Unreadable | None:
    """Return the same of a message too large to be looked at, by its first bytes."""
    text = start.decode(errors="replace").lstrip()
    if not text or text[0] == "{":
        return None
    return Unreadable(why="it begins as no JSON object does", effect=Effect.ENDS)


def _parsed(raw: bytes) -> dict[str, Any]:
    text = raw.decode(errors="replace")  # as kombu does
    try:
        message = json.loads(text)
    except RecursionError:
        raise _NotReadable("it is nested too deeply to be read") from None
    except ValueError as error:
        kind = "" if text.lstrip()[:1] in ("{", "[") else f"; {_kind(text)}" if _kind(text) else ""
        raise _NotReadable(f"it is no JSON ({_short(error)}){kind}") from None
    if not isinstance(message, dict):
        raise _NotReadable(f"it is JSON, and no object but {json_type(message)}")
    return message


def _properties(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if "properties" not in message:
        whose = " (a message of dramatiq's)" if {"actor_name", "message_id"} <= message.keys() else ""
        raise _NotReadable(f"it has no properties{whose}", Effect.RECONNECTS)
    properties = message["properties"]
    if not isinstance(properties, dict):
        raise _NotReadable(f"its properties are {json_type(properties)}, and no object")
    return properties


def _body(body: Any, properties: Mapping[str, Any]) -> Any:
    """Return the body as kombu has it after unpacking."""
    encoding = properties.get("body_encoding")
    if not body or not encoding:
        return body
    if not isinstance(encoding, str):
        raise _NotReadable(f"its body_encoding is {json_type(encoding)}, and no name")
    if encoding.lower() == "utf-8":
        return body
    if encoding != "base64":
        # Kombu's own channels know this one alone.
        raise _NotReadable(f"its body_encoding is {_quoted(encoding)}, which kombu does not know")
    if not isinstance(body, str):
        raise _NotReadable(f"its body is {json_type(body)}, and no text")
    try:
        return base64.b64decode(body.encode())
    except (ValueError, binascii.Error) as error:  # also letters that have no bytes
        raise _NotReadable(f"its body is no base64 ({_short(error)})") from None


def _headers(message: Mapping[str, Any]) -> Mapping[str, Any]:
    headers = message.get("headers") or {}
    if not isinstance(headers, dict):
        raise _NotReadable(f"its headers are {json_type(headers)}, and no object")
    return headers


def _delivery(properties: Mapping[str, Any]) -> None:
    if "delivery_tag" not in properties:
        raise _NotReadable("its properties have no delivery_tag", Effect.RECONNECTS)
    tag = properties["delivery_tag"]
    if isinstance(tag, bool) or not isinstance(tag, str | int | float):
        raise _NotReadable(f"its delivery_tag is {json_type(tag)}, and no text")
    info = properties.get("delivery_info") or {}
    if not isinstance(info, dict):
        raise _NotReadable(f"its delivery_info is {json_type(info)}, and no object")
    missing = [name for name in ("exchange", "routing_key") if name not in info]
    if missing:
        raise _NotReadable(f"its delivery_info has no {missing[0]}", Effect.RECONNECTS)


# From here on the worker has taken it, and puts it back when it ends ----------------------------------------


def _check_task(
    message: Mapping[str, Any],
    headers: Mapping[str, Any],
    body: Any,
    is_task: Callable[[str], bool],
    takes_json: bool,
) -> None:
    each = Effect.ENDS_EACH
    if body is None or isinstance(body, bool | int | float):
        # Whatever the worker has to say of it, it says how long its body is.
        raise _NotReadable(
            "it has no body" if body is None else f"its body is {json_type(body)}, and no text", each
        )
    if not takes_json and message.get("content-type") == _JSON:
        return
    parts = _json(message, headers, body)
    if "task" not in headers:
        if isinstance(parts, dict) and "task" in parts:
            _check_old(headers, parts, is_task)
        return  # else it is deleted
    if headers.get("compression"):
        return  # to see what it holds it would have to be unpacked
    name = headers["task"]
    if isinstance(name, dict | list):
        raise _NotReadable(f"its task is {json_type(name)}, and no name", each)
    if not isinstance(name, str) or not is_task(name):
        if "id" not in headers and isinstance(parts, list):
            raise _NotReadable("its headers have no id", each)
        return
    content_type, encoding = message.get("content-type"), message.get("content-encoding")
    if isinstance(content_type, dict | list) and content_type:
        raise _NotReadable(f"its content-type is {json_type(content_type)}, and no name", each)
    if encoding and not isinstance(encoding, str) and content_type in (*_RAW, _JSON):
        raise _NotReadable(f"its content-encoding is {json_type(encoding)}, and no name", each)
    _check_parts(content_type, body, parts)
    if parts is _UNDECODED:
        return
    if "args" not in parts:
        _check_request(headers)
    elif isinstance(parts, dict):
        _check_hybrid(headers, parts)


def _check_old(headers: Mapping[str, Any], parts: Mapping[str, Any], is_task: Callable[[str], bool]) -> None:
    """Check a message of protocol 1: all is in its body."""
    name = parts["task"]
    if isinstance(name, dict | list):
        raise _NotReadable(f"its task is {json_type(name)}, and no name", Effect.ENDS_EACH)
    if not isinstance(name, str) or not is_task(name):
        if "id" not in parts:
            raise _NotReadable("its body has no id", Effect.RECONNECTS_EACH)
    elif "args" in parts:
        _check_hybrid(headers, parts)
    elif isinstance(parts.get("kwargs", {}), dict):  # else a worker says so, and deletes it
        _check_request(parts, "body")


def _check_hybrid(headers: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Check what has its arguments by their names: what its headers lack is in its body."""
    if isinstance(parts.get("kwargs", {}), dict):
        _check_request({"id": None, **parts, **headers})


def _check_request(values: Mapping[str, Any], place: str = "headers") -> None:
    each = Effect.ENDS_EACH
    if "id" not in values:
        verb = "have" if place == "headers" else "has"
        raise _NotReadable(f"its {place} {verb} no id", Effect.RECONNECTS_EACH)
    for name in ("eta", "expires"):
        moment = values.get(name)
        if moment is None:
            continue
        if not moment:  # Celery makes None of it, and then asks it for its time zone
            raise _NotReadable(f"its {name} is {json_empty(moment)}, and neither a time nor null", each)
        if not isinstance(moment, str):
            return  # a worker says so, and deletes it
    if values.get("expires"):
        return  # once that is over it is deleted, whatever else is wrong
    if isinstance(values["id"], dict | list):
        raise _NotReadable(f"its id is {json_type(values['id'])}, and no text", each)
    limits = values.get("timelimit")
    if limits and (not isinstance(limits, str | list | dict) or len(limits) != 2):
        raise _NotReadable("its timelimit is no pair", each)
    stamped = values.get("stamped_headers")
    if stamped and isinstance(stamped, bool | int | float):
        raise _NotReadable(f"its stamped_headers are {json_type(stamped)}, and no list", each)


def _check_parts(content_type: Any, body: Any, parts: Any) -> None:
    each = Effect.ENDS_EACH
    if content_type not in (*_RAW, _JSON):
        return
    if not body:
        raise _NotReadable("it has no body", each)
    if content_type != _JSON:
        if isinstance(body, str) and len(body) != _PARTS or isinstance(body, bytes) and _is_text(body):
            raise _NotReadable("its content-type says nothing, and so nobody decodes its body", each)
        return
    if parts is None or isinstance(parts, bool | int | float):
        raise _NotReadable(f"its body is {json_type(parts)}, and not args, kwargs and embed", each)
    if parts is _UNDECODED or len(parts) == _PARTS or "args" in parts:
        return
    if isinstance(parts, str):
        raise _NotReadable("its body is a text, and not args, kwargs and embed", each)
    raise _NotReadable(f"its body has {len(parts)} parts, and not args, kwargs and embed", each)


def _json(message: Mapping[str, Any], headers: Mapping[str, Any], body: Any) -> Any:
    """Return what a body of JSON holds; `_UNDECODED` for any other, which a worker says, and deletes."""
    encoding = message.get("content-encoding") or "utf-8"
    if message.get("content-type") != _JSON or headers.get("compression") or not isinstance(encoding, str):
        return _UNDECODED
    if not isinstance(body, str | bytes) or not body:
        return _UNDECODED
    try:
        if isinstance(body, bytes) and encoding.lower() not in _BINARY:
            return json.loads(body.decode(encoding))
        return json.loads(body)
    except (LookupError, ValueError, RecursionError):
        return _UNDECODED


def _is_text(body: bytes) -> bool:
    """Say whether a worker makes a text of it, of which it cannot make three parts."""
    try:
        return len(body.decode()) != _PARTS
    except UnicodeDecodeError:
        return False  # it says so, and deletes it


# Words -----------------------------------------------------------------------------------------------------


def _kind(text: str) -> str | None:
    """Return whose message a text looks like."""
    parts = text.split("-")
    if [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(part.isalnum() for part in parts):
        return "it looks like the id of a job of RQ's"
    return None


def _short(error: Exception) -> str:
    return str(error)[:80]


def _quoted(text: str) -> str:
    return repr(text[:40])
