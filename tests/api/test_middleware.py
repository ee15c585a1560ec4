"""``ProbeMiddleware``, placed first, before everything that sends a kubelet away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import include, path, set_script_prefix

from celery_health.api import probes
from celery_health.middleware import ProbeMiddleware, probe_paths
from tests.api.conftest import PREFIX, Celery

LIVE, READY = PREFIX + "live/", PREFIX + "ready/"
HOSTILE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
FIRST = ["celery_health.middleware.ProbeMiddleware", *HOSTILE]
#: What a kubelet sends: the pod's address as Host, over plain HTTP.
KUBELET: dict[str, Any] = {"headers": {"host": "10.1.2.3:8000", "user-agent": "kube-probe/1.31"}}


@pytest.fixture
def hostile() -> Iterator[None]:
    with override_settings(
        MIDDLEWARE=FIRST, SECURE_SSL_REDIRECT=True, ALLOWED_HOSTS=["shop.example"], DEBUG=False
    ):
        yield


@pytest.mark.parametrize("path", [LIVE, READY])
@pytest.mark.parametrize("method", ["get", "head"])
def test_middleware__answers_probes_first(hostile: None, celery: Celery, path: str, method: str) -> None:
    response = getattr(Client(), method)(path, **KUBELET)

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [LIVE, READY])
def test_middleware__is_what_makes_the_difference(hostile: None, celery: Celery, path: str) -> None:
    with override_settings(MIDDLEWARE=HOSTILE):
        assert Client().get(path, **KUBELET).status_code == 400


@pytest.mark.parametrize("path", [LIVE, READY])
def test_middleware__answers_without_the_last_slash(hostile: None, celery: Celery, path: str) -> None:
    response = Client().get(path.removesuffix("/"), **KUBELET)

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/empty/", PREFIX + "health/", PREFIX + "live/x", PREFIX, "//"])
def test_middleware__leaves_the_rest_to_the_others(hostile: None, celery: Celery, path: str) -> None:
    assert Client().get(path, **KUBELET).status_code == 400


def test_middleware__knows_the_query_and_the_methods(hostile: None, celery: Celery) -> None:
    assert Client().get(READY + "?strict=perhaps", **KUBELET).status_code == 400
    assert "strict" in Client().get(READY + "?strict=perhaps", **KUBELET).json()["error"]
    assert Client().post(LIVE, **KUBELET).status_code == 405


# Where the project includes our URLs


@pytest.fixture
def script_prefix() -> Iterator[Callable[[str], None]]:
    yield set_script_prefix
    set_script_prefix("/")


def test_middleware__is_independent_of_the_script_prefix(
    celery: Celery, script_prefix: Callable[[str], None]
) -> None:
    client = Client()
    with override_settings(MIDDLEWARE=FIRST):
        # The same process may be asked below a proxy's prefix and past it.
        for prefix in ("/shop", "", "/other"):
            assert client.get(LIVE, SCRIPT_NAME=prefix).json() == {"status": "alive"}
    script_prefix("/shop/")
    assert set(probe_paths()) == {LIVE, LIVE[:-1], READY, READY[:-1]}


class Elsewhere:
    urlpatterns = [path("größe of things/", include("celery_health.urls"))]


def test_middleware__finds_any_prefix(celery: Celery) -> None:
    with override_settings(ROOT_URLCONF=Elsewhere, MIDDLEWARE=FIRST):
        assert Client().get("/größe of things/live/").json() == {"status": "alive"}


class Instance:
    urlpatterns = [path("ops/", include(("celery_health.urls", "celery_health"), namespace="ops"))]


def test_middleware__finds_an_instance_namespace(celery: Celery) -> None:
    with override_settings(ROOT_URLCONF=Instance, MIDDLEWARE=FIRST):
        assert Client().get("/ops/ready/").json() == {"status": "ready"}


class Nowhere:
    urlpatterns = [path("empty/", lambda request: HttpResponse("ok"))]


def test_middleware__without_urls_says_so_once_and_harms_nobody(
    celery: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(ROOT_URLCONF=Nowhere, MIDDLEWARE=FIRST[:1]):
        client = Client()
        answers = [client.get("/empty/").status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    (record,) = caplog.records
    assert 'path("api/celery/", include("celery_health.urls"))' in record.getMessage()


# ASGI


@pytest.mark.parametrize("path", [LIVE, READY])
def test_middleware__answers_under_asgi(hostile: None, celery: Celery, path: str) -> None:
    async def ask() -> Any:
        return await AsyncClient().get(path, **KUBELET)

    response = asyncio.run(ask())

    assert response.status_code == 200


def test_middleware__is_async_only_over_async() -> None:
    async def answer_later(request: HttpRequest) -> HttpResponse:
        return HttpResponse("later")

    request = RequestFactory().get("/empty/")
    assert ProbeMiddleware(lambda request: HttpResponse("now"))(request).content == b"now"  # type: ignore[union-attr]
    assert asyncio.run(ProbeMiddleware(answer_later)(request)).content == b"later"  # type: ignore[arg-type]


def test_middleware__ready_does_not_block_the_event_loop(
    celery: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def hang(deadline: object) -> None:
        asked.set()
        assert answer.wait(10)

    monkeypatch.setattr(probes, "check_broker", hang)

    async def ask() -> tuple[int, int]:
        client = AsyncClient()
        ready = asyncio.create_task(client.get(READY))
        while not asked.is_set():
            await asyncio.sleep(0.001)
        live = await client.get(LIVE)
        answer.set()
        return live.status_code, (await ready).status_code

    with override_settings(MIDDLEWARE=FIRST):
        assert asyncio.run(ask()) == (200, 200)
