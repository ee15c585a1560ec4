"""Acting from the page, before real brokers: asked first, confirmed, done once, told, and only by who may."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from celery import Celery
from django.test import Client

from celery_health import dead_letters
from tests.dead_letters.conftest import BOOM, Post, make_current
from tests.page.asking import LETTERS, PURGE, REQUEUE, Asked, asked, size
from tests.page.test_letters_page import REFUSED, fill, hrefs, numbered
from tests.support import Proxy, eventually


@pytest.fixture
def audit(caplog: Any) -> Iterator[Callable[[], list[tuple[Any, ...]]]]:
    """What the audit log has: action, queue, count, outcome, who."""

    def read() -> list[tuple[Any, ...]]:
        found = [record for record in caplog.records if record.name == "celery_health.audit"]
        return [(each.action, each.queue, each.count, each.outcome, each.who) for each in found]

    with caplog.at_level(logging.WARNING, "celery_health.audit"):
        yield read


WHO = "superuser (HTTP, 127.0.0.1)"


# Sending again


def test_requeue__one_letter_takes_a_press(post: Post, superuser: Client, consumed: None, audit: Any) -> None:
    task_id = post.letter("celery")
    post.letter("celery")

    question = asked(superuser, REQUEUE, queue="celery", id=task_id)
    assert question.status == 200
    assert "It goes back to queue 'celery' as it was published" in question.read
    assert question.typed is None
    assert size() == 2 and audit() == []
    done = question.press()

    assert "1 letter sent again to queue 'celery'." in done.read
    assert "1 dead letter left." in done.read
    assert (size(), post.ready("celery")) == (1, 1)
    assert audit() == [("requeue", "celery", 1, "done", WHO)]
    assert "../../../page/dead-letters/?queue=celery" in hrefs(done.page, "Dead letters of celery")


def test_requeue__all_of_a_queue_takes_its_name(
    post: Post, superuser: Client, consumed: None, audit: Any
) -> None:
    fill(post, numbered(3))

    question = asked(superuser, REQUEUE, queue="celery")
    assert "3 letters would go back to queue 'celery'" in question.read
    assert question.typed == "celery"
    for confirm in ("", "Celery", "celery ", "emails"):
        refused = question.press(confirm=confirm)
        assert (refused.status, size(), audit()) == (400, 3, [])
        assert "Nothing was done. Type celery as it stands here." in refused.read
    done = refused.press(confirm="celery")

    assert "3 letters sent again to queue 'celery'." in done.read
    # When, and who: the address of it can be opened again later.
    assert re.search(rf"At \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, by {re.escape(WHO)}:", done.read)
    assert (size(), post.ready("celery")) == (0, 3)
    assert audit() == [("requeue", "celery", 3, "done", WHO)]


def test_requeue__those_chosen(post: Post, superuser: Client, consumed: None) -> None:
    fill(post, [BOOM, REFUSED, BOOM], task="shop.pay")

    question = asked(superuser, REQUEUE, queue="celery", task="shop.pay", exception="Boom", since="1h")
    assert "<h1>Send dead letters of celery again: Boom, shop.pay, since 1h</h1>" in question.page
    assert "2 letters would go back" in question.read
    assert question.typed is None
    assert "2 letters sent again to queue 'celery'." in question.press().read
    assert size() == 1
    nothing = asked(superuser, REQUEUE, queue="celery", exception="Boom")
    assert "0 letters would go back" in nothing.read
    assert '<form class="action"' not in nothing.page


def test_requeue__from_the_letter_in_one_press(post: Post, superuser: Client, consumed: None) -> None:
    task_id = post.letter("celery")

    shown = asked(superuser, LETTERS, queue="celery", id=task_id)
    done = shown.press()

    assert "1 letter sent again to queue 'celery'." in done.read
    assert size() == 0


def test_requeue__where_nobody_consumes_it_is_refused_and_can_be_forced(
    post: Post, superuser: Client, audit: Any
) -> None:
    task_id = post.letter("celery")

    shown = asked(superuser, LETTERS, queue="celery", id=task_id)
    # What would be refused leads to the page that says so.
    assert '<form class="action"' not in shown.page
    question = asked(superuser, REQUEUE, queue="celery", id=task_id)
    assert "onsumes queue 'celery': what is sent there would wait. Start a worker" in question.read
    assert "Send all the same" in question.read
    refused = question.press()
    assert (refused.status, size(), post.ready("celery")) == (409, 1, 0)
    assert "Nothing was sent." in refused.read
    assert audit() == [("requeue", "celery", 0, "NotConsumedError", WHO)]
    assert "1 letter sent again" in refused.press(force="yes").read
    assert (size(), post.ready("celery")) == (0, 1)


def test_requeue__expired_ones_stay_unless_forced(post: Post, superuser: Client, consumed: None) -> None:
    expired = post.letter("celery", expires=2)
    post.letter("celery")
    eventually(lambda: dead_letters.requeue("celery", dry_run=True).expired == 1)

    question = asked(superuser, REQUEUE, queue="celery")
    assert "1 letter would go back" in question.read
    assert "1 letter stays, expired" in question.read
    one = asked(superuser, REQUEUE, queue="celery", id=expired)
    refused = one.press()
    assert refused.status == 409
    assert "it has expired" in refused.read
    done = question.press(confirm="celery")
    assert "1 letter sent again" in done.read
    assert "1 letter stays, expired" in done.read
    assert size() == 1
    assert "1 letter sent again" in refused.press(force="yes").read
    assert size() == 0


def test_requeue__what_is_gone(post: Post, superuser: Client, consumed: None) -> None:
    task_id = post.letter("celery")
    question = asked(superuser, REQUEUE, queue="celery", id=task_id)
    twice = question.press()

    # Pressed twice: the second finds it gone.
    second = question.press()
    assert "1 letter sent again" in twice.read
    assert "Nothing was sent. No dead letter of queue 'celery' has that id, or none has it" in second.read
    assert post.ready("celery") == 1
    gone = asked(superuser, REQUEUE, queue="celery", id=task_id)
    assert gone.status == 404
    assert "has that id, or none has it any more" in gone.read


def test_requeue__reloading_what_was_done_does_nothing(post: Post, superuser: Client, consumed: None) -> None:
    fill(post, numbered(2))

    question = asked(superuser, REQUEUE, queue="celery", exception="Boom")
    form = urlencode(question.hidden)
    kind = "application/x-www-form-urlencoded"
    sent = superuser.post(f"{REQUEUE}?queue=celery&exception=Boom", form, content_type=kind)
    address = sent["Location"][1:]
    fill(post, numbered(2))
    for _ in range(2):
        assert "2 letters sent again" in asked(superuser, REQUEUE, address).read
    assert size() == 2
    # What was done is signed, and says nothing of another target: there it asks.
    signed = address.partition("done=")[2]
    for query in (f"queue=celery&done={signed}", "queue=celery&exception=Boom&done=forged:x:y"):
        shown = asked(superuser, REQUEUE, query)
        assert "sent again" not in shown.read
        assert "2 letters would go back" in shown.read


def test_requeue__of_more_than_the_time_allows_goes_on(
    post: Post, superuser: Client, consumed: None, monkeypatch: Any
) -> None:
    """How much a machine sends in a time is its own affair: after two the time is made to be up."""
    from celery_health.dead_letters.resending import Resending

    fill(post, numbered(5))
    real = Resending._is_enough

    def is_enough(self: Resending) -> bool:
        self._timed_out = not self.dry_run and self._requeued >= 2
        return self._timed_out or real(self)

    monkeypatch.setattr(Resending, "_is_enough", is_enough)
    done = asked(superuser, REQUEUE, queue="celery").press(confirm="celery")
    assert "2 letters sent again" in done.read
    assert "The time (DEADLINE) was up: 3 left, press again." in done.read
    # Confirmed it is already.
    done = done.press()
    assert "2 letters sent again" in done.read
    assert "1 left, press again" in done.read
    assert "1 letter sent again" in done.press().read
    assert (size(), post.ready("celery")) == (0, 5)


def test_requeue__broker_that_goes_in_the_middle(
    post: Post,
    superuser: Client,
    consumed: None,
    proxy: Callable[[int], Proxy],
    make_app: Callable[[str], Celery],
    monkeypatch: Any,
    audit: Any,
    settings: Any,
) -> None:
    from celery_health.dead_letters.resending import Resending

    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "DEADLINE": 3}
    fill(post, numbered(4))
    question = asked(superuser, REQUEUE, queue="celery")
    url = str(post.app.conf.broker_url)
    between = proxy(urlsplit(url).port or 0)
    make_current(make_app(between.url(url)))
    real = Resending._sent

    def cut(self: Resending, went: bool) -> None:
        real(self, went)
        if self._requeued == 2:
            between.refuse()

    monkeypatch.setattr(Resending, "_sent", cut)
    done = question.press(confirm="celery")

    assert "2 letters were sent before; the rest is still there" in done.read
    assert "2 letters sent again to queue 'celery'." in done.read
    assert audit() == [("requeue", "celery", 2, "RequeueInterruptedError", WHO)]


def test_acting__broker_that_is_away(post: Post, superuser: Client, consumed: None, monkeypatch: Any) -> None:
    """Away between two questions: what asks it is made to fail."""
    from celery_health.exceptions import BrokerError
    from celery_health.page import letter_actions, letter_purge

    post.letter("celery")
    questions = [asked(superuser, path, queue="celery") for path in (REQUEUE, PURGE)]

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise BrokerError("redis://:hunter22@db <refused>")

    monkeypatch.setattr(letter_actions.letters, "requeue", fail)
    monkeypatch.setattr(letter_purge, "seen", fail)
    for question in questions:
        answered = question.press(confirm="celery")
        assert answered.status == 503
        assert "Nothing was " in answered.read
        assert "Go back, and try again." in answered.read
        assert "hunter22" not in answered.page and "<refused>" not in answered.page
        assert asked(superuser, question.path, queue="celery").status == 503
    assert size() == 1


# Purging


def test_purge__takes_the_name(post: Post, superuser: Client, audit: Any) -> None:
    fill(post, numbered(3))

    question = asked(superuser, PURGE, queue="celery")
    assert "All 3 dead letters of queue 'celery' would be removed for good" in question.read
    refused = question.press(confirm="celer")
    assert (refused.status, size(), audit()) == (400, 3, [])
    done = refused.press(confirm="celery")

    assert "3 dead letters of queue 'celery' purged." in done.read
    assert size() == 0
    assert audit() == [("purge", "celery", 3, "done", WHO)]
    assert "Nothing was purged: there were none any more." in question.press(confirm="celery").read
    assert "there is nothing to purge" in asked(superuser, PURGE, queue="celery").read


def test_purge__takes_nothing_that_nobody_has_seen(post: Post, superuser: Client) -> None:
    fill(post, numbered(2))
    question = asked(superuser, PURGE, queue="celery")
    fill(post, numbered(1))

    refused = question.press(confirm="celery")

    assert (refused.status, size()) == (409, 3)
    or_back = ", or came back from the look of somebody else" if post.box.looking_marks else ""
    assert (
        f"Nothing was purged. 1 dead letter came since you were asked{or_back}: look again." in refused.read
    )
    assert "3 dead letters of queue 'celery' purged." in refused.press(confirm="celery").read


def test_purge__takes_none_that_came_in_the_place_of_those_seen(post: Post, superuser: Client) -> None:
    fill(post, numbered(2))
    question = asked(superuser, PURGE, queue="celery")
    dead_letters.purge("celery")
    fill(post, numbered(2))

    refused = question.press(confirm="celery")

    if post.box.looking_marks:  # a look would mark them, and shows the oldest alone: it says so
        assert "Those that come until you press go with them" in question.read
        return
    assert "Those that come until you press" not in question.read
    assert (refused.status, size()) == (409, 2)
    assert "Other dead letters have come since you were asked: look again." in refused.read
    assert "2 dead letters of queue 'celery' purged." in refused.press(confirm="celery").read


@pytest.mark.slow
def test_requeue__runs_again_at_a_real_worker(
    post: Post, superuser: Client, recorded: Callable[..., Any]
) -> None:
    task_id = post.letter("emails", args=["x"])
    read = recorded(queues=["emails"])
    # Once it is seen that somebody consumes the queue, the letter itself has the button.
    shown = eventually(
        lambda: _with_button(asked(superuser, LETTERS, queue="emails", id=task_id)),
        timeout=20,
    )

    done = shown.press()

    assert "1 letter sent again to queue 'emails'." in done.read
    (run,) = eventually(read)
    assert (run["id"], run["args"]) == (task_id, ["x"])


def _with_button(shown: Asked) -> Asked | None:
    return shown if '<form class="action"' in shown.page else None


@pytest.mark.slow
def test_acting__broker_that_hangs_is_waited_for_once(
    post: Post,
    superuser: Client,
    consumed: None,
    proxy: Callable[[int], Proxy],
    make_app: Callable[[str], Celery],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "DEADLINE": 2}
    # To ask again after a failure takes a reading, which would wait once more.
    monkeypatch.setattr("celery_health.page.acting.get_report", lambda *_: pytest.fail("waits twice"))
    post.letter("celery")
    url = str(post.app.conf.broker_url)
    between = proxy(urlsplit(url).port or 0)
    make_current(make_app(between.url(url)))
    questions = [asked(superuser, path, queue="celery") for path in (REQUEUE, PURGE)]
    between.black_hole()

    answers = [question.press(confirm="celery") for question in questions]
    answers += [asked(superuser, path, queue="celery") for path in (REQUEUE, PURGE)]
    shown = [asked(superuser, LETTERS, queue="celery", **one) for one in ({}, {"id": "x"})]

    assert [answer.status for answer in answers] == [503] * 4
    for answer in (*answers, *shown):
        # That is no fault of this process.
        assert "This process" not in answer.read
        assert "timed out" in answer.read.lower() or "timeout" in answer.read.lower()
    assert [answer.status for answer in shown] == [200, 200]
    between.forward()
    eventually(lambda: "1 letter sent again" in questions[0].press(confirm="celery").read, timeout=20)
