"""The pages of dead letters, before real brokers: the newest first, why, and to whom what is offered."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client

from celery_health.conf import get_settings
from celery_health.dead_letters import amqp_box
from celery_health.dead_letters.body import FIRST_ONLY
from celery_health.dead_letters.capture import Failure, capture
from celery_health.dead_letters.newest import newest
from celery_health.dead_letters.records import Cause, Filter, Newest
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.page import letter_views, letters
from celery_health.page.blocks import Text
from celery_health.page.letter_blocks import Cards
from celery_health.page.letter_queues import SWITCH_ON
from celery_health.page.letters import LETTERS_PER_PAGE, Asked
from celery_health.page.links import ROOT_OF_PAGES, Links
from celery_health.records import LettersLack
from celery_health.testing import make_queue, make_snapshot
from tests.api.conftest import PREFIX, Celery
from tests.dead_letters.conftest import BOOM, Post
from tests.page.asking import text

LINKS = Links(ROOT_OF_PAGES)
PAGE = f"{PREFIX}page/dead-letters/"
REFUSED = Failure(
    cause=Cause.EXCEPTION, exception="PaymentRefused", message="card 12 is over", traceback=None
)
KILLED = Failure(cause=Cause.WORKER_LOST, message="signal 9")
RAW = ("<script>alert", "\x1b", "\u202e", "\u200b")


def body(client: Client, status: int = 200, **query: str) -> str:
    response = client.get(PAGE, query)
    assert response.status_code == status, response.content[:2000]
    return response.content.decode()


def cards(page: str) -> list[str]:
    """Return the text of each letter."""
    return [text(found) for found in re.findall(r'<li id="letter-.*?</li>', page, flags=re.DOTALL)]


def messages(page: str) -> list[str]:
    return re.findall(r'<span class="said">(.*?)</span>', page)


def hrefs(page: str, label: str) -> list[str]:
    """Return the addresses of the links of that text."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)', page)
    return [html.unescape(href) for href, shown in found if html.unescape(shown) == label]


def fill(post: Post, failures: Sequence[Failure], queue: str = "celery", task: str = "record") -> None:
    """Put a letter for each of `failures` into the box, quickly: in one batch."""
    post.publish(queue, task=task)
    message = post.take(queue)
    post.write(queue, *(capture(message, failure, queue=queue, worker="w1@test") for failure in failures))


def numbered(count: int) -> list[Failure]:
    return [Failure(cause=Cause.EXCEPTION, exception="Boom", message=f"no {n}") for n in range(count)]


# The queues


def test_page__queues_with_letters_lead_to_them(post: Post, superuser: Client, settings: Any) -> None:
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "DEAD_LETTERS": {"enabled": True}}
    post.letter("celery")

    page = body(superuser)

    assert hrefs(page, "celery") == ["../../page/dead-letters/?queue=celery"]


@pytest.mark.parametrize(
    ("letters", "lack", "said"),
    [
        # Nobody asked for any: what there is to paste.
        (None, LettersLack.OFF, '"DEAD_LETTERS": {"enabled": True},'),
        (None, LettersLack.UNSUPPORTED, "This transport cannot keep dead letters: Redis and RabbitMQ can."),
        (None, None, "Dead letters were not counted; why is not known."),
        ({"celery": None}, None, "celery ?"),
        ({"celery": 0}, None, "celery 0"),
        ({}, None, "None: no task has failed for good."),
    ],
)
def test_page__without_numbers_it_says_why(
    staff: Client, celery: Celery, letters: Any, lack: LettersLack | None, said: str
) -> None:
    celery.snapshot = make_snapshot(dead_letters=letters, dead_letters_lack=lack)

    assert said in text(body(staff))


def test_switching_on__works_when_pasted(settings: Any) -> None:
    given: dict[str, Any] = {}
    exec(SWITCH_ON, given)

    assert len(SWITCH_ON.splitlines()) == 3
    settings.CELERY_HEALTH = given["CELERY_HEALTH"]
    assert get_settings().dead_letters.enabled


# The letters of a queue


def test_letters__newest_first_with_why(post: Post, superuser: Client) -> None:
    post.letter("celery", task="shop.pay", failure=BOOM)
    task_id = post.letter("celery", task="shop.ship", failure=REFUSED)

    page = body(superuser, queue="celery")

    newest_card, oldest = cards(page)
    assert newest_card.startswith("PaymentRefused card 12 is over Task shop.ship Failed ")
    assert newest_card.endswith("Attempts 1 Worker w1@test")
    assert re.search(r"Failed [0-9.]+ s ago [0-9-]{10} [0-9:]{8} UTC", newest_card)
    assert oldest.startswith("Boom failed as told Task shop.pay")
    assert hrefs(page, "shop.ship") == ["../../page/tasks/?name=shop.ship"]
    assert hrefs(page, "w1@test")[0] == "../../page/workers/?name=w1%40test"
    (one,) = [each for each in hrefs(page, "PaymentRefused") if "&id=" in each]
    shown = superuser.get(PAGE + one.rpartition("/")[2]).content.decode()
    assert task_id in text(shown)


