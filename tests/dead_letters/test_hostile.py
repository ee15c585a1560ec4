"""What anybody may have put into a message: shown safely on every surface, on both brokers, and never run."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from kombu import Exchange, Producer

from celery_health import dead_letters
from celery_health.dead_letters.capture import Failure
from celery_health.dead_letters.records import Cause
from tests.dead_letters.conftest import Post

MARKUP = "<script>alert(1)</script>"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\u202egnp\u200b\nline"
NASTY = f"{MARKUP}{ESCAPES}\ud800{{{{7*7}}}}"
#: What of `NASTY` must reach no terminal and no log.
BAD = ("\x1b", "\x07", "\r", "\u202e", "\u200b", "\ud800")
HOSTILE = Failure(
    cause=Cause.EXCEPTION,
    exception=f"Boom{NASTY}",
    message=NASTY,
    traceback=f"Traceback\n  {NASTY}\n{MARKUP}",
)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Surfaces:
    """Everything that shows a letter."""

    def __init__(self) -> None:
        user = get_user_model().objects.create_user(username="root", is_staff=True, is_superuser=True)
        self._client = Client(raise_request_exception=True)
        self._client.force_login(user)

    def http(self, path: str, accept: str = "application/json") -> str:
        response = self._client.get(f"/api/celery/dead-letters/{path}", headers={"accept": accept})
        assert response.status_code == 200, response.content[:500]
        return response.content.decode()

    @staticmethod
    def command(*args: str) -> str:
        out = io.StringIO()
        call_command("celery_health", "dead-letters", *args, stdout=out)
        return out.getvalue()

    def all(self, queue: str = "celery") -> dict[str, str]:
        """Return what each says of the letters of `queue`, one by one too."""
        said = {
            "list": self.command("list", queue),
            "list --json": self.command("list", queue, "--json"),
            "http": self.http(f"{queue}/"),
            "html": self.http(f"{queue}/", "text/html"),
        }
        for letter in dead_letters.entries(queue).letters:
            said[f"show {letter.id}"] = self.command("show", queue, letter.id)
            said[f"http {letter.id}"] = self.http(f"{queue}/{letter.id}/")
            said[f"html {letter.id}"] = self.http(f"{queue}/{letter.id}/", "text/html")
        return said


@pytest.fixture
def surfaces(db: None, settings: Any, post: Post) -> Surfaces:
    """Every surface, with arguments shown."""
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "SHOW_ARGUMENTS": True}
    return Surfaces()


def raw(post: Post, body: bytes | str, content_type: str = "application/json", **headers: Any) -> None:
    """Bury a message with any body at all."""
    encoding = "utf-8" if isinstance(body, str) else "binary"
    with post.app.connection_for_write() as connection:
        from kombu import Queue

        channel: Any = connection.default_channel
        Queue("celery")(channel).declare()
        Producer(channel, Exchange("")).publish(
            body,
            routing_key="celery",
            content_type=content_type,
            content_encoding=encoding,
            headers={"id": "the-id", "task": "t", **headers},
        )
    post.bury("celery")


def check_safe(said: dict[str, str]) -> None:
    for surface, text in said.items():
        for character in BAD:
            assert character not in text.replace("\r\n", "\n"), (surface, character)
        if surface.startswith("html"):
            assert "<script>alert" not in text, surface


def test_hostile__texts(post: Post, surfaces: Surfaces) -> None:
    post.letter("celery", task=f"shop.{MARKUP}{ESCAPES}", failure=HOSTILE, args=[MARKUP + ESCAPES])

    said = surfaces.all()

    check_safe(said)
    (letter,) = dead_letters.entries("celery").letters
    assert letter.message == MARKUP + r"\x1b[2J\x1b]0;owned\x07\r\u202egnp\u200b\nline\ud800{{7*7}}"
    assert letter.message in said[f"show {letter.id}"]
    assert letter.traceback is not None
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in said["html"]
    assert "\n  " in said[f"show {letter.id}"]
    # Sent again all the same: what is shown is no part of what is sent.
    assert dead_letters.requeue("celery", letter.id, force=True).requeued == 1
    assert post.take("celery").headers["task"] == f"shop.{MARKUP}{ESCAPES}"


def test_hostile__pickle_is_never_loaded(post: Post, surfaces: Surfaces, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    post.letter("celery", args=[Evil(trap)], serializer="pickle")

    said = surfaces.all()
    dead_letters.requeue("celery", force=True)

    assert not trap.exists()
    assert "not shown" in next(text for surface, text in said.items() if surface.startswith("show"))
    again = post.take("celery")
    assert again.content_type == "application/x-python-serialize"
    assert not trap.exists()


def test_hostile__argument_of_ten_megabytes(post: Post, surfaces: Surfaces) -> None:
    payload = "x" * 10_000_000
    task_id = post.letter("celery", args=[payload])

    said = surfaces.all()

    (letter,) = dead_letters.entries("celery").letters
    assert letter.args is None
    assert letter.size_bytes > 10_000_000
    assert max(len(text) for text in said.values()) < 50_000
    done = dead_letters.requeue("celery", force=True)
    assert done.requeued == 1
    again = post.take("celery")
    assert again.headers["id"] == task_id
    assert again.decode()[0] == [payload]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"args": [', id="cut off"),
        pytest.param("[" * 100_000, id="nested without end"),
        pytest.param("[[" + "9" * 10_000 + "], {}, {}]", id="a number too long"),
        pytest.param("[[NaN, Infinity], {}, {}]", id="no numbers"),
        pytest.param('[["\\ud800\\u0000\\u001b[2J"], {}, {}]', id="half a character"),
        pytest.param("42", id="a number"),
        pytest.param("null", id="nothing"),
        pytest.param('[{"a": 1}, [1], 3]', id="the wrong way round"),
        pytest.param('{"args": {"__proto__": 1}, "kwargs": "x", "id": ["i"], "task": {}}', id="wrong types"),
        pytest.param(b"\x80\x04\x95\xff\xfe", id="bytes"),
        pytest.param("", id="empty"),
    ],
)
def test_hostile__bodies(post: Post, surfaces: Surfaces, body: bytes | str) -> None:
    raw(post, body)

    said = surfaces.all()

    check_safe(said)
    for surface, text in said.items():
        if surface.startswith(("http", "list --json")):
            json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert dead_letters.requeue("celery", force=True).requeued == 1
    again = post.take("celery").body
    again = again.encode() if isinstance(again, str) else again
    assert again == (body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize(
    "headers",
    [
        {"task": ["a"], "id": {"x": 1}},
        {"expires": "no time", "retries": -5},
        {"expires": 1e308, "retries": "x"},
        {"expires": {"a": 1}},
        {"celery_health_requeued": "{", "retries": 2**62},
        {"celery_health_requeued": '{"attempts": "x", "first_failed_at": "NaN"}'},
    ],
)
def test_hostile__headers(post: Post, surfaces: Surfaces, headers: dict[str, Any]) -> None:
    raw(post, "[[1], {}, {}]", **headers)

    check_safe(surfaces.all())
    assert dead_letters.requeue("celery", force=True).requeued == 1


REASONS = [
    "{",
    "[]",
    '{"id": 7}',
    '{"id": "x", "failed_at": NaN, "attempts": "many", "cause": "none"}',
    '{"id": "x", "failed_at": 1e300, "first_failed_at": -1, "attempts": 1e400, "priority": 1.5}',
    '{"id": "../../health/", "queue": "other", "exchange": "x", "routing_key": "y", "failed_at": 1}',
    json.dumps({"id": NASTY, "cause": "exception", "message": NASTY, "worker": NASTY, "traceback": NASTY}),
]


@pytest.mark.parametrize("reason", REASONS)
def test_hostile__reasons_that_somebody_else_wrote(post: Post, surfaces: Surfaces, reason: str) -> None:
    """Put straight into the queue of dead letters, with a header that looks like ours."""
    post.publish("celery")  # on RabbitMQ there must be a queue to go back to
    assert post.take("celery") is not None
    post.publish("celery.dead", headers={"celery_health_dead_letter": reason})

    page = dead_letters.entries("celery")
    (letter,) = page.letters
    check_safe({"list": surfaces.command("list", "celery"), "html": surfaces.http("celery/", "text/html")})
    json.loads(surfaces.http("celery/"), parse_constant=lambda name: pytest.fail(name))
    assert letter.queue == "celery"

    # Back to the queue that it lies under, wherever the header says it came from.
    assert dead_letters.requeue("celery", force=True).requeued == 1
    assert post.take("celery") is not None


def test_hostile__compressed_bodies_stay_compressed(post: Post, surfaces: Surfaces) -> None:
    """A few bytes may hold gigabytes."""
    post.publish("celery.dead", headers={"compression": MARKUP})

    said = surfaces.all()

    check_safe(said)
    assert "not shown" in next(text for surface, text in said.items() if surface.startswith("show"))
    assert dead_letters.entries("celery").letters[0].args is None


def test_hostile__no_messages_at_all(redis_url: str, make_app: Any, settings: Any, redis_client: Any) -> None:
    """Redis takes anything into a list: it is shown, kept by a requeue, and purged."""
    from celery import _state

    app = make_app(redis_url)
    settings.CELERY_HEALTH = {"DEADLINE": 10, "SHOW_ARGUMENTS": True}
    before, _state._tls.current_app = _state._tls.current_app, app  # type: ignore[attr-defined]
    app.set_default()
    try:
        garbage = [b"", b"\x80\x04.", b"null", b"[1]", b'{"body": 3, "headers": 4, "properties": 5}', b"\xff"]
        redis_client.lpush("celery.dead", *garbage)

        page = dead_letters.entries("celery")
        done = dead_letters.requeue("celery", force=True)

        assert len(page.letters) == len(garbage)
        # The one that is an object could be sent, whatever a worker will say of it.
        assert (done.requeued, done.unsendable, done.remaining) == (1, 5, 5)
        assert dead_letters.purge("celery") == 5
    finally:
        _state._tls.current_app = before  # type: ignore[attr-defined]


def test_hostile__key_that_is_no_list(redis_url: str, make_app: Any, redis_client: Any, post: Post) -> None:
    if "redis" not in str(post.app.conf.broker_url):
        pytest.skip("A key of another type is a matter of Redis.")
    redis_client.set("celery.dead", "mine")

    assert dead_letters.sizes()["celery"] is None


def test_hostile__queue_names(post: Post, surfaces: Surfaces) -> None:
    queue = f"{MARKUP.replace('/', '|')}{ESCAPES}"

    text = surfaces.command("list", queue)

    check_safe({"list": text})
