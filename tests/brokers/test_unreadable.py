"""What no worker can read: each kind with what a worker does with it, and what looks like one and is none.

What workers do was seen of real ones on Redis; kombu's own classes are asked here again.
"""

from __future__ import annotations

import base64
import json
import random
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import Mock

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.worker.consumer.consumer import Consumer
from kombu.serialization import prepare_accept_content
from kombu.utils.json import dumps, loads

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
    "time limits a number": (message(headers__timelimit=30), Effect.ENDS_EACH, "its timelimit is no pair"),
    "time limits an object": (message(headers__timelimit={"a": 1}), Effect.ENDS_EACH, "its timelimit is no"),
    "eta false": (message(headers__eta=False), Effect.ENDS_EACH, "its eta is false, and neither a time nor"),
    "eta empty": (message(headers__eta=""), Effect.ENDS_EACH, "its eta is an empty text"),
    "eta 0": (message(headers__eta=0), Effect.ENDS_EACH, "its eta is 0"),
    "eta an empty list": (message(headers__eta=[]), Effect.ENDS_EACH, "its eta is empty"),
    "expires false": (message(headers__expires=False), Effect.ENDS_EACH, "its expires is false"),
    "expires empty": (message(headers__expires=""), Effect.ENDS_EACH, "its expires is an empty text"),
    "expires 0": (message(headers__expires=0), Effect.ENDS_EACH, "its expires is 0"),
    "stamps a number": (message(headers__stamped_headers=5), Effect.ENDS_EACH, "its stamped_headers are a n"),
    "eta empty in protocol 1": (
        message(headers={}, body=coded({"task": "shop.mail", "id": "1", "args": [], "eta": ""})),
        Effect.ENDS_EACH,
        "its eta is an empty text",
    ),
    "a body that is a text": (message(body=coded('"ab"')), Effect.ENDS_EACH, "its body is a text"),
    "a body that is an empty text": (message(body=coded('""')), Effect.ENDS_EACH, "its body is a text"),
    "no task, no body": (message(headers={}, body=MISSING), Effect.ENDS_EACH, "it has no body"),
    "no task, body 0": (message(headers={}, body=0), Effect.ENDS_EACH, "its body is a number"),
    "no task, body false": (message(headers={}, body=False), Effect.ENDS_EACH, "its body is true or false"),
    "not registered, no body": (
        message(headers__task="gone", body=None),
        Effect.ENDS_EACH,
        "it has no body",
    ),
    "task a list in protocol 1": (
        message(headers={}, body=coded({"task": ["x"], "id": "1"})),
        Effect.ENDS_EACH,
        "its task is a list",
    ),
    # Workers run these, or say what is wrong with them and delete them.
    "no task, an empty body": (message(headers={}, body=""), None, ""),
    "eta a number": (message(headers__eta=5), None, ""),
    "eta true": (message(headers__eta=True), None, ""),
    "eta garbage, no limits": (message(headers__eta="never", headers__expires=5), None, ""),
    "a body that is a text with args": (message(body=coded('"args"')), None, ""),
    "no id in the headers, but in the body": (
        message(headers__id=MISSING, body=coded({"id": "1", "args": [1], "kwargs": {}})),
        None,
        "",
    ),
    "expired, time limits a number": (
        message(headers__timelimit=30, headers__expires="2020-01-01T00:00:00+00:00"),
        None,
        "",
    ),
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


def mail(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""


class _Pool:
    """Takes each task, and runs none."""

    num_processes = 1
    is_green = False

    def apply_async(self, *args: Any, **kwargs: Any) -> Mock:
        return Mock()


def received_by(app: Celery, raw: bytes) -> None:
    """Let Celery's own consumer take `raw`, as a worker's does; raise what would end or disconnect it."""
    pool = _Pool()
    channel: Any = bare_channel(app.connection_for_read())
    channel.basic_ack = channel.basic_reject = lambda *args, **kwargs: None
    consumer: Any = Consumer(
        lambda request: request.execute_using_pool(pool),
        app=app,
        pool=pool,
        timer=Mock(),
        controller=Mock(**{"state.revoked": set()}),
        hostname="w@h",
    )
    consumer.event_dispatcher = None
    consumer.qos = consumer.task_consumer = Mock()
    consumer.call_soon_ack = lambda *args, **kwargs: None
    consumer.update_strategies()
    taken = channel.Message(loads(raw.decode(errors="replace")), channel=channel)
    taken.accept = prepare_accept_content(app.conf.accept_content)
    if taken.errors:
        consumer.on_decode_error(taken, taken.errors[0][1])
        return
    with suppress(TaskRevokedError):  # expired: a worker deletes it
        consumer.create_task_handler()(taken)


@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if case[1] in (None, *_LATER)])
def test_unreadable__is_what_celery_cannot_take(kind: str, make_app: Any) -> None:
    raw, effect, _ = CASES[kind]
    app: Celery = make_app("redis://localhost:6379/0")
    app.task(name="shop.mail", shared=False)(mail)
    app.finalize()

    if effect is None:
        with suppress(Exception) if kind == "a type of the project's" else nullcontext():
            received_by(app, raw)
    else:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever is not handled ends a worker
            received_by(app, raw)
        assert isinstance(raised.value, KeyError) is (effect is Effect.RECONNECTS_EACH)


#: What `apply_async` and a project's settings can put into a message.
OPTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "args": ((), ([1],), ("ab", None)),
    "kwargs": (None, {"a": [1]}),
    "countdown": (None, 0, 3, 10**6),
    "eta": (None, datetime(2030, 1, 1), datetime(2030, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)),
    "expires": (None, 0, 0.5, 60, datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 1)),
    "time_limit": (None, 0, 5, 1.5),
    "soft_time_limit": (None, 3),
    "priority": (None, 0, 9),
    "serializer": (None, "json", "pickle"),
    "compression": (None, "zlib"),
    "task_id": (None, "mine"),
    "shadow": (None, "other"),
    "link": (None, ["link"]),
    "headers": (None, {"x": 1}),
    "ignore_result": (None, True),
    "argsrepr": (None, ""),
    "retries": (0, 3),
}


@pytest.mark.parametrize("protocol", [1, 2])
def test_unreadable__calls_no_message_unreadable_that_celery_sends(protocol: int, make_app: Any) -> None:
    app: Celery = make_app("redis://localhost:6379/0", task_protocol=protocol)
    task = app.task(name="shop.mail", shared=False)(mail)
    app.finalize()
    picked = random.Random(protocol)
    channel: Any = bare_channel(app.connection_for_write())
    sent: list[bytes] = []

    def keep(message: Any, exchange: str, routing_key: str, **kwargs: Any) -> None:
        channel._inplace_augment_message(message, exchange, routing_key)
        sent.append(dumps(message).encode())

    channel.basic_publish = keep
    channel.exchange_declare = channel.queue_declare = channel.queue_bind = lambda *args, **kwargs: None
    channel.connection.client = app.connection_for_write()
    for _ in range(400):
        options = {name: picked.choice(values) for name, values in OPTIONS.items()}
        if options["countdown"] is not None:
            options["eta"] = None
        if options["link"]:
            options["link"] = [task.si()]
        with app.amqp.Producer(channel, auto_declare=False) as producer:
            task.apply_async(producer=producer, **options)

    assert len(sent) == 400
    found = [(raw, unreadable(raw, {"shop.mail"}.__contains__)) for raw in sent]
    assert [one for one in found if one[1] is not None] == []


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