def test_letters__kinds_lead_to_their_letters(post: Post, superuser: Client) -> None:
    fill(post, [BOOM, REFUSED, BOOM, KILLED], task="shop.pay")

    page = body(superuser, queue="celery")

    table = text(page.split('<table id="kinds"')[1].split("</table>")[0])
    assert "Boom in shop.pay 2 " in table
    assert "PaymentRefused in shop.pay 1 " in table
    assert "Its process was killed, or exited in shop.pay 1 " in table
    address = next(each for each in hrefs(page, "Boom") if "&id=" not in each)
    chosen = superuser.get(PAGE + address.rpartition("/")[2]).content.decode()
    assert messages(chosen) == ["failed as told", "failed as told"]
    assert hrefs(chosen, "Send these 2 again") == [
        "../../page/dead-letters/requeue/?queue=celery&task=shop.pay&exception=Boom"
    ]
    # One that has no exception leads to those of its cause, and to no others.
    killed = next(each for each in hrefs(page, "Its process was killed, or exited") if "&id=" not in each)
    chosen = superuser.get(PAGE + killed.rpartition("/")[2]).content.decode()
    assert messages(chosen) == ["signal 9"]
    assert hrefs(chosen, "Send these 1 again") == [
        "../../page/dead-letters/requeue/?queue=celery&task=shop.pay&cause=worker_lost"
    ]
    assert "Known: exception, time_limit" in body(superuser, 400, queue="celery", cause="nothing")


def test_letters__choices_need_no_script(post: Post, superuser: Client) -> None:
    post.letter("celery", task="shop.pay")
    post.letter("celery", task="shop.ship", failure=REFUSED)

    # As a form sends them: what is not chosen is empty.
    page = body(superuser, queue="celery", task="shop.ship", exception="", since="1h")

    assert messages(page) == ["card 12 is over"]
    assert '<option value="shop.ship" selected>' in page
    assert '<option value="1h" selected>' in page
    assert '<option value="">any</option>' in page.split('name="task"')[1]
    assert body(superuser, queue="celery", task="shop.none").count("None of those looked at is such") == 1
    # An hour ago is another one when somebody has read the page: what it leads to has the time itself.
    (sending,) = hrefs(page, "Send these 1 again")
    assert re.search(r"&since=20[0-9]{2}-[0-9]{2}-[0-9]{2}T", sending)
    assert "since" in body(superuser, 400, queue="celery", since="soon")


def test_letters__none_such_here_leads_to_the_other_queues() -> None:
    """A task comes by more than one queue, and nobody who follows a link to its letters ends at none."""
    report = judge(make_snapshot(dead_letters={"a": 11, "b": 1, "c": 0, "d": None, "e": 3}), get_settings())
    none = Newest(
        queue="a", letters=(), groups=(), size=11, looked_at=11, taken=0, complete=True, marked=False
    )
    asked = Asked(queue="a", where=Filter(task="pay"), task="pay", exception="Boom")

    page = letters.page_of(asked, none, report, LINKS, may_write=True)

    (text,) = (each for each in page.blocks if each.id == "elsewhere")
    assert isinstance(text, Text)
    assert [(cell.text, cell.detail, cell.href) for cell in text.lines] == [
        ("e", "3 letters", "../../page/dead-letters/?queue=e&task=pay&exception=Boom"),
        ("b", "1 letter", "../../page/dead-letters/?queue=b&task=pay&exception=Boom"),
    ]
    everything = Asked(queue="a", where=Filter())
    page = letters.page_of(everything, none, report, LINKS, may_write=True)
    assert [each for each in page.blocks if each.id == "elsewhere"] == []


def test_letters__of_a_queue_that_nobody_knows() -> None:
    none = Newest(
        queue="typo", letters=(), groups=(), size=0, looked_at=0, taken=0, complete=True, marked=False
    )
    for known, said in (
        (["typo"], "What was sent again or purged is gone from this list."),
        ([], "no queue of this name is known."),
    ):
        report = judge(make_snapshot(queues=[make_queue(name) for name in known]), get_settings())
        page = letters.page_of(Asked(queue="typo", where=Filter()), none, report, LINKS, may_write=True)
        (found,) = (each for each in page.blocks if isinstance(each, Cards))
        assert said in found.empty


