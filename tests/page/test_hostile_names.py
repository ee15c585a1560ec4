"""Hostile names everywhere: each page answers, links come back to the name, nothing of it comes out raw."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from django.http import QueryDict
from django.test import Client

from celery_health.doctor.findings import Finding, Kind, Severity, Subject
from celery_health.records import ReservedTask, RunningTask, ScheduleEntryState, TaskOutcomes, Worker
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import FOUND, PREFIX, Celery
from tests.dead_letters.conftest import Post
from tests.page.markup import faults
from tests.page.walking import body_of, kind_of, walk

NAMES = {
    "long": "n" * 300,
    "wide": "名" * 300,
    "empty": "",
    "blank": " ",
    "control": "a\x00\x07\x1b[31mb\x7f",
    "lines": "one\r\ntwo\nthree\u2028four",
    "right to left": "\u202eevil\u202c\u2066\u200b",
    "markup": "</script></title><script>alert(1)</script><img src=x onerror=alert(1)>",
    "attribute": "\" onclick=\"alert(1)\" x='",
    "template": "{{ 7|add:7 }}{% debug %}{# x #}",
    "address": "?a=1&b=2#c;d=%26",
    "path": "../../etc/../passwd",
    "dots": "..",
    "dot": ".",
    "slashes": "//evil.example/x",
    "encoded": "%2F%2e%2e%00%zz+%20",
    "scheme": "javascript:alert(1)",
    "shell": "$(id) `id` ; rm -rf / | cat > x",
    "option": "--help",
    "json": "\"]},{\"a\":\"\\u003c",
    "emoji": "👩‍👩‍👧 e\u0301",
}  # fmt: skip
#: What must be nowhere in a page as it is.
RAW = re.compile(r"<script>alert|<img src=x|\x1b|\x00|\x07|\x7f|\u202e|\u2066|\u200b|\u2028|onclick=\"alert")


@pytest.fixture
def broker_url(redis_url: str) -> str:
    """One broker will do: names are the matter."""
    return redis_url


@pytest.fixture
def superuser(client_of: Callable[[str], Client]) -> Client:
    return client_of("superuser")


@pytest.fixture(autouse=True)
def system(celery: Celery, post: Post) -> None:
    """Everything has every name; the dead letters are real."""
    names = list(NAMES.values())
    celery.snapshot = make_snapshot(
        workers=[_worker(name) for name in names],
        queues=[make_queue(name, ready=9000, expected_by=(f"task:{name}", f"beat:{name}")) for name in names],
        recent={name: TaskOutcomes(succeeded=1, failed=20, unknown=1) for name in names},
        beats=[make_beat(names[0], entries=tuple(_entry(name) for name in names), entries_total=len(names))],
        dead_letters={name: int(bool(name)) for name in names},
        notes=tuple(names),
    )
    found = [_finding(kind, name) for kind in Kind for name in names]
    celery.doctor = replace(FOUND, findings=tuple(found), notes=tuple(names))
    for name in filter(None, names):
        post.letter(name, task=name)


def _worker(name: str) -> Worker:
    held = {"worker": name, "task_id": name, "task_name": name, "queue": name}
    return make_worker(
        name,
        queues=(name,),
        registered=frozenset({name}),
        active=(RunningTask(**held, runtime_seconds=5000.0, limit_seconds=1.0),),
        reserved=(ReservedTask(**held),),
        active_count=1,
        reserved_count=1,
    )


def _entry(name: str) -> ScheduleEntryState:
    return make_entry(name, task=name, queue=name, schedule=name, last_error=name, beat=NAMES["long"])


def _finding(kind: Kind, name: str) -> Finding:
    return Finding(
        code="W201",
        rule="visibility-timeout",
        severity=Severity.WARNING,
        subject=Subject(kind=kind, name=name),
        message=name,
        evidence={name: [name]},
        fix=name,
        docs="docs/doctor/will-bite.md",
    )


@pytest.mark.slow
def test_pages__with_hostile_names(superuser: Client) -> None:
    answers = walk(superuser, PREFIX)

    odd = {
        address: answer.status_code
        for address, answer in answers.items()
        # Resources of the API that have the name in their path cannot have every one.
        if answer.status_code not in (200, 302)
        and "/page/" in address
        # The worker that wrote the letters is there no more.
        and address != f"{PREFIX}page/workers/?name=w1%40test"
    }
    assert odd == {}
    named: dict[str, set[str]] = {}
    for address, answer in answers.items():
        query = QueryDict(urlsplit(address).query)
        for key in ("name", "queue"):
            named.setdefault(kind_of(address).removeprefix(PREFIX), set()).update(query.getlist(key))
        if answer.get("Content-Type", "").startswith("text/html"):
            assert not RAW.findall(body_of(answer)), address
            assert answer.status_code != 200 or faults(body_of(answer)) == [], address
    # Each link came back to the name as it is.
    for page in ("queues", "tasks", "workers", "schedule", "dead-letters"):
        missing = {kind for kind, name in NAMES.items() if name not in named[f"page/{page}/"]}
        # Of the empty name there is no letter.
        assert missing <= ({"empty"} if page == "dead-letters" else set()), page


def test_search__with_hostile_names(superuser: Client) -> None:
    for kind, name in NAMES.items():
        answer = superuser.get(f"{PREFIX}page/search/", {"q": name}, follow=True)

        assert answer.status_code == 200, kind
        page = body_of(answer)
        assert not RAW.findall(page), kind
        if name.strip():
            links = re.findall(
                r'href="([^"]*)"', page.partition('<table id="found"')[2].partition("</table>")[0]
            )
            queries = [QueryDict(urlsplit(html.unescape(link)).query) for link in links]
            assert any(name in (query.get("name"), query.get("queue")) for query in queries), kind


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("queues", "name"),
        ("tasks", "name"),
        ("workers", "name"),
        ("schedule", "name"),
        ("doctor", "rule"),
        ("dead-letters", "queue"),
        ("dead-letters", "id"),
    ],
)
def test_pages__of_nothing_that_is_known(superuser: Client, celery: Celery, page: str, key: str) -> None:
    celery.snapshot = make_snapshot()
    for kind, name in NAMES.items():
        query = {key: f"{name}?"} if key != "id" else {"queue": "celery", "id": name}
        answer = superuser.get(f"{PREFIX}page/{page}/", query)

        assert answer.status_code in (200, 404), (kind, body_of(answer))
        assert 'id="main"' in body_of(answer) and 'id="stop-overview"' in body_of(answer), kind
        assert not RAW.findall(body_of(answer)), kind
