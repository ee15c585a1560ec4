"""``health/``: the body field by field, the status codes, who sees what, and what cannot hurt it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connections
from django.test import Client, override_settings

from celery_health.conf import Settings
from celery_health.exceptions import ConfigurationError
from celery_health.health import judge as really_judge
from celery_health.records import AppFacts, BrokerState, HealthReport, InspectionState, Snapshot
from celery_health.testing import make_queue, make_snapshot, make_worker
from tests.api.conftest import PREFIX, Celery

URL = PREFIX + "health/"

HEALTHY = make_snapshot()
DEGRADED = make_snapshot(queues=[make_queue("celery", ready=5), make_queue("emails", ready=1204)])
UNHEALTHY = make_snapshot(workers=[])
DOWN = make_snapshot(
    workers=[],
    queues=[make_queue(ready=None, consumers=None, error="Connection refused")],
    broker=BrokerState(
        transport="redis", url="redis://:**@db:6379/0", reachable=False, error="Connection refused"
    ),
    inspection=InspectionState(),
)


def test_health__healthy_field_by_field(client: Client, celery: Celery) -> None:
    response = client.get(URL)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    body = response.json()
    assert set(body) == {
        "status",
        "workers",
        "queues",
        "recommendations",
        "checks",
        "notes",
        "source",
        "as_of",
        "age_seconds",
    }
    assert body["status"] == "healthy"
    assert body["workers"] == {"healthy": True, "active_workers": ["worker1@host"], "worker_count": 1}
    assert body["queues"] == {"celery": 0}
    assert body["recommendations"] == []
    assert body["source"] == "inspection"
    assert body["as_of"] == "2026-01-28T10:00:00.000Z"
    assert body["age_seconds"] == 0.25


def test_health__degraded_field_by_field(client: Client, celery: Celery) -> None:
    celery.snapshot = DEGRADED

    response = client.get(URL)

    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "degraded"
    assert body["queues"] == {"celery": 5, "emails": 1204}
    assert body["recommendations"] == [
        "Queue 'emails' holds 1204 tasks (limit 1000). Add workers: celery -A proj worker -Q emails"
    ]
    (check,) = [check for check in body["checks"] if check["status"] == "warn"]
    assert check == {
        "id": "queues.depth",
        "status": "warn",
        "subject": "emails",
        "observed": 1204,
        "limit": 1000,
        "unit": "tasks",
        "message": "Queue 'emails' holds 1204 tasks (limit 1000).",
        "recommendation": body["recommendations"][0],
        "because": None,
    }


def test_health__no_worker(client: Client, celery: Celery) -> None:
    celery.snapshot = UNHEALTHY

    response = client.get(URL)

    assert response.status_code == 503
    body = response.json()
    assert body["status"] == "unhealthy"
    assert body["workers"] == {
        "healthy": False,
        "active_workers": [],
        "worker_count": 0,
        "error": "No active Celery workers found",
    }
    assert "celery -A proj worker" in body["recommendations"][0]


def test_health__broker_down_says_minus_one_and_unknown(client: Client, celery: Celery) -> None:
    celery.snapshot = DOWN

    response = client.get(URL)

    assert response.status_code == 503
    body = response.json()
    assert body["queues"] == {"celery": -1}
    assert body["workers"]["healthy"] is None


def test_health__is_judged_once_a_reading_and_aged_each_time(
    client: Client, celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Snapshot] = []

    def judge(snapshot: Snapshot, settings: Settings) -> HealthReport:
        judged.append(snapshot)
        return really_judge(snapshot, settings)

    monkeypatch.setattr("celery_health.health.verdict.judge", judge)
    for reading, snapshot in enumerate((make_snapshot(), replace(DEGRADED)), start=1):
        for age in (0.1, 0.4):
            celery.snapshot, celery.age_seconds = snapshot, age
            assert client.get(URL).json()["age_seconds"] == age
        assert len(judged) == reading
    assert client.get(URL).json()["status"] == "degraded"
    with override_settings(CELERY_HEALTH={"LIMITS": {"depth": 2000}}):
        assert client.get(URL).json()["status"] == "healthy"


STATUS_TABLE = [
    (HEALTHY, "", 200),
    (HEALTHY, "?strict=1", 200),
    (DEGRADED, "", 200),
    (DEGRADED, "?strict=0", 200),
    (DEGRADED, "?strict=1", 503),
    (DEGRADED, "?strict=TRUE", 503),
    (UNHEALTHY, "", 503),
    (UNHEALTHY, "?strict=1", 503),
]


@pytest.mark.parametrize(("snapshot", "query", "status"), STATUS_TABLE)
@pytest.mark.parametrize("method", ["get", "head"])
def test_health__status_codes(
    client: Client, celery: Celery, snapshot: Snapshot, query: str, status: int, method: str
) -> None:
    celery.snapshot = snapshot

    response = getattr(client, method)(URL + query)

    assert response.status_code == status
    assert (method == "head") == (response.content == b"")


BAD_QUERIES = [
    # Neither yes nor no.
    ("?strict=perhaps", "strict", "perhaps", "Give 1 or 0."),
    ("?strict=", "strict", "", "Give 1 or 0."),
    # Which of the two?
    ("?strict=1&strict=0", "strict", "1, 0", "Give it once."),
    # Ignored, these would be a wrong green.
    ("?strct=1", "strct", "1", "There is none of that name: write 'strict'."),
    ("?STRICT=1", "STRICT", "1", "There is none of that name: write 'strict'."),
    ("?format=xml", "format", "xml", "Known: json, api."),
]


@pytest.mark.parametrize(("query", "parameter", "value", "fix"), BAD_QUERIES)
def test_health__bad_query_names_parameter_value_and_fix(
    client: Client, celery: Celery, query: str, parameter: str, value: str, fix: str
) -> None:
    response = client.get(URL + query)

    assert response.status_code == 400
    assert response["Cache-Control"] == "no-store"
    assert response.json() == {
        "error": f"Query parameter {parameter!r} is {value!r}. {fix}",
        "parameter": parameter,
        "value": value,
        "fix": fix,
    }


def test_health__ignores_what_monitors_add(client: Client, celery: Celery) -> None:
    assert client.get(URL + "?_=1769594400&utm_source=pager").status_code == 200


# Representation


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/plain", "image/png", "rubbish;;,/"])
def test_health__answers_json_whatever_is_accepted(client: Client, celery: Celery, accept: str) -> None:
    response = client.get(URL, headers={"accept": accept})

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_health__browsers_get_the_browsable_api_with_everything_escaped(
    client: Client, celery: Celery
) -> None:
    celery.snapshot = make_snapshot(
        queues=[make_queue("<script>alert(1)</script>", ready=2000)], workers=[make_worker("<b>@host")]
    )

    response = client.get(URL, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert response.status_code == 200
    page = response.content.decode()
    assert response["Content-Type"].startswith("text/html")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<b>@host" not in page


# Wrong settings

SECRET_ERROR = ConfigurationError("STORE_URL is 'redis://:hunter22@db/0': set a Redis URL.")


def test_health__configuration_error_is_no_verdict(
    client: Client, celery: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    celery.error = SECRET_ERROR

    answers = [client.get(URL) for _ in range(3)]

    assert [response.status_code for response in answers] == [500, 500, 500]
    assert answers[0].json() == {"error": "STORE_URL is 'redis://:**@db/0': set a Redis URL."}
    # Once, however often a monitor asks; and without the password.
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == answers[0].json()["error"]


@override_settings(CELERY_HEALTH={"DEADLIN": 2})
def test_health__unknown_setting_says_how_to_put_it_right(client: Client, celery: Celery) -> None:
    response = client.get(URL)

    assert response.status_code == 500
    assert "DEADLIN" in response.json()["error"]
    assert "DEADLINE" in response.json()["error"]


@pytest.mark.parametrize("path", ["nonsense.Permission", "os.path", "celery_health.conf.Settings"])
def test_health__permission_that_is_none(client: Client, celery: Celery, path: str) -> None:
    with override_settings(CELERY_HEALTH={"PERMISSIONS": {"health": path}}):
        response = client.get(URL)

    assert response.status_code == 500
    assert f"CELERY_HEALTH['PERMISSIONS']['health'] is {path!r}" in response.json()["error"]
    assert "rest_framework.permissions.IsAdminUser" in response.json()["error"]


# Who sees what


@pytest.mark.parametrize("rank", ["anonymous", "user"])
@override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"})
def test_health__details_staff_hides_them(
    client_of: Callable[[str], Client], celery: Celery, rank: str
) -> None:
    celery.snapshot = DEGRADED

    response = client_of(rank).get(URL)

    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "degraded"
    assert set(body) == {"status", "checks"}
    assert all(set(check) == {"id", "status"} for check in body["checks"])
    assert {"id": "queues.depth", "status": "warn"} in body["checks"]


@pytest.mark.parametrize(("snapshot", "query", "status"), STATUS_TABLE)
@override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"})
def test_health__details_staff_keeps_the_status_code(
    client: Client, celery: Celery, snapshot: Snapshot, query: str, status: int
) -> None:
    celery.snapshot = snapshot

    assert client.get(URL + query).status_code == status


@pytest.mark.parametrize("rank", ["staff", "superuser"])
@override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"})
def test_health__details_staff_shows_them_to_staff(
    client_of: Callable[[str], Client], celery: Celery, rank: str
) -> None:
    celery.snapshot = DEGRADED

    assert client_of(rank).get(URL).json()["queues"] == {"celery": 5, "emails": 1204}


@override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"})
def test_health__details_staff_hides_configuration_errors(client: Client, celery: Celery) -> None:
    celery.error = ConfigurationError("CELERY_APP is 'secret.project:app'.")

    response = client.get(URL)

    assert response.status_code == 500
    assert "secret.project" not in response.content.decode()
    assert "the server's log" in response.json()["error"]


# A dead database


COOKIE = {"sessionid": "of-a-user-of-long-ago"}


@pytest.mark.parametrize("details", ["always", "staff"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_health__survives_a_dead_database(
    celery: Celery, broken_database: None, details: str, accept: str
) -> None:
    client = Client()
    client.cookies.load(COOKIE)

    with override_settings(CELERY_HEALTH={"HEALTH_DETAILS": details}):
        response = client.get(URL, headers={"accept": accept})

    assert response.status_code == 200


def test_health__survives_a_dead_database_under_atomic_requests(
    celery: Celery, monkeypatch: pytest.MonkeyPatch, broken_database: None
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)

    # Any other view fails, or this test would prove nothing.
    with pytest.raises(OperationalError):
        Client().get("/empty/")

    assert Client().get(URL).status_code == 200


def test_health__of_a_signed_in_user_asks_the_database_nothing(
    client_of: Callable[[str], Client], celery: Celery, django_assert_num_queries: Any
) -> None:
    client = client_of("staff")

    with django_assert_num_queries(0):
        response = client.get(URL)

    assert response.status_code == 200
    assert not response.cookies


# The project's own settings of DRF, and Django's log


def test_health__takes_nothing_but_authentication_from_the_project() -> None:
    from celery_health.api.health import HealthView

    assert HealthView.throttle_classes == ()
    assert HealthView.versioning_class is None
    assert [renderer.format for renderer in HealthView.renderer_classes] == ["json", "api"]


@pytest.mark.parametrize(("error", "snapshot"), [(None, UNHEALTHY), (SECRET_ERROR, HEALTHY)])
def test_health__django_logs_no_server_error(
    client: Client,
    celery: Celery,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    snapshot: Snapshot,
) -> None:
    celery.snapshot, celery.error = snapshot, error

    assert client.get(URL).status_code >= 500
    assert [record for record in caplog.records if record.name == "django.request"] == []


def test_health__eager_project_is_unsupported_not_red(client: Client, celery: Celery) -> None:
    celery.snapshot = replace(
        UNHEALTHY, app=AppFacts(app_id="proj", name="proj", always_eager=True), queues=()
    )

    response = client.get(URL)

    assert response.status_code == 200
    assert {check["status"] for check in response.json()["checks"]} == {"unsupported"}


def test_health__forgotten_user_is_anonymous(db: None, celery: Celery) -> None:
    client = Client()
    client.cookies.load(COOKIE)

    with override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"}):
        response = client.get(URL)

    assert response.status_code == 200
    assert set(response.json()) == {"status", "checks"}
    assert not User.objects.exists()