def test_letters__behind_what_rabbitmq_shows_are_newer_ones() -> None:
    shown = Newest(
        queue="a", letters=(), groups=(), size=1500, looked_at=1000, taken=1000, complete=False, marked=True
    )
    report = judge(make_snapshot(dead_letters={"a": 1500}), get_settings())

    page = letters.page_of(Asked(queue="a", where=Filter(), number=25), shown, report, LINKS, may_write=True)

    (found,) = (each for each in page.blocks if isinstance(each, Cards))
    assert found.empty == "None of those shown stands here."
    assert FIRST_ONLY.format(shown="1,000", size="1,500") in found.note


def test_letters__fifty_a_page(post: Post, superuser: Client) -> None:
    fill(post, numbered(120))

    first = body(superuser, queue="celery")
    assert messages(first) == [f"no {n}" for n in range(119, 69, -1)]
    assert hrefs(first, "Newer") == []
    (address,) = hrefs(first, "Older")
    second = superuser.get(PAGE + address.rpartition("/")[2]).content.decode()
    assert messages(second) == [f"no {n}" for n in range(69, 19, -1)]
    third = body(superuser, queue="celery", page="3")
    assert messages(third) == [f"no {n}" for n in range(19, -1, -1)]
    assert hrefs(third, "Older") == []
    assert hrefs(third, "Newer") == ["../../page/dead-letters/?queue=celery&page=2"]
    assert "There are no letters so far back." in body(superuser, queue="celery", page="9")
    assert "page" in body(superuser, 400, queue="celery", page="0")


def test_letters__one_look_counts_some_and_shows_all(post: Post, superuser: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(letter_views, "MOST_LOOKED", 60)
    monkeypatch.setattr(amqp_box, "REACH_LETTERS", 60)
    fill(post, [BOOM, *numbered(99)])

    page = body(superuser, queue="celery")

    if "redis" in post.app.conf.broker_url:
        assert "Of the newest 60 of 100 letters." in text(page)
        assert messages(body(superuser, queue="celery", page="2")) == [
            *(f"no {n}" for n in range(48, -1, -1)), "failed as told",
        ]  # fmt: skip
        (everything,) = hrefs(page, "Look at all 100 letters")
        looked = superuser.get(PAGE + everything.rpartition("/")[2]).content.decode()
        assert "Boom in record 100 " in text(looked)
        assert "Of the newest" not in looked
    else:
        # The first that it shows are the oldest.
        assert messages(page)[0] == "no 58"
        assert "RabbitMQ shows only the first 60 of 100 letters." in text(page)
        assert hrefs(page, "Look at all 100 letters") == []


def test_letters__where_a_look_marks_them_nobody_looks_unasked(post: Post, superuser: Client) -> None:
    post.letter("celery")

    page = body(superuser, queue="celery")

    marks = "redis" not in post.app.conf.broker_url
    assert ("marked as redelivered" in page) is marks
    assert (f'data-refreshes="{"no" if marks else "yes"}"' in page) is True
    # Without a script a reload would throw away what somebody has chosen.
    assert 'http-equiv="refresh"' not in page


def test_letters__of_a_queue_without_any(post: Post, superuser: Client) -> None:
    page = body(superuser, queue="other/queue?&")

    assert "None: nothing is kept here" in text(page)
    assert "Purge" not in page


def test_letters__of_thousands_it_looks_at_one(post: Post, superuser: Client) -> None:
    if "redis" not in post.app.conf.broker_url:
        pytest.skip("RabbitMQ shows the first thousand, whatever there is")
    fill(post, numbered(2_000))

    page = body(superuser, queue="celery")

    assert messages(page)[0] == "no 1999"
    assert "Of the newest 1,000 of 2,000 letters." in text(page)
    assert len(page) < 100_000
    assert len(messages(body(superuser, queue="celery", page="40"))) == LETTERS_PER_PAGE


# The look


def test_newest__choose_and_count(post: Post) -> None:
    fill(post, [BOOM, REFUSED, BOOM], task="shop.pay")

    lost = newest("celery", Deadline.after(10), limit=1, where=Filter(cause=Cause.WORKER_LOST))
    assert (lost.taken, lost.letters) == (0, ())
    found = newest("celery", Deadline.after(10), limit=1, where=Filter(exception="Boom"))

    assert (found.size, found.looked_at, found.taken, found.is_all, len(found.letters)) == (3, 3, 2, True, 1)
    assert [(group.exception, group.count) for group in found.groups] == [("Boom", 2), ("PaymentRefused", 1)]
    boom = found.groups[0]
    assert boom.first is not None and boom.last is not None and boom.first <= boom.last
