"""Letters that somebody else looks at: RabbitMQ neither shows nor counts nor purges them meanwhile.

The other look is a connection that has taken some and not acknowledged them, as every look has.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from celery_health.dead_letters import amqp_box, body, entries, letters, requeue
from celery_health.dead_letters.boxes import Stored
from celery_health.dead_letters.newest import find, newest, size_in_a_moment
from celery_health.dead_letters.records import Newest
from celery_health.deadline import Deadline
from celery_health.exceptions import LetterNotFoundError
from tests.dead_letters.conftest import OtherLook, Post, make_current


@pytest.fixture
def broker_url(rabbit_url: str) -> str:
    return rabbit_url


def look(seconds: float = 10) -> Newest:
    return newest("celery", Deadline.after(seconds), limit=50)


class Colleague(threading.Thread):
    """Somebody who looks in another thread of this process."""

    def __init__(self, app: Celery, seconds: float = 10) -> None:
        super().__init__()
        self._app = app
        self._seconds = seconds
        self.found: Newest | None = None

    def run(self) -> None:
        make_current(self._app)
        self.found = look(self._seconds)


@pytest.fixture
def once_shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something in the middle of the next look: ``once_shown(2, act)`` when it has two letters."""

    def arrange(after: int, act: Callable[[], None]) -> None:
        shown = itertools.count(1)
        read = amqp_box._stored

        def stored(message: Any) -> Stored:
            if next(shown) == after:
                act()
            return read(message)

        monkeypatch.setattr(amqp_box, "_stored", stored)

    return arrange


def fill(post: Post, count: int) -> list[str]:
    return [post.letter("celery") for _ in range(count)]


def test_newest__says_that_others_hold_some(
    post: Post, other_look: OtherLook, once_shown: Callable[..., None]
) -> None:
    fill(post, 6)
    once_shown(2, lambda: other_look.take(3))

    found = look()

    assert (found.size, found.looked_at, len(found.letters)) == (6, 3, 3)
    assert (found.complete, found.disturbed, found.is_all) == (False, True, False)
    other_look.end()
    again = look()
    assert (again.looked_at, again.complete, again.disturbed) == (6, True, False)


def test_newest__counts_what_others_put_back_meanwhile(
    post: Post, other_look: OtherLook, once_shown: Callable[..., None]
) -> None:
    fill(post, 6)
    other_look.take(4)
    once_shown(1, other_look.end)

    found = look()

    assert (found.size, found.looked_at, found.complete, found.disturbed) == (6, 2, False, True)


def test_looks__of_one_process_do_not_disturb_each_other(post: Post, once_shown: Callable[..., None]) -> None:
    fill(post, 6)
    colleague = Colleague(post.app)

    def begin() -> None:
        colleague.start()
        # It is kept out: it would have come to an end before this one otherwise.
        colleague.join(0.5)

    once_shown(3, begin)
    found = [look()]
    colleague.join(10)

    assert colleague.found is not None
    found.append(colleague.found)
    assert [(one.size, one.looked_at, one.complete) for one in found] == [(6, 6, True)] * 2


def test_look__that_stays_is_not_waited_for_beyond_the_time(
    post: Post, once_shown: Callable[..., None]
) -> None:
    fill(post, 3)
    colleague = Colleague(post.app, 4)

    def begin() -> None:
        colleague.start()
        colleague.join(10)

    once_shown(1, begin)
    assert look().looked_at == 3

    assert colleague.found is not None
    assert colleague.found.looked_at == 2


def test_requeue__says_that_others_hold_some(
    post: Post, other_look: OtherLook, once_shown: Callable[..., None]
) -> None:
    fill(post, 6)
    once_shown(2, lambda: other_look.take(3))

    done = requeue("celery", force=True)

    assert (done.requeued, done.complete, done.finished, done.disturbed) == (3, False, False, True)
    assert body.requeued_notes(done) == (body.REACHED_BY_OTHERS,)
    other_look.end()
    assert requeue("celery", force=True).requeued == 3


def test_entries_and_one__say_that_others_hold_some(
    post: Post, other_look: OtherLook, once_shown: Callable[..., None]
) -> None:
    fill(post, 6)
    once_shown(2, lambda: other_look.take(4))

    page = entries("celery")

    assert (page.looked_at, page.size, page.complete) == (2, 6, False)
    assert body.page_notes(page) == (body.HELD_BY_OTHERS.format(shown=2, size=6),)
    once_shown(2, other_look.end)
    with pytest.raises(LetterNotFoundError, match="first 2 of 6; somebody else may be looking at the others"):
        find("celery", "nosuch", Deadline.after(10))
    assert letters.entries("celery").complete


def test_size_in_a_moment(post: Post, other_look: OtherLook) -> None:
    fill(post, 3)
    other_look.take(2)
    assert letters.purge("celery") == 1
    timer = threading.Timer(0.3, other_look.end)
    timer.start()

    assert size_in_a_moment("celery", 0, Deadline.after(10)) == 2
    timer.join()
    assert size_in_a_moment("celery", 2, Deadline.after(10)) == 2
    assert size_in_a_moment("celery", 0, Deadline.after(0)) is None
