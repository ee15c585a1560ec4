"""Who may ask what, by which method: each rank against each path, by default and as set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory, override_settings
from django.urls import resolve, reverse
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_health.api.permissions import IsSuperuser
from celery_health.exceptions import ConfigurationError
from tests.api.conftest import PREFIX, RANKS, RESOURCES, Celery

ADMITTED = {"health": RANKS, "read": ("staff", "superuser"), "write": ("superuser",)}


@pytest.mark.parametrize("path", RESOURCES)
def test_urls__have_the_names_of_the_contract(path: str) -> None:
    name = path.removesuffix("/")

    assert reverse(f"celery_health:{name}") == PREFIX + path
    assert resolve(PREFIX + path).view_name == f"celery_health:{name}"


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("path", RESOURCES)
def test_access__by_default(client_of: Callable[[str], Client], celery: Celery, path: str, rank: str) -> None:
    response = client_of(rank).get(PREFIX + path)

    admitted = rank in ADMITTED[RESOURCES[path]]
    assert response.status_code == (200 if admitted else 403)
    assert response["Cache-Control"] == "no-store"
    assert celery.asked == admitted


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("path", RESOURCES)
@override_settings(
    CELERY_HEALTH={
        "PERMISSIONS": {
            "health": "rest_framework.permissions.IsAuthenticated",
            "read": "celery_health.api.permissions.IsSuperuser",
        }
    }
)
def test_access__as_set(client_of: Callable[[str], Client], celery: Celery, path: str, rank: str) -> None:
    admitted = RANKS[1:] if path == "health/" else ("superuser",)

    response = client_of(rank).get(PREFIX + path)

    assert response.status_code == (200 if rank in admitted else 403)


@pytest.mark.parametrize("path", RESOURCES)
@override_settings(CELERY_HEALTH={"PERMISSIONS": {"read": "rest_framework.permissions.AllowAny"}})
def test_access__of_anyone_asks_the_database_nothing(
    celery: Celery, broken_database: None, path: str
) -> None:
    client = Client()
    client.cookies.load({"sessionid": "of-a-user-of-long-ago"})

    assert client.get(PREFIX + path).status_code == 200


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("path", RESOURCES)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_methods__only_read(
    client_of: Callable[[str], Client], celery: Celery, path: str, rank: str, method: str
) -> None:
    response = getattr(client_of(rank), method)(PREFIX + path)

    assert response.status_code == (405 if rank in ADMITTED[RESOURCES[path]] else 403)
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response["Cache-Control"] == "no-store"
    assert celery.asked == 0


@pytest.mark.parametrize("path", RESOURCES)
def test_methods__options_describes(staff: Client, celery: Celery, path: str) -> None:
    response = staff.options(PREFIX + path)

    assert response.status_code == 200
    assert response.json()["name"] == path.removesuffix("/").title()
    assert celery.asked == 0


@pytest.mark.parametrize("path", RESOURCES)
def test_configuration_error__on_every_resource(staff: Client, celery: Celery, path: str) -> None:
    celery.error = ConfigurationError("No Celery app is configured. Set CELERY_APP.")

    response = staff.get(PREFIX + path)

    assert response.status_code == 500
    assert response.json() == {"error": "No Celery app is configured. Set CELERY_APP."}


@pytest.mark.parametrize("path", RESOURCES)
@override_settings(CELERY_HEALTH={"PERMISSIONS": {"raed": "a.B"}})
def test_configuration_error__in_permissions_lets_nobody_in(celery: Celery, path: str) -> None:
    response = Client().get(PREFIX + path)

    assert response.status_code == 500
    assert "raed" in response.json()["error"]
    assert celery.asked == 0


USERS = [
    (AnonymousUser(), False),
    (User(username="user"), False),
    (User(username="staff", is_staff=True), False),
    (User(username="superuser", is_superuser=True), True),
    (User(username="dismissed", is_superuser=True, is_active=False), False),
    # UNAUTHENTICATED_USER may be None.
    (None, False),
]


@pytest.mark.parametrize(("user", "admitted"), USERS)
def test_is_superuser__table(user: Any, admitted: bool) -> None:
    request = Request(RequestFactory().get("/"))
    request.user = user

    assert IsSuperuser().has_permission(request, APIView()) is admitted
