"""What anyone is told of errors, on every path and on the exporter's: what ``HEALTH_DETAILS`` allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.test import Client

from celery_health.exceptions import BrokerError, ConfigurationError, UnsupportedError
from celery_health.management.scraping import application
from tests.api.conftest import PREFIX, Celery

#: What no stranger may see: it stands in the settings, or in the error of a broker.
INSIDE = "inside.example"
STAFF = {"HEALTH_DETAILS": "staff"}
ANYONE = "rest_framework.permissions.AllowAny"

WRONG: list[Mapping[str, Any]] = [
    {"STORE_URL": INSIDE},
    {"LIMITS": {INSIDE: 1}},
    {"PERMISSIONS": {"health": f"{INSIDE}.Class", "metrics": ANYONE, "read": f"{INSIDE}.Class"}},
    {"PERMISSIONS": {"metrics": f"{INSIDE}.Class", "page": f"{INSIDE}.Class", "write": f"{INSIDE}.Class"}},
    {"CELERY_APP": f"{INSIDE}:app"},
]
PATHS = (
    "", "health/", "ready/", "ready/?strict=1", "metrics/", "tasks/", "stats/", "workers/", "queues/",
    "schedule/", "doctor/", "dead-letters/", "dead-letters/q/", "live/",
)  # fmt: skip
WRITING = ("dead-letters/q/purge/", "dead-letters/q/requeue/")


def scrape() -> str:
    """Return what the exporter answers whoever reaches its port."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}
    return b"".join(application(environ, lambda status, headers: None)).decode()


def answers(client: Client) -> dict[str, str]:
    found = {path: client.get(PREFIX + path).content.decode() for path in PATHS}
    found |= {path: client.post(PREFIX + path).content.decode() for path in WRITING}
    return {**found, "exporter": scrape()}


@pytest.mark.parametrize("wrong", WRONG)
def test_details__of_wrong_settings(client_of: Callable[[str], Client], settings: Any, wrong: Any) -> None:
    client = client_of("anonymous")

    settings.CELERY_HEALTH = {**wrong, **STAFF}
    assert {path: text for path, text in answers(client).items() if INSIDE in text} == {}
    # Who did not ask for that is told how to put it right, where it is wrong.
    settings.CELERY_HEALTH = dict(wrong)
    assert any(INSIDE in text for text in answers(client).values())


def test_details__of_a_setting_that_is_no_value_of_it(client: Client, settings: Any) -> None:
    settings.CELERY_HEALTH = {"HEALTH_DETAILS": "Staff", "STORE_URL": INSIDE}

    assert {path: text for path, text in answers(client).items() if "Staff" in text or INSIDE in text} == {}


@pytest.mark.parametrize("error", [ConfigurationError, BrokerError, UnsupportedError])
@pytest.mark.parametrize("path", ["health/", "ready/", "ready/?strict=1"])
def test_details__of_a_broker(
    client_of: Callable[[str], Client], celery: Celery, settings: Any, error: Any, path: str
) -> None:
    settings.CELERY_HEALTH = STAFF
    celery.error = error(f"At {INSIDE}.")

    assert INSIDE not in client_of("anonymous").get(PREFIX + path).content.decode()
    assert INSIDE not in client_of("user").get(PREFIX + path).content.decode()
    if path == "health/":
        assert INSIDE in client_of("staff").get(PREFIX + path).content.decode()
    settings.CELERY_HEALTH = {}
    assert INSIDE in client_of("anonymous").get(PREFIX + path).content.decode() or "strict" in path


@pytest.mark.parametrize("permission", ["IsAuthenticated", "AllowAny"])
def test_details__of_the_metrics(
    client_of: Callable[[str], Client], settings: Any, monkeypatch: pytest.MonkeyPatch, permission: str
) -> None:
    def fail(*args: Any) -> Any:
        raise ConfigurationError(f"At {INSIDE}.")

    monkeypatch.setattr("celery_health.api.metrics.answer", fail)
    settings.CELERY_HEALTH = {
        **STAFF, "PERMISSIONS": {"metrics": f"rest_framework.permissions.{permission}"},
    }  # fmt: skip
    for rank in ("anonymous", "user", "staff"):
        shown = INSIDE in client_of(rank).get(PREFIX + "metrics/").content.decode()
        # Where anyone may scrape, nobody is asked who they are: no session is touched.
        assert shown == (rank == "staff" and permission == "IsAuthenticated"), rank
