"""``live/`` and ``ready/``: plain, quick, and without anything that may be down."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.test import Client, override_settings

from celery_health.exceptions import ConfigurationError, RefusedError
from celery_health.records import BrokerState
from celery_health.testing import make_queue, make_snapshot
from tests.api.conftest import PREFIX, Celery

LIVE, READY = PREFIX + "live/", PREFIX + "ready/"

DEGRADED = make_snapshot(queues=[make_queue("emails", ready=1204)])
DOWN = make_snapshot(
    workers=[],
    broker=BrokerState(
        transport="redis",
        url="redis://db",
        reachable=False,
        error="No answer from redis://:pa55word@db in time",
    ),
)


@pytest.mark.parametrize("method", ["get", "head"])
def test_live__asks_nobody(client: Client, celery: Celery, method: str) -> None:
    celery.snapshot = DOWN

    response = getattr(client, method)(LIVE)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert celery.asked == 0
    if method == "get":
        assert response.json() == {"status": "alive"}


def test_live__needs_no_settings(client: Client) -> None:
    with override_settings(CELERY_HEALTH={"nonsense": 1}):
        assert client.get(LIVE).status_code == 200


@pytest.mark.parametrize(
    ("who", "noted"),
    [
        ("always", "Whether the broker answers is not known. This process is still importing (for 1.9 s)."),
        ("staff", "Whether the broker answers is not known."),
    ],
)
@pytest.mark.parametrize("query", ["", "?strict=1"])
def test_ready__a_process_that_is_late_itself_stays_ready(
    client: Client, celery: Celery, who: str, noted: str, query: str
) -> None:
    late = "This process is still importing (for 1.9 s)."
    broker = BrokerState(transport="redis", url="redis://db", late=late)
    celery.snapshot = make_snapshot(workers=[], broker=broker)

    with override_settings(CELERY_HEALTH={"HEALTH_DETAILS": who}):
        response = client.get(READY + query)

    assert (response.status_code, response.json()) == (200, {"status": "ready", "notes": [noted]})


@pytest.mark.parametrize(
    ("who", "noted"), [("always", "The backend is away."), ("staff", "Results cannot be stored.")]
)
def test_ready__results_that_cannot_be_stored_are_named_and_keep_nobody_away(
    client: Client, celery: Celery, who: str, noted: str
) -> None:
    celery.results = "The backend is away."
    with override_settings(CELERY_HEALTH={"HEALTH_DETAILS": who}):
        response = client.get(READY)
    assert (response.status_code, response.json()) == (200, {"status": "ready", "notes": [noted]})


@pytest.mark.parametrize("method", ["get", "head"])
def test_ready__broker_answers(client: Client, celery: Celery, method: str) -> None:
    response = getattr(client, method)(READY)

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    if method == "get":
        assert response.json() == {"status": "ready"}


def test_ready__without_strict_takes_no_verdict(client: Client, celery: Celery) -> None:
    celery.snapshot = DEGRADED

    assert client.get(READY).status_code == 200
    assert celery.asked == 0


def test_ready__strict_takes_the_verdict(client: Client, celery: Celery) -> None:
    assert client.get(READY + "?strict=1").json() == {"status": "ready"}

    celery.snapshot = DEGRADED
    response = client.get(READY + "?strict=1")

    assert response.status_code == 503
    assert response.json() == {
        "status": "not_ready",
        "error": "The verdict is 'degraded'; strict needs 'healthy'.",
        "verdict": "degraded",
        "recommendations": [
            "Queue 'emails' holds 1204 tasks (limit 1000). Add workers: celery -A proj worker -Q emails"
        ],
    }


def test_ready__broker_down(client: Client, celery: Celery, caplog: pytest.LogCaptureFixture) -> None:
    celery.snapshot = DOWN

    response = client.get(READY)

    assert response.status_code == 503
    assert response["Cache-Control"] == "no-store"
    assert response.json() == {
        "status": "not_ready",
        "error": "No answer from redis://:**@db in time",
    }
    assert caplog.records == []


@override_settings(CELERY_HEALTH={"HEALTH_DETAILS": "staff"})
def test_ready__details_staff_hides_them(client: Client, celery: Celery) -> None:
    celery.snapshot = DEGRADED
    assert set(client.get(READY + "?strict=1").json()) == {"status", "error", "verdict"}

    celery.snapshot = DOWN
    response = client.get(READY)

    assert response.status_code == 503
    assert response.json() == {"status": "not_ready", "error": "The broker did not answer."}


@pytest.mark.parametrize(
    ("who", "error"),
    [
        ("always", "The broker answers and refuses writes: it is full. Raise maxmemory."),
        ("staff", "The broker refuses writes."),
    ],
)
def test_ready__broker_refuses_writes(client: Client, celery: Celery, who: str, error: str) -> None:
    celery.error = RefusedError("The broker answers and refuses writes: it is full. Raise maxmemory.")

    with override_settings(CELERY_HEALTH={"HEALTH_DETAILS": who}):
        response = client.get(READY)

    assert (response.status_code, response.json()) == (503, {"status": "not_ready", "error": error})


@pytest.mark.parametrize("query", ["?strict=perhaps", "?strikt=1"])
def test_ready__bad_query(client: Client, celery: Celery, query: str) -> None:
    response = client.get(READY + query)

    assert response.status_code == 400
    assert set(response.json()) == {"error", "parameter", "value", "fix"}


def test_ready__configuration_error(client: Client, celery: Celery, caplog: pytest.LogCaptureFixture) -> None:
    celery.error = ConfigurationError("No Celery app is configured. Set CELERY_APP.")

    response = client.get(READY)

    assert response.status_code == 500
    assert response.json() == {"error": "No Celery app is configured. Set CELERY_APP."}
    assert [record.name for record in caplog.records] == ["celery_health.api"]


@pytest.mark.parametrize("path", [LIVE, READY])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_probes__only_read(client: Client, celery: Celery, path: str, method: str) -> None:
    response = getattr(client, method)(path)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


LOGIN_REQUIRED = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]


@pytest.mark.parametrize("path", [LIVE, READY, PREFIX + "health/"])
@override_settings(MIDDLEWARE=LOGIN_REQUIRED)
def test_public_paths__need_no_login(celery: Celery, path: str) -> None:
    assert Client().get("/empty/").status_code == 302
    assert Client().get(path).status_code == 200


@pytest.mark.parametrize("path", [LIVE, READY])
@override_settings(MIDDLEWARE=LOGIN_REQUIRED[:2])
def test_probes__survive_a_dead_database(
    celery: Celery, broken_database: None, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    client = Client()
    client.cookies.load({"sessionid": "of-a-user-of-long-ago"})

    with pytest.raises(OperationalError):
        client.get("/empty/")
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", [LIVE, READY])
def test_probes__ask_the_database_nothing(
    client_of: Any, celery: Celery, django_assert_num_queries: Any, path: str
) -> None:
    client = client_of("staff")

    with django_assert_num_queries(0):
        response = client.get(path)

    assert not response.cookies


IMPORTS = """
import sys
import django
django.setup()
import celery_health.middleware, celery_health.api.probes
print("rest_framework.views" in sys.modules)
"""


def test_probes__import_no_drf() -> None:
    found = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        env={"DJANGO_SETTINGS_MODULE": "tests.project.settings", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert found.stdout.strip() == "False"
