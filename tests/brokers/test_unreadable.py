"""What no worker can read: each kind with what a worker does with it, and what looks like one and is none.

What workers do was seen of real ones on Redis; kombu's own classes are asked here again.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest
from celery import Celery
from kombu.utils.json import loads

from celery_health.brokers.unreadable import Effect, unreadable, unreadable_start
from celery_health.connections.redis import bare_channel

MISSING: Final = object()
BODY: Final = [[1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def coded(body: object) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return base64.b64encode(text.encode()).decode()


def message(**changes: Any) -> bytes:
    """Return a task message, changed: ``headers__id`` is the one of the headers."""
    made: dict[str, Any] = {
        "body": coded(BODY),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "shop.mail", "id": "1", "timelimit": [None, None]},
        "properties": {
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "delivery_tag": "t",
            "body_encoding": "base64",
        },
    }
    for path, value in changes.items():
        *folders, name = path.replace("content_", "content-").split("__")
        holder = made
        for folder in folders:
            holder = holder[folder]
        if value is MISSING:
            holder.pop(name, None)
        else:
            holder[name] = value
    return json.dumps(made).encode()


OLD = message(
    headers={}, body=coded({"task": "shop.mail", "id": "1", "args": [], "kwargs": {}, "retries": 0})
)
DRAMATIQ = {"queue_name": "celery", "actor_name": "x", "args": [], "kwargs": {}, "message_id": "1"}

#: What lies there, what becomes of the worker, and why; None where workers can read it.
CASES: Final[dict[str, tuple[bytes, Effect | None, str]]] = {
    "hello": (b"hello", Effect.ENDS, "it is no JSON (Expecting value: line 1 column 1 (char 0))"),
    "nothing": (b"", Effect.ENDS, "it is no JSON"),
    "nul bytes": (b"\x00\x00", Effect.ENDS, "it is no JSON"),
    "another encoding": (message().decode().encode("utf-16"), Effect.ENDS, "it is no JSON"),
    "a mark before it": (b"\xef\xbb\xbf" + message(), Effect.ENDS, "it is no JSON"),
    "cut off": (message()[:200], Effect.ENDS, "it is no JSON"),
    "a job of RQ's": (
        b"5f5b1e4c-5c53-4a0c-9c4a-4cf0e2a3b7d1",
        Effect.ENDS,
        "it is no JSON (Extra data: line 1 column 2 (char 1)); it looks like the id of a job of RQ's",
    ),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, Effect.ENDS, "it is nested too deeply to be read"),
    "a number too long": (message().replace(b'"t"', b"9" * 5000), Effect.ENDS, "it is no JSON"),
    "a list": (b"[]", Effect.ENDS, "it is JSON, and no object but a list"),
    "null": (b"null", Effect.ENDS, "it is JSON, and no object but null"),
    "a text": (b'"text"', Effect.ENDS, "it is JSON, and no object but a text"),
    "an empty object": (b"{}", Effect.RECONNECTS, "it has no properties"),
    "dramatiq": (
        json.dumps(DRAMATIQ).encode(),
        Effect.RECONNECTS,
        "it has no properties (a message of dramatiq's)",
    ),
    "properties null": (
        message(properties=None),
        Effect.ENDS,
        "its properties are null, and no object",
    ),
    "headers a list": (message(headers=[1]), Effect.ENDS, "its headers are a list, and no object"),
    "no tag": (
        message(properties__delivery_tag=MISSING),
        Effect.RECONNECTS,
        "its properties have no delivery_tag",
    ),
    "tag a list": (
        message(properties__delivery_tag=[1]),
        Effect.ENDS,
        "its delivery_tag is a list, and no text",
    ),
    "tag true": (message(properties__delivery_tag=True), Effect.ENDS, "its delivery_tag is true or false"),
    "no delivery_info": (
        message(properties__delivery_info=MISSING),
        Effect.RECONNECTS,
        "its delivery_info has no exchange",
    ),
    "delivery_info a text": (
        message(properties__delivery_info="x"),
        Effect.ENDS,
        "its delivery_info is a text, and no object",
    ),
    "encoding unknown": (
        message(properties__body_encoding="rot13"),
        Effect.ENDS,
        "its body_encoding is 'rot13', which kombu does not know",
    ),
    "encoding a number": (
        message(properties__body_encoding=7),
        Effect.ENDS,
        "its body_encoding is a number, and no name",
    ),
    "no base64": (message(body="a"), Effect.ENDS, "its body is no base64"),
    "body a number": (message(body=5), Effect.ENDS, "its body is a number, and no text"),
    "no body": (message(body=MISSING), Effect.ENDS_EACH, "it has no body"),
    "an empty body": (message(body=""), Effect.ENDS_EACH, "it has no body"),
    "a body of two parts": (message(body=coded([[1], {}])), Effect.ENDS_EACH, "its body has 2 parts"),
    "a body that is null": (message(body=coded(None)), Effect.ENDS_EACH, "its body is null"),
    "no content type": (message(content_type=MISSING), Effect.ENDS_EACH, "its content-type says nothing"),
    "content type a list": (message(content_type=[1]), Effect.ENDS_EACH, "its content-type is a list"),
    "encoding of the content a list": (
        message(content_encoding=[1]),
        Effect.ENDS_EACH,
        "its content-encoding is a list",
    ),
    "task a list": (message(headers__task=["x"]), Effect.ENDS_EACH, "its task is a list, and no name"),
    "no id": (message(headers__id=MISSING), Effect.RECONNECTS_EACH, "its headers have no id"),
    "no id, no task": (
        message(headers__id=MISSING, headers__task="gone"),
        Effect.ENDS_EACH,
        "its headers have no id",
    ),
    "id a list": (message(headers__id=[1]), Effect.ENDS_EACH, "its id is a list, and no text"),
    "time limits a text": (message(headers__timelimit="x"), Effect.ENDS_EACH, "its timelimit is no pair"),
    # Workers run these, or say what is wrong with them and delete them.
    "a task": (message(), None, ""),
    "protocol 1": (OLD, None, ""),
    "no headers": (message(headers=MISSING), None, ""),
    "headers null": (message(headers=None), None, ""),
    "not registered": (message(headers__task="gone", body=""), None, ""),
    "task a number": (message(headers__task=5), None, ""),
    "id null": (message(headers__id=None), None, ""),
    "tag a number": (message(properties__delivery_tag=7), None, ""),
    "plain body": (message(properties__body_encoding=MISSING, body=json.dumps(BODY)), None, ""),
    "body in utf-8": (message(properties__body_encoding="UTF-8", body=json.dumps(BODY)), None, ""),
    "body of no JSON": (message(body=coded("{")), None, ""),
    "content type unknown": (message(content_type="application/x-strange"), None, ""),
    "pickle": (message(content_type="application/x-python-serialize"), None, ""),
    "encoding of the content unknown": (message(content_encoding="klingon"), None, ""),
    "compressed": (message(headers__compression="application/x-gzip", body=coded("x")), None, ""),
    "compression unknown": (message(headers__compression="lzx"), None, ""),
    "nul in a text": (message(headers__lang="\x00"), None, ""),
    "not a number": (message(headers__retries=float("nan")), None, ""),
    "priority a text": (message(properties__priority="high"), None, ""),
    "a type of the project's": (
        message(headers__lang={"__type__": "money", "__value__": "3"}),
        None,
        "",
    ),
    "eta garbage": (message(headers__eta="never"), None, ""),
    "kwargs a list": (message(body=coded([[1], [], {}])), None, ""),
}
#: What only Celery finds, once kombu has read it; and what kombu refuses for types of the project's own.
_LATER: Final = (Effect.ENDS_EACH, Effect.RECONNECTS_EACH)


@pytest.mark.parametrize("kind", CASES)
def test_unreadable__says_what_becomes_of_a_worker(kind: str) -> None:
    raw, effect, why = CASES[kind]

    found = unreadable(raw, {"shop.mail"}.__contains__)

    assert (found.effect if found else None) == effect
    assert why in (found.why if found else "")


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "a type of the project's"])
def test_unreadable__is_what_kombu_cannot_read(kind: str, make_app: Any) -> None:
    """As its Redis transport does with what BRPOP returns, up to the point where the message is taken."""
    raw, effect, _ = CASES[kind]
    app: Celery = make_app("redis://localhost:6379/0")
    channel: Any = bare_channel(app.connection_for_read())

    def take() -> None:
        taken = channel.Message(loads(raw.decode(errors="replace")), channel=channel)
        _ = taken.delivery_info["exchange"], taken.delivery_info["routing_key"]
        _ = {taken.delivery_tag: 1.0}
        assert isinstance(taken.delivery_tag, str | int)
        assert not isinstance(taken.delivery_tag, bool)

    if effect is None or effect in _LATER:
        take()
    else:
        with pytest.raises(KeyError if effect is Effect.RECONNECTS else Exception) as raised:
            take()
        assert isinstance(raised.value, KeyError) is (effect is Effect.RECONNECTS)


def test_unreadable__leaves_bodies_alone_that_workers_do_not_accept() -> None:
    assert unreadable(message(body=""), {"shop.mail"}.__contains__, takes_json=False) is None


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"x" * 64, True),
        (b'[{"body": "', True),
        (b'{"body": "', False),
        (b'  {"body": "', False),
        (b"", False),
    ],
)
def test_unreadable_start__is_sure_of_what_begins_as_no_object(start: bytes, found: bool) -> None:
    assert (unreadable_start(start) is not None) is found
