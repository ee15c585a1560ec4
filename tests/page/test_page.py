"""The status page: who gets it, what stands on it, and that nothing on it is more than text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.test import Client, override_settings
from django.urls import path, reverse
from rest_framework.authentication import BasicAuthentication

from celery_health import urls
from celery_health.conf import get_settings
from celery_health.exceptions import ConfigurationError, DeadlineExceeded
from celery_health.health import judge
from celery_health.page import overview, queues, tasks
from celery_health.page.blocks import MOST_ON_OVERVIEW, MOST_ROWS, Table
from celery_health.page.brief import Brief
from celery_health.page.counts import Counts
from celery_health.page.files import files, version
from celery_health.page.links import Links
from celery_health.page.views import OverviewPage
from celery_health.records import (
    BeatState,
    HealthReport,
    InspectionState,
    RunningTask,
    Snapshot,
    Source,
    StoreState,
    TaskOutcomes,
    WorkerState,
)
from celery_health.testing import make_beat, make_entry, make_queue, make_snapshot, make_worker
from tests.api.conftest import FOUND, PREFIX, RANKS, Celery

#: What a hostile name may hold, and how nothing of it may come out.
HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e{{ x }}"
RAW = ("<script>alert", "\x1b", "\u202e", "</td><script")


def body(client: Client, **parameters: str) -> str:
    response = client.get(PREFIX, parameters)
    assert response.status_code == 200
    return response.content.decode()


def rows(page: str, table: str) -> list[list[str]]:
    """Return the text of each cell of a table, without its head."""
    found = re.search(rf'<table id="{table}"[^>]*>.*?<tbody[^>]*>(.*?)</tbody>', page, flags=re.DOTALL)
    assert found is not None, page
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", found[1], flags=re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line, flags=re.DOTALL) for line in lines]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in line] for line in cells]


def problems(page: str) -> list[str]:
    """Return the text of each thing that is wrong."""
    found = re.findall(r'<li class="[^"]*" id="problem-[^"]*">(.*?)</li>', page, flags=re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in found]


# Who gets it


@pytest.mark.parametrize("rank", RANKS)
def test_page__is_for_staff(client_of: Callable[[str], Client], celery: Celery, rank: str) -> None:
    response = client_of(rank).get(PREFIX)

    admitted = rank in ("staff", "superuser")
    assert response.status_code == (200 if admitted else 403)
    assert response["Content-Type"].startswith("text/html")
    assert response["Cache-Control"] == "no-store"
    assert bool(celery.asked) is admitted


@pytest.mark.parametrize("part", ["content", "doctor"])
def test_page__parts_are_for_staff_and_never_a_login(
    client_of: Callable[[str], Client], celery: Celery, part: str
) -> None:
    with override_settings(ROOT_URLCONF=Admin):
        response = client_of("anonymous").get(PREFIX, {"part": part})

    assert response.status_code == 403
    assert "X-Celery-Health-Part" not in response
    assert celery.asked == 0


class Admin:
    """URLs with something that is called like the admin's login."""

    app_name = "admin"
    login = path("login/", lambda request: None, name="login")  # type: ignore[arg-type,return-value]
    urlpatterns = [
        path("somewhere/", ([login], "admin", "admin")),
        path("api/celery/", (urls.urlpatterns, "celery_health", "celery_health")),
    ]


@override_settings(ROOT_URLCONF=Admin)
def test_page__sends_the_anonymous_to_the_admins_login(
    client_of: Callable[[str], Client], celery: Celery
) -> None:
    response = client_of("anonymous").get(PREFIX)

    address = urlsplit(response["Location"])
    assert (response.status_code, address.path) == (302, "/somewhere/login/")
    assert parse_qs(address.query) == {"next": [PREFIX]}
    # Who is logged in, and not on the staff, would only come back.
    assert client_of("user").get(PREFIX).status_code == 403


@override_settings(LOGIN_URL="/empty/")
def test_page__without_an_admin_it_is_the_projects_login(
    client_of: Callable[[str], Client], celery: Celery
) -> None:
    assert client_of("anonymous").get(PREFIX)["Location"].startswith("/empty/?next=")


@pytest.mark.parametrize(
    ("login_url", "address"),
    [
        # A query of its own stays.
        ("/empty/?tenant=a", f"/empty/?tenant=a&next={PREFIX}"),
        # Another host is told which one to come back to.
        ("https://sso.example.com/in", f"https://sso.example.com/in?next=http%3A//testserver{PREFIX}"),
        # Nothing is there.
        ("/nowhere/", None),
        (None, None),
        # The name of a URL that this process does not have: Django takes those with a dot for addresses.
        ("control:auth.login", None),
        ("accounts.login", None),
        ("nowhere", None),
    ],
)
def test_page__the_way_to_the_login(
    client_of: Callable[[str], Client], celery: Celery, login_url: str | None, address: str | None
) -> None:
    with override_settings(LOGIN_URL=login_url):
        response = client_of("anonymous").get(PREFIX)

    assert response.status_code == (302 if address else 403)
    assert response.get("Location") == address


