"""How celery_health is put into a project: what is missing is said, and the line that is printed helps."""

from __future__ import annotations

import re

import pytest

from celery_health import urls
from celery_health.api.unavailable import PATHS
from tests.doctor.shop import Shop

#: What hides an installed package from a process.
HIDDEN = "import sys; sys.modules['rest_framework'] = None; INSTALLED_APPS.remove('rest_framework')\n"
URLS = "from shop.urls import *\nfrom django.urls import include, path\n"

#: State of the project: lines of its settings, and of its URLs → id, and what the hint begins with.
STATES = {
    "no app": ("INSTALLED_APPS.remove('celery_health')", "", "W004", "INSTALLED_APPS += ['celery_health']"),
    "no framework": (HIDDEN, "", "W005", "pip install djangorestframework"),
    "twice": (
        "",
        "urlpatterns += [path('b/', include('celery_health.urls'))]",
        "W006",
        "Take one out, or name it: path('b/', include('celery_health.urls', namespace='celery_health_2'))",
    ),
    "middleware alone": (
        "MIDDLEWARE = ['celery_health.middleware.ProbeMiddleware', *MIDDLEWARE]",
        "urlpatterns = []",
        "W007",
        'In variant_urls: urlpatterns += [path("api/celery/", include("celery_health.urls"))]; or take',
    ),
    "a wrong class": (
        "CELERY_HEALTH['PERMISSIONS'] = {'read': 'rest_framework.permissions.IsAdminUsr'}",
        "",
        "W008",
        "CELERY_HEALTH['PERMISSIONS']['read'] = 'rest_framework.permissions.IsAdminUser'",
    ),
    "a wrong module": (
        "CELERY_HEALTH['PERMISSIONS'] = {'page': 'rest_framework.permission.IsAuthenticated'}",
        "",
        "W008",
        "CELERY_HEALTH['PERMISSIONS']['page'] = 'rest_framework.permissions.IsAuthenticated'",
    ),
    "a module that is nowhere": (
        "CELERY_HEALTH['PERMISSIONS'] = {'page': 'nowhere.Ops'}",
        "",
        "W008",
        "CELERY_HEALTH['PERMISSIONS']['page'] = 'rest_framework.permissions.IsAdminUser'",
    ),
}


def pasted(settings: str, urls: str, hint: str) -> tuple[str, str]:
    """Return settings and URLs as they are once the printed line stands in them."""
    if "sys.modules" in settings:  # what pip brings back
        return "", urls
    if hint.startswith(("INSTALLED_APPS", "CELERY_HEALTH")):
        return f"{settings}\n{hint}", urls
    line = re.search(r"urlpatterns \+= \[.*?\)\)\]|path\('.*'\)\)", hint)
    assert line is not None
    if line[0].startswith("path"):
        return settings, f"urlpatterns += [{line[0]}]"
    return settings, f"{urls}\n{line[0]}"


def checked(shop: Shop, settings: str, urls: str) -> str:
    (shop.folder / "variant_urls.py").write_text(f"{URLS}{urls}\n")
    shop.change("")
    variant = shop.folder / "variant.py"
    variant.write_text(f"{variant.read_text()}\nROOT_URLCONF = 'variant_urls'\n{settings}\n")
    done = shop.manage("check")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("state", STATES)
def test_wiring__is_said_with_a_line_that_puts_it_right(shop: Shop, state: str) -> None:
    settings, urls, code, hint = STATES[state]

    said = checked(shop, settings, urls)

    assert f"(celery_health.{code})" in said, said
    assert f"HINT: {hint}" in said, said
    assert "celery_health.W" not in checked(shop, *pasted(settings, urls, hint))


SOUND = """
INSTALLED_APPS.remove('rest_framework')  # it need be installed with pip alone
CELERY_HEALTH['PERMISSIONS'] = {'read': 'rest_framework.permissions.AllowAny'}
"""
NO_MIDDLEWARE = "MIDDLEWARE = [one for one in MIDDLEWARE if 'celery_health' not in one]"


@pytest.mark.parametrize(("settings", "urls"), [(SOUND, ""), (NO_MIDDLEWARE, "urlpatterns = []")])
def test_wiring__of_sound_projects_is_left_alone(shop: Shop, settings: str, urls: str) -> None:
    assert "celery_health.W" not in checked(shop, settings, urls)


def test_paths__without_the_framework_say_what_to_install(shop: Shop) -> None:
    checked(shop, HIDDEN, "")

    shop.run(
        """
        from django.test import Client
        from django.urls import reverse

        client = Client(SERVER_NAME="localhost")
        for name in ("health", "page", "metrics", "tasks"):
            answer = client.get(reverse(f"celery_health:{name}"))
            assert answer.status_code == 500, answer
            assert "pip install djangorestframework" in answer.json()["error"]
        assert client.get("/api/celery/page/queues/mails/").status_code == 500
        assert client.get(reverse("celery_health:live")).json() == {"status": "alive"}
        """
    )


def test_paths__are_those_of_the_urls() -> None:
    names = {pattern.name for pattern in urls.urlpatterns}

    assert {name for _, name in PATHS} - {"unavailable"} <= names
