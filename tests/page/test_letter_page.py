"""One dead letter on its page, and who sees what of them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from celery_health.dead_letters.capture import Failure
from celery_health.dead_letters.newest import newest
from celery_health.dead_letters.records import Cause
from celery_health.deadline import Deadline
from celery_health.page import letter_views
from celery_health.page.letter import raised_at
from celery_health.page.letter_blocks import json_of
from celery_health.page.links import ROOT_OF_PAGES, Links
from tests.api.conftest import RANKS
from tests.dead_letters.conftest import Post
from tests.dead_letters.test_hostile import HOSTILE, MARKUP
from tests.page.asking import LETTERS, text
from tests.page.test_letters_page import RAW, body, hrefs


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """On Redis alone: what brokers do differently is shown in `test_letters_page`."""
    return redis_url


# Who sees what


@pytest.mark.parametrize("rank", RANKS)
def test_letters__who_may_look_and_who_may_act(
    post: Post, client_of: Callable[[str], Client], rank: str
) -> None:
    post.letter("celery")
    client = client_of(rank)

    for query in ({"queue": "celery"}, {}):
        assert client.get(LETTERS, query).status_code == (200 if rank in ("staff", "superuser") else 403)
    if rank in ("staff", "superuser"):
        page = body(client, queue="celery")
        assert bool(hrefs(page, "Send all 1 again")) is (rank == "superuser")
        assert bool(hrefs(page, "Purge all 1")) is (rank == "superuser")
        assert ("superusers" in text(page)) is (rank == "staff")


def test_letters__need_the_permission_to_read(
    post: Post, client_of: Callable[[str], Client], settings: Any
) -> None:
    settings.CELERY_HEALTH = {
        **settings.CELERY_HEALTH,
        "PERMISSIONS": {"read": "celery_health.api.permissions.IsSuperuser"},
    }
    post.letter("celery")

    assert client_of("staff").get(LETTERS, {"queue": "celery"}).status_code == 403
    assert client_of("superuser").get(LETTERS, {"queue": "celery"}).status_code == 200


def test_letters__hostile_texts_are_texts(post: Post, superuser: Client, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "SHOW_ARGUMENTS": True}
    post.letter("celery", task=f"shop.{MARKUP}", failure=HOSTILE, args=[MARKUP], kwargs={MARKUP: MARKUP})
    (found,) = newest("celery", Deadline.after(10), limit=1).letters

    for query in ({}, {"task": MARKUP, "exception": MARKUP}, {"id": found.id}, {"id": MARKUP}):
        page = superuser.get(LETTERS, {"queue": "celery", **query}).content.decode()
        assert "alert(1)" in page
        assert not [raw for raw in RAW if raw in page], query
    page = superuser.get(LETTERS, {"queue": MARKUP}).content.decode()
    assert not [raw for raw in RAW if raw in page]


def test_letters__that_others_put_there_twice(post: Post, superuser: Client) -> None:
    """What is no letter of ours has a digest for an id, and may be there twice."""
    with post.app.connection_for_write() as connection:
        for _ in range(2):
            post.app.amqp.queues["celery.dead"](connection.default_channel).declare()
            connection.Producer().publish(b"[1]", exchange="", routing_key="celery.dead")

    page = body(superuser, queue="celery")

    ids = re.findall(r'<li id="(letter-[^"]*)"', page)
    assert len(ids) == len(set(ids)) == 2
    assert "no worker of this app has put it there" in text(page)


def test_letters__broker_that_is_away(post: Post, superuser: Client, monkeypatch: Any) -> None:
    """The broker cannot be made to go between two questions on demand: the look is made to fail."""
    from celery_health.exceptions import BrokerError

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise BrokerError("redis://:hunter22@db/0 <refused>")

    monkeypatch.setattr(letter_views, "newest", fail)
    monkeypatch.setattr(letter_views, "find", fail)

    for query in ({}, {"id": "x"}):
        page = body(superuser, queue="celery", **query)
        assert "Its letters cannot be shown now." in text(page)
        assert "&lt;refused&gt;" in page
        assert "hunter22" not in page


# One letter


def letter_page(post: Post, client: Client, status: int = 200) -> str:
    (found,) = newest("celery", Deadline.after(10), limit=1).letters
    return body(client, status, queue="celery", id=found.id)


def test_letter__exception_first_then_why_and_what(post: Post, superuser: Client) -> None:
    trace = (
        'Traceback (most recent call last):\n  File "/app/shop/tasks.py", line 7, in pay\n    charge(card)\n'
        '  File "/usr/lib/python3.12/site-packages/stripe/api.py", line 3, in charge\n    raise Refused\n'
        "stripe.Refused: no"
    )
    failure = Failure(cause=Cause.EXCEPTION, exception="Refused", message="no & never", traceback=trace)
    task_id = post.letter("celery", task="shop.pay", failure=failure, priority=3)

    page = letter_page(post, superuser)

    read = text(page)
    assert "<h1>Refused</h1>" in page
    parts = (
        "no & never",
        "Raised in pay, /app/shop/tasks.py line 7: charge(card)",
        "Traceback",
        "The message",
    )
    assert sorted(parts, key=read.index) == list(parts)
    assert "stripe.Refused: no" in read
    assert f"Task id {task_id}" in read
    assert "Goes back to celery" in read
    assert "Priority 3" in read
    assert "SHOW_ARGUMENTS" in read
    (found,) = newest("celery", Deadline.after(10), limit=1).letters
    assert hrefs(page, "Send it again") == [f"../../page/dead-letters/requeue/?queue=celery&id={found.id}"]
    # It does not change, and RabbitMQ marks it with each look.
    assert 'data-refreshes="no"' in page
    # By its task's id, too.
    assert body(superuser, queue="celery", id=task_id).count("<h1>Refused</h1>") == 1


def test_letter__shows_arguments_where_they_may_be_seen(post: Post, superuser: Client, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "SHOW_ARGUMENTS": True}
    post.letter("celery", task="shop.pay", kwargs={"order": 12, "password": "hunter22"})

    page = letter_page(post, superuser)

    assert "{'order': 12, 'password': '**'}" in text(page)
    assert "hunter22" not in page


def test_letter__staff_is_told_who_may_act(post: Post, staff: Client) -> None:
    post.letter("celery")

    page = letter_page(post, staff)

    assert hrefs(page, "Send it again") == []
    assert "superusers" in text(page)


def test_letter__has_a_button_and_no_frame_of_others(post: Post, superuser: Client) -> None:
    post.letter("celery")
    (found,) = newest("celery", Deadline.after(10), limit=1).letters

    response = superuser.get(LETTERS, {"queue": "celery", "id": found.id})

    assert response["X-Frame-Options"] == "DENY"


def test_letter__that_is_gone(post: Post, superuser: Client) -> None:
    page = body(superuser, 404, queue="celery", id="nothing")

    assert "No dead letter of queue 'celery' has the id 'nothing'." in text(page)
    assert hrefs(page, "Letters of celery") == ["../../page/dead-letters/?queue=celery"]


TRACE = 'Traceback (most recent call last):\n  File "{}", line 4, in {}\n    call()\n'


@pytest.mark.parametrize(
    ("traceback", "place"),
    [
        (None, ""),
        ("no traceback", ""),
        (TRACE.format("/app/shop.py", "pay"), "Raised in pay, /app/shop.py line 4: call()"),
        # What a library raised is the project's call.
        (
            TRACE.format("/app/shop.py", "pay") + TRACE.format("/v/lib/python3.12/json/decoder.py", "loads"),
            "Raised in pay, /app/shop.py line 4: call()",
        ),
        (TRACE.format("C:\\\\v\\\\site-packages\\\\x.py", "f"), ""),
        (TRACE.format("<frozen importlib>", "f"), ""),
        # Without its source.
        ('  File "/a.py", line 1, in f\n  File "/b.py", line 2, in g', "Raised in g, /b.py line 2"),
        ('  File "/a.py", line 1, in f\nValueError: no', "Raised in f, /a.py line 1"),
    ],
)
def test_raised_at__is_the_innermost_line_of_the_project(traceback: str | None, place: str) -> None:
    assert raised_at(traceback) == place


@pytest.mark.parametrize(
    ("queue", "letter", "address"),
    [
        ("celery", None, "../../dead-letters/celery/?format=json"),
        ("a b&c", "x?", "../../dead-letters/a%20b%26c/x%3F/?format=json"),
        # No path can hold them.
        ("a/b", None, ""),
        ("..", None, ""),
    ],
)
def test_json__of_letters(queue: str, letter: str | None, address: str) -> None:
    assert json_of(queue, Links(ROOT_OF_PAGES), letter) == address