@override_settings(
    ROOT_URLCONF=Admin,
    LOGIN_URL="https://sso.example.com/in",
    CELERY_HEALTH={"PERMISSIONS": {"page": "rest_framework.permissions.IsAuthenticated"}},
)
def test_page__of_everybody_logged_in_sends_them_where_everybody_can(
    client_of: Callable[[str], Client], celery: Celery
) -> None:
    assert client_of("anonymous").get(PREFIX)["Location"].startswith("https://sso.example.com/in?")
    assert client_of("user").get(PREFIX).status_code == 200


def test_page__asks_for_a_password_where_the_api_takes_one(
    client_of: Callable[[str], Client], celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OverviewPage, "authentication_classes", [BasicAuthentication])

    response = client_of("anonymous").get(PREFIX)

    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Basic realm="api"')


class Twice:
    """The app included twice."""

    urlpatterns = [
        path("first/", (urls.urlpatterns, "celery_health", "one")),
        path("second/celery/", (urls.urlpatterns, "celery_health", "two")),
    ]


@pytest.mark.parametrize("prefix", ["/first/", "/second/celery/"])
def test_page__links_to_its_own_resources(staff: Client, celery: Celery, prefix: str) -> None:
    with override_settings(ROOT_URLCONF=Twice):
        page = staff.get(prefix).content.decode()
        addresses = {urljoin(prefix, found) for found in re.findall(r'href="([^"#]*/[^"]*)"', page)}

        assert f"{prefix}workers/?format=json" in addresses
        assert {staff.get(address).status_code for address in addresses} == {200}


@override_settings(TEMPLATES=[])
@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
def test_page__needs_no_templates_of_the_project(staff: Client, celery: Celery, method: str) -> None:
    response = getattr(staff, method)(PREFIX, headers={"Accept": "text/html"})

    assert response.status_code == (405 if method == "post" else 200)


