"""``metrics/``: who may scrape, in which format, and what a scrape touches."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from prometheus_client import CollectorRegistry, generate_latest

from celery_health.counters import STARTED, encode
from celery_health.metrics import scrape
from celery_health.metrics.dialects import rows_of
from celery_health.metrics.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from celery_health.store import Publication, open_store
from tests.metrics_surfaces.scraping import PROMETHEUS_ACCEPT, samples, value

URL = "/api/celery/metrics/"
NAMES = {row.name for row in rows_of(["exporter"])}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Let each test have a collector of its own."""
    yield
    scrape._after_fork()


@pytest.fixture
def stored(redis_url: str) -> Iterator[str]:
    """A store in which three runs were started. Nothing listens at the broker of the test project."""
    with override_settings(CELERY_HEALTH={"STORE_URL": redis_url, "DEADLINE": 1}):
        store = open_store(scrape.get_reader().app, scrape.get_reader().settings)
        assert store is not None
        fields = {encode(STARTED, ("tasks.add", "celery")): 3}
        store.publish(Publication(writer="w", sequence=1, fields=fields))
        store.close()
        yield redis_url


def test_metrics__text(stored: str) -> None:
    response = Client().get(URL)

    assert response.status_code == 200
    assert response["Content-Type"] == TEXT_CONTENT_TYPE
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Accept, Accept-Encoding"
    text = response.content.decode()
    assert value(text, "celery_task_started_total", name="tasks.add", queue_name="celery") == 3
    assert value(text, "celery_health_up") == 1
    assert value(text, "celery_health_store_up") == 1
    assert value(text, "celery_health_status", status="unhealthy") == 1
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == NAMES


ACCEPTS = [
    ("", False),
    ("*/*", False),
    ("text/plain", False),
    ("text/html,application/xhtml+xml,*/*;q=0.8", False),
    (PROMETHEUS_ACCEPT, True),
    ("application/openmetrics-text", True),
    ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", True),
    ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False),
    ("application/openmetrics-text;q=0", False),
    ("application/openmetrics-text;q=x", False),
]


@pytest.mark.parametrize(("accept", "openmetrics"), ACCEPTS)
def test_metrics__format_by_accept(stored: str, accept: str, openmetrics: bool) -> None:
    response = Client().get(URL, headers={"Accept": accept} if accept else {})

    assert response.status_code == 200
    assert response["Content-Type"] == (OPENMETRICS_CONTENT_TYPE if openmetrics else TEXT_CONTENT_TYPE)
    assert response.content.endswith(b"# EOF\n") == openmetrics
    assert samples(response.content.decode())["celery_health_up"] == {(): 1.0}


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_metrics__gzip_by_accept_encoding(stored: str, accepted: str, packed: bool) -> None:
    response = Client().get(URL, headers={"Accept-Encoding": accepted})

    assert response.get("Content-Encoding") == ("gzip" if packed else None)
    assert int(response["Content-Length"]) == len(response.content)
    body = gzip.decompress(response.content) if packed else response.content
    assert value(body.decode(), "celery_health_up") == 1


def test_metrics__nothing_answers_and_the_scrape_does(stored: str) -> None:
    with override_settings(CELERY_HEALTH={"STORE_URL": "redis://127.0.0.1:1/0", "DEADLINE": 1}):
        response = Client().get(URL)

    assert response.status_code == 200
    text = response.content.decode()
    assert value(text, "celery_health_store_up") == 0
    assert "celery_task_started_total" not in samples(text)
    assert value(text, "celery_health_status", status="unhealthy") == 1


def test_metrics__touch_no_database(stored: str, broken_database: None) -> None:
    client = Client()
    client.cookies.load({"sessionid": "of-a-user-of-long-ago"})

    assert client.get(URL).status_code == 200


@override_settings(
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
)
def test_metrics__need_no_login(stored: str) -> None:
    assert Client().get(URL).status_code == 200


@pytest.mark.parametrize(("rank", "status"), [("anonymous", 403), ("user", 403), ("staff", 200)])
def test_metrics__permission(
    client_of: Callable[[str], Client], stored: str, settings: Any, rank: str, status: int
) -> None:
    admin = "rest_framework.permissions.IsAdminUser"
    settings.CELERY_HEALTH = {**settings.CELERY_HEALTH, "PERMISSIONS": {"metrics": admin}}

    assert client_of(rank).get(URL).status_code == status


def test_metrics__only_read(stored: str) -> None:
    response = Client().post(URL)

    assert response.status_code == 405
    assert Client().head(URL).status_code == 200


@override_settings(CELERY_HEALTH={"METRICS_DIALECTS": ["exportr"]})
def test_metrics__wrong_settings_are_500() -> None:
    response = Client().get(URL)

    assert response.status_code == 500
    assert "exportr" in response.json()["error"]


def test_metrics__dialects_and_namespace(stored: str) -> None:
    settings = {
        "STORE_URL": stored,
        "METRICS_DIALECTS": ["background_job", "task_status"],
        "METRICS_NAMESPACE": "shop",
    }
    with override_settings(CELERY_HEALTH=settings):
        text = Client().get(URL).content.decode()

    assert value(text, "shop_background_job_started_total", task_name="tasks.add") == 3
    assert "celery_task_started_total" not in samples(text)


def test_register__shows_the_same_in_a_registry(stored: str) -> None:
    registry = CollectorRegistry()
    registered = scrape.register(registry)

    text = generate_latest(registry).decode()
    assert value(text, "celery_task_started_total", name="tasks.add", queue_name="celery") == 3
    with pytest.raises(ValueError, match="Duplicated"):
        scrape.register(registry)
    registry.unregister(registered)
    scrape.register(registry)
