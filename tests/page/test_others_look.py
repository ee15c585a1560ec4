"""The pages of dead letters while somebody else looks: RabbitMQ neither shows nor counts nor purges those."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.test import Client

from celery_health import dead_letters
from celery_health.dead_letters import acting, amqp_box, newest
from celery_health.dead_letters.boxes import Stored
from celery_health.page.letters import OTHERS_LOOK
from tests.dead_letters.conftest import OtherLook, Post
from tests.page.asking import LETTERS, PURGE, REQUEUE, asked
from tests.page.test_letters_page import fill, hrefs, numbered


@pytest.fixture
def broker_url(rabbit_url: str) -> str:
    return rabbit_url


def test_letters__held_by_others_are_said(
    post: Post, superuser: Client, other_look: OtherLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(post, numbered(6))
    shown = 0
    read = amqp_box._stored

    def stored(message: Any) -> Stored:
        nonlocal shown
        shown += 1
        if shown == 2:
            other_look.take(3)
        return read(message)

    monkeypatch.setattr(amqp_box, "_stored", stored)
    page = asked(superuser, LETTERS, queue="celery")

    assert (
        "RabbitMQ showed 3 of 6 letters: somebody else may be looking at the others, or they came"
        in page.read
    )
    assert "RabbitMQ shows only the first" not in page.read
    # How many it would be is not known.
    assert hrefs(page.page, "Send all again") and hrefs(page.page, "Purge all")
    other_look.end()
    page = asked(superuser, LETTERS, queue="celery")
    assert "may be looking" not in page.read
    assert OTHERS_LOOK in page.read
    assert hrefs(page.page, "Send all 6 again") and hrefs(page.page, "Purge all 6")


def test_letters__none_while_others_hold_all(post: Post, superuser: Client, other_look: OtherLook) -> None:
    fill(post, numbered(2))
    other_look.take(2)

    assert OTHERS_LOOK in asked(superuser, LETTERS, queue="celery").read
    nothing = asked(superuser, PURGE, queue="celery").read
    assert "Those that somebody else looks at in that moment are not counted, and stay." in nothing


def test_purge__says_what_others_put_back(
    post: Post, superuser: Client, other_look: OtherLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(post, numbered(5))
    question = asked(superuser, PURGE, queue="celery")
    assert "All 5 dead letters of queue 'celery'" in question.read
    assert "Those that somebody else looks at in that moment are not counted, and stay." in question.read
    purge = acting.purge

    def purged(who: str, queue: str) -> int:
        count = purge(who, queue)
        threading.Timer(0.2, other_look.end).start()
        return count

    monkeypatch.setattr(acting, "purge", purged)
    other_look.take(2)
    done = question.press(confirm="celery")

    assert "3 dead letters of queue 'celery' purged." in done.read
    assert "2 dead letters are there again: somebody else was looking at them" in done.read
    assert dead_letters.sizes()["celery"] == 2
    monkeypatch.setattr(newest, "MOMENT_SECONDS", 0.2)
    again = asked(superuser, PURGE, queue="celery").press(confirm="celery")
    assert "2 dead letters of queue 'celery' purged." in again.read
    assert "there again" not in again.read


def test_purge__more_than_was_seen_may_have_come_back(
    post: Post, superuser: Client, other_look: OtherLook
) -> None:
    fill(post, numbered(5))
    other_look.take(2)
    question = asked(superuser, PURGE, queue="celery")
    assert "All 3 dead letters" in question.read
    other_look.end()

    refused = question.press(confirm="celery")

    assert refused.status == 409
    assert (
        "2 dead letters came since you were asked, or came back from the look of somebody else"
        in refused.read
    )


def test_requeue__of_all_says_what_others_put_back(
    post: Post, superuser: Client, consumed: None, other_look: OtherLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(post, numbered(5))
    other_look.take(2)
    question = asked(superuser, REQUEUE, queue="celery")
    requeue = acting.requeue

    def requeued(*args: Any, **chosen: Any) -> Any:
        done = requeue(*args, **chosen)
        threading.Timer(0.2, other_look.end).start()
        return done

    monkeypatch.setattr(acting, "requeue", requeued)
    done = question.press(confirm="celery")

    assert "3 letters sent again to queue 'celery'." in done.read
    assert "Somebody else was looking at letters meanwhile, or some came since: 2 left" in done.read
    assert "2 letters sent again to queue 'celery'." in done.press(confirm="celery").read
    assert dead_letters.sizes()["celery"] == 0