@override_settings(REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": []})
def test_page__takes_the_session_where_the_api_takes_none(staff: Client, celery: Celery) -> None:
    assert staff.get(PREFIX).status_code == 200


@override_settings(CELERY_HEALTH={"PERMISSIONS": {"page": "rest_framework.permissions.AllowAny"}})
def test_page__of_anyone_asks_the_database_nothing(celery: Celery, broken_database: None) -> None:
    assert Client().get(PREFIX).status_code == 200


def test_page__name() -> None:
    assert reverse("celery_health:page") == PREFIX


# What stands on it


def test_page__says_the_verdict_why_and_what_to_do(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(
        workers=[make_worker("w1@host", active_count=1, queues=("emails",))],
        queues=[make_queue("emails", ready=1204, consumers=1)],
    )

    page = body(staff)

    assert "<title>not updated · degraded at " in page
    assert 'data-title="degraded · ' in page
    assert 'class="verdict warn"' in page
    assert problems(page)[0].startswith("warn Queue &#x27;emails&#x27; holds")
    assert "celery -A proj worker -Q emails" in page
    assert rows(page, "queues")[0][:2] == ["emails", "1,204"]
    assert rows(page, "workers")[0][0] == "w1@host"


def test_page__what_is_not_known_is_no_zero(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(
        workers=[make_worker("w@host", state=WorkerState.UNKNOWN, active_count=None, queues=None)],
        queues=[make_queue("celery", ready=None)],
    )

    page = body(staff)

    assert "Nothing is known now of celery." not in page  # it has a consumer
    assert rows(page, "queues")[0][1] == "?"
    assert "Whether they live is not known: w@host." in page
    assert "? of 4" in rows(staff.get(f"{PREFIX}page/workers/").content.decode(), "workers")[0][2]
    assert "It is not known what runs." in staff.get(f"{PREFIX}page/tasks/").content.decode()


def test_page__parts_are_what_the_page_holds(staff: Client, celery: Celery) -> None:
    part = staff.get(PREFIX, {"part": "content"})

    assert part["X-Celery-Health-Part"] == "content"
    assert part.content.decode().strip() in body(staff)


def test_page__shows_the_doctors_findings(staff: Client, celery: Celery) -> None:
    response = staff.get(PREFIX, {"part": "doctor"})

    page = response.content.decode()
    assert response["X-Celery-Health-Part"] == "doctor"
    assert "E101" in page and "Set the entry&#x27;s task to" in page
    assert "<dt>nearest</dt><dd>accounts.tasks.sync_accounts</dd>" in page
    celery.doctor = replace(FOUND, findings=())
    assert "Nothing found." in body(staff, part="doctor")
    celery.doctor = replace(FOUND, findings=(), unanswered="The broker answers, and no worker is there.")
    page = body(staff, part="doctor")
    assert "Nothing found." not in page
    assert "The broker answers, and no worker is there." in page


def test_page__shows_hostile_names_as_text(staff: Client, celery: Celery) -> None:
    running = RunningTask(
        worker=HOSTILE, task_id=HOSTILE, task_name=HOSTILE, queue=HOSTILE, runtime_seconds=3.0
    )
    entry = make_entry(HOSTILE, task=HOSTILE, schedule=HOSTILE)
    celery.snapshot = make_snapshot(
        workers=[make_worker(HOSTILE, queues=(HOSTILE,), active=(running,), active_count=1)],
        queues=[make_queue(HOSTILE, ready=5000)],
        recent={HOSTILE: TaskOutcomes(failed=20, unknown=2)},
        beats=[make_beat(HOSTILE, state=BeatState.OK, entries=(entry,))],
        dead_letters={HOSTILE: 500},
    )
    finding = replace(FOUND.findings[0], message=HOSTILE, fix=HOSTILE, evidence={HOSTILE: [HOSTILE]})
    celery.doctor = replace(FOUND, findings=(finding,), notes=(HOSTILE,))

    for page in (body(staff), body(staff, part="content"), body(staff, part="doctor")):
        assert "&lt;script&gt;alert(1)" in page
        assert not [raw for raw in RAW if raw in page]
        assert "{{ x }}" in page


def test_page__allows_no_script_but_its_own(staff: Client, celery: Celery) -> None:
    response = staff.get(PREFIX)

    page = response.content.decode()
    # In the page: middlewares of projects merge and replace policies in headers.
    assert "Content-Security-Policy" not in response
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert page.index("Content-Security-Policy") < page.index("<link")
    assert not re.findall(r"<style|style=|<script(?! src=)|\son[a-z]+=", page)
    # Until its script says otherwise, the page is one that nobody keeps up to date.
    assert '<body class="is-stale"' in page
    assert "<title>not updated · healthy at " in page


def test_page__without_a_script_is_reloaded(staff: Client, celery: Celery) -> None:
    page = body(staff)

    assert '<noscript><meta http-equiv="refresh" content="30">' in page


def test_page__its_files_need_no_login(client_of: Callable[[str], Client], broken_database: None) -> None:
    addresses = {urljoin(PREFIX, Links().file(version(), name)) for name in files()}
    answers = [Client().get(address) for address in addresses]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer["Cache-Control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    assert {answer["Content-Type"].partition(";")[0] for answer in answers} == {
        "text/css", "text/javascript", "image/svg+xml",
    }  # fmt: skip
    # A page of another version gets what there is, and nobody keeps that.
    assert Client().get(f"{PREFIX}page/files/old/page.js")["Cache-Control"] == "no-store"
    assert Client().get(f"{PREFIX}page/files/{version()}/views.py").status_code == 404
    assert Client().post(f"{PREFIX}page/files/{version()}/page.js").status_code == 405


def test_page__passwords_are_masked(staff: Client, celery: Celery) -> None:
    celery.error = DeadlineExceeded("redis://:hunter22@db/0 did not answer.")

    response = staff.get(PREFIX, {"part": "doctor"})

    assert response.status_code == 503
    assert "hunter22" not in response.content.decode()


def test_page__configuration_error_says_the_fix(staff: Client, celery: Celery) -> None:
    celery.error = ConfigurationError("DEADLINE is <b>'soon'</b>: set seconds.")

    response = staff.get(PREFIX)

    page = response.content.decode()
    assert response.status_code == 500
    assert "DEADLINE is &lt;b&gt;&#x27;soon&#x27;&lt;/b&gt;: set seconds." in page
    assert "healthy" not in page


@pytest.mark.parametrize("parameters", [{"part": "all"}, {"prt": "doctor"}, {"worker": "w"}])
def test_page__unknown_parameters_are_refused(
    staff: Client, celery: Celery, parameters: dict[str, Any]
) -> None:
    response = staff.get(PREFIX, parameters)

    assert response.status_code == 400
    assert next(iter(parameters)) in response.content.decode()
    assert celery.asked == 0


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_page__is_only_read(staff: Client, celery: Celery, method: str) -> None:
    assert getattr(staff, method)(PREFIX).status_code == 405


# The tables


def report_of(snapshot: Snapshot) -> HealthReport:
    return judge(snapshot, get_settings())


def table_of(snapshot: Snapshot, table_id: str) -> Table:
    page = overview.page(report_of(snapshot), Links(), Counts())
    return next(block for block in page.blocks if isinstance(block, Table) and block.id == table_id)


def brief_of(snapshot: Snapshot, block_id: str) -> str:
    page = overview.page(report_of(snapshot), Links(), Counts())
    return next(one.says.text for one in page.blocks if isinstance(one, Brief) and one.id == block_id)


def column(table: Table, number: int) -> list[str]:
    return [row.cells[number].text for row in table.rows]


def test_page__shows_what_the_reading_skipped(staff: Client, celery: Celery) -> None:
    celery.snapshot = make_snapshot(notes=("One record of <b>\x1b[2J was skipped.",))

    assert "One record of &lt;b&gt;\\x1b[2J was skipped." in body(staff)


def test_workers__those_that_worry_come_first_and_the_departed_last() -> None:
    workers = [
        make_worker("a", state=WorkerState.GONE, said_goodbye=True),
        make_worker("b"),
        make_worker("c", state=WorkerState.UNKNOWN),
        make_worker("d", state=WorkerState.STUCK),
        make_worker("e", state=WorkerState.GONE),
    ]

    assert column(table_of(make_snapshot(workers=workers), "workers"), 0) == ["d", "e", "c", "b", "a"]


def test_queues__what_is_not_known_or_not_consumed_comes_first() -> None:
    queues = [
        make_queue("full", ready=9, consumers=1),
        make_queue("deserted", ready=0, consumers=0, expected_by=("setting",)),
        make_queue("unread", ready=None),
    ]

    assert column(table_of(make_snapshot(queues=queues), "queues"), 0) == ["unread", "deserted", "full"]


def test_tables__bound_their_rows_and_say_how_many_more() -> None:
    found = make_snapshot(queues=[make_queue(f"q{n:03}") for n in range(MOST_ROWS + 7)])
    all_of_them = queues.queues(report_of(found), Links())
    few = table_of(found, "queues")

    assert (len(all_of_them.rows), all_of_them.left_out) == (MOST_ROWS, 7)
    assert (len(few.rows), few.left_out) == (MOST_ON_OVERVIEW, MOST_ROWS + 7 - MOST_ON_OVERVIEW)


TASK = RunningTask(worker="w", task_id="1", task_name="t", runtime_seconds=3.0)
IDLE: dict[str, Any] = {"active_count": 0, "source": Source.HEARTBEATS}


@pytest.mark.parametrize(
    ("workers", "names", "left_out", "text"),
    [
        ([make_worker("w", **IDLE)], [], 0, "No task is running."),
        # A worker names fewer tasks than it runs.
        ([make_worker("w", **{**IDLE, "active": (TASK,), "active_count": 300})], ["t"], 299, ""),
        # One that is gone runs nothing any more, whatever it said last.
        (
            [
                make_worker("w", **IDLE),
                make_worker("x", state=WorkerState.GONE, active=(TASK,)),
            ],
            [],
            0,
            "No task is running.",
        ),
        # One that is silent may run anything.
        (
            [make_worker("w", **IDLE), make_worker("x", state=WorkerState.UNKNOWN, active_count=None)],
            [],
            0,
            "It is not known what runs.",
        ),
        ([], [], 0, "It is not known what runs."),
    ],
)
def test_running__is_what_runs_now(workers: list[Any], names: list[str], left_out: int, text: str) -> None:
    running = tasks.running(make_snapshot(workers=workers, inspection=InspectionState()), Links())

    assert column(running, 0) == names
    assert running.left_out == left_out
    assert names or running.empty == text


def test_tasks__say_why_it_is_not_known() -> None:
    down = StoreState(configured=True, reachable=False, error="ConnectionError: refused")

    assert "no store" in brief_of(make_snapshot(store=StoreState(configured=False)), "tasks")
    assert "ConnectionError: refused" in brief_of(make_snapshot(store=down), "tasks")


def test_schedule__counts_the_entries_that_beat_does_not_list() -> None:
    entries = (make_entry("late", overdue_seconds=90.0), make_entry("broken", last_error="ValueError: no"))
    beat = make_beat(entries=entries, entries_total=2500)

    schedule = table_of(make_snapshot(beats=[beat]), "schedule")

    assert column(schedule, 0) == ["late", "broken"]
    assert column(schedule, 6) == ["", "ValueError: no"]
    assert schedule.left_out == 2498
