"""The runbook of each check, among the pages: it works without the net, wherever it was installed."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from celery_health.conf.schema import CHECK_IDS
from celery_health.page.links import Links
from celery_health.page.runbook import SECTIONS, _parsed, _sections
from celery_health.testing import make_queue, make_snapshot
from tests.api.conftest import PREFIX, Celery
from tests.support import ROOT

RUNBOOKS = ROOT / "docs" / "how-to" / "runbooks.md"


def test_runbooks__each_check_has_one() -> None:
    assert set(SECTIONS) == set(CHECK_IDS)
    titles = re.findall(r"^## (.+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)
    assert {title for sections in SECTIONS.values() for title in sections} <= set(titles)
    assert set(_sections()) == set(titles)


@pytest.mark.parametrize("check", CHECK_IDS)
def test_runbook__says_what_it_means_where_to_look_and_what_to_do(
    staff: Client, celery: Celery, check: str
) -> None:
    page = staff.get(f"{PREFIX}page/runbook/", {"check": check})

    html = page.content.decode()
    assert page.status_code == 200
    assert f"<h1>{check}</h1>" in html
    for word in ("Means", "Look", "Do"):
        assert f"<strong>{word}</strong>" in html
    # Nothing of the mark-up is left, and no link leads where there is nothing.
    text = re.sub(r"<code>.*?</code>", "", html[html.index("<main") : html.index("</main>")])
    assert not re.findall(r"\*\*|`|\]\(", text)


def test_runbook__says_what_is_found_now(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(queues=[make_queue("emails", ready=1204)])

    html = staff.get(f"{PREFIX}page/runbook/", {"check": "queues.depth"}).content.decode()

    assert "What it says now" in html
    assert "holds 1204 tasks" in html


@pytest.mark.parametrize("check", ["nothing.here", "", "<b>x"])
def test_runbook__of_no_check_is_not_found(staff: Client, celery: Celery, check: str) -> None:
    page = staff.get(f"{PREFIX}page/runbook/", {"check": check})

    assert page.status_code == 404
    assert "<b>x" not in page.content.decode()


def test_runbook__links_lead_to_another_or_nowhere() -> None:
    text = "See [CeleryUnhealthy](#celeryunhealthy) and [x](#celerybeatdead)."
    ((is_fenced, pieces),) = _parsed(text, Links())

    assert not is_fenced
    assert [tuple(piece) for piece in pieces] == [
        ("text", "See ", ""),
        ("text", "CeleryUnhealthy", ""),
        ("text", " and ", ""),
        ("link", "x", Links().runbook("beat.alive")),
        ("text", ".", ""),
    ]
