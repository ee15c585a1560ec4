"""The page of the search: where one hit leads, what several look like, and what was not looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from django.test import Client, override_settings

from celery_health.dead_letters.records import Looked
from celery_health.page.lookup import LONGEST_QUERY
from celery_health.reading.task_totals import TaskTotals
from celery_health.records import RunningTask, StoreState, TaskOutcomes
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery
from tests.page.test_lookup import HOSTILE, LETTER, RUNNING, letter

SEARCH = f"{PREFIX}page/search/"


class Box:
    """Stands in for the broker's dead letters: which of them are asked for, and what is found."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.looked = Looked(letters=(letter(),), unread={})

    def search(self, prefix: str, queues: list[str], deadline: Any, *, most: int) -> Looked:
        self.asked.append((prefix, queues))
        return self.looked


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box()
    monkeypatch.setattr("celery_health.page.looking.search_letters", box.search)
    return box


@pytest.fixture
def shop(celery: Celery, monkeypatch: pytest.MonkeyPatch) -> Celery:
    running = RunningTask(worker="celery@w1", task_id=RUNNING, task_name="shop.tasks.charge")
    celery.snapshot = make_snapshot(
        workers=[make_worker("celery@w1", queues=("emails",), active=(running,))],
        queues=[make_queue("emails"), make_queue("emails-slow"), make_queue(HOSTILE), make_queue("")],
        recent={"shop.tasks.refund": TaskOutcomes(failed=1)},
        beats=[make_beat(entries=(make_entry("Nightly report", task="shop.reports.nightly"),))],
        store=StoreState(configured=True, reachable=True),
        dead_letters={"emails": 3, "attic": 1},
    )
    celery.totals = {"legacy.import": TaskTotals()}
    monkeypatch.setattr("celery_health.page.looking.get_totals", celery.read_totals)
    return celery


def found(page: str) -> list[str]:
    """Return the addresses of the hits."""
    rows = page.partition('<table id="found"')[2].partition("</table>")[0]
    return re.findall(r'href="([^"]*)"', rows)


@pytest.mark.parametrize(
    ("query", "leads_to"),
    [
        ("emails-", "page/queues/?name=emails-slow"),
        ("charge", "page/tasks/?name=shop.tasks.charge"),
        ("legacy", "page/tasks/?name=legacy.import"),
        ("celery@", "page/workers/?name=celery%40w1"),
        ("Nightly r", "page/schedule/?name=Nightly%20report"),
        ("attic", "page/dead-letters/?queue=attic"),
        (RUNNING[:8], "page/workers/?name=celery%40w1"),
    ],
)
def test_search__one_hit_leads_there(
    staff: Client, shop: Celery, box: Box, query: str, leads_to: str
) -> None:
    box.looked = Looked(letters=(), unread={})

    answer = staff.get(SEARCH, {"q": query})

    # By a relative address: a proxy may have taken a prefix off.
    assert (answer.status_code, answer["Location"]) == (302, f"../../{leads_to}")
    assert answer["Cache-Control"] == "no-store"
    assert staff.get(SEARCH, {"q": query}, follow=True).status_code == 200


def test_search__a_letter_by_its_id(staff: Client, shop: Celery, box: Box) -> None:
    answer = staff.get(SEARCH, {"q": LETTER[:10]})

    assert answer["Location"] == f"../../page/dead-letters/?queue=payments&id={LETTER}"
    assert box.asked == [(LETTER[:10], ["emails", "attic"])]


def test_search__looks_through_no_letters_for_a_name(staff: Client, shop: Celery, box: Box) -> None:
    page = staff.get(SEARCH, {"q": "shop.tasks"}).content.decode()

    assert box.asked == []
    assert "Dead letters were not looked through" in page


@override_settings(
    CELERY_HEALTH={
        "PERMISSIONS": {
            "page": "rest_framework.permissions.IsAuthenticated",
            "read": "celery_health.api.permissions.IsSuperuser",
        }
    }
)
def test_search__shows_letters_to_those_who_may_read_them(
    client_of: Callable[[str], Client], shop: Celery, box: Box
) -> None:
    page = client_of("user").get(SEARCH, {"q": LETTER}).content.decode()

    assert box.asked == []
    assert "you may not read them" in page and "PaymentError" not in page
    assert "and of dead letters" not in page
    assert page.count("Dead letters were not looked through") == 1
    assert client_of("superuser").get(SEARCH, {"q": LETTER}).status_code == 302


def test_search__lists_several_with_their_links(staff: Client, shop: Celery, box: Box) -> None:
    page = staff.get(SEARCH, {"q": "emails"}).content.decode()

    assert found(page) == ["../../page/queues/?name=emails", "../../page/queues/?name=emails-slow"]
    assert {staff.get(urljoin(SEARCH, address)).status_code for address in found(page)} == {200}
    # What was typed can be corrected, and is in no title that refreshes.
    assert 'name="q" type="search"' in page and 'value="emails"' in page
    assert 'data-refreshes="no"' in page


def test_search__nothing_found_says_where_it_looked(staff: Client, shop: Celery, box: Box) -> None:
    box.looked = Looked(
        letters=(), unread={"emails": "No answer within 2 s.", **{f"q{n}": "late" for n in range(9)}}
    )

    answer = staff.get(SEARCH, {"q": "zebra-999"})
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "Nothing begins with “zebra-999”." in page
    assert "Looked through: 4 queues, " in page
    assert (
        "Not all dead letters of queue &#x27;emails&#x27; were looked through: No answer within 2 s." in page
    )
    assert "Nor were those of 5 other queues." in page


@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "   "}])
def test_search__for_nothing_says_how(staff: Client, shop: Celery, box: Box, query: dict[str, str]) -> None:
    answer = staff.get(SEARCH, query)

    assert answer.status_code == 200
    assert "Type how the name of a queue" in answer.content.decode()


def test_search__what_is_too_long_is_cut(staff: Client, shop: Celery, box: Box) -> None:
    box.looked = Looked(letters=(), unread={})

    page = staff.get(SEARCH, {"q": "y" * 5000}).content.decode()

    assert f"Only the first {LONGEST_QUERY} characters" in page
    assert len(page) < 20_000


def test_search__hostile_names_come_back(staff: Client, shop: Celery, box: Box) -> None:
    answer = staff.get(SEARCH, {"q": HOSTILE}, follow=True)

    assert answer.status_code == 200
    assert answer.wsgi_request.GET["name"] == HOSTILE
    page = answer.content.decode()
    assert not [raw for raw in ("</script><b>", "\x1b", "\u202e") if raw in page]
    # As it is shown, it is found too.
    shown = "</script><b>\\x1b[31m\\u202e{{ x }}"
    assert staff.get(SEARCH, {"q": shown}, follow=True).wsgi_request.GET["name"] == HOSTILE


def test_search__is_for_those_who_may_see_the_page(client_of: Callable[[str], Client], shop: Celery) -> None:
    assert client_of("user").get(SEARCH, {"q": "emails"}).status_code == 403
