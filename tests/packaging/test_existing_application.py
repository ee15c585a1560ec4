"""What the README and the how-to print for installing, pasted into an application that makes it hard."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.packaging.makefile import ROOT

HOW_TO = (ROOT / "docs/how-to/existing-application.md").read_text()
README = (ROOT / "README.md").read_text()
OURS = "celery_health.middleware.ProbeMiddleware"

APPS = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions")
MIDDLEWARE = ("django.middleware.common.CommonMiddleware",)
#: As settings have them, and whether the API of somebody is there already.
SETTINGS: list[dict[str, Any]] = [
    {"INSTALLED_APPS": list(APPS), "MIDDLEWARE": list(MIDDLEWARE)},
    {"INSTALLED_APPS": APPS, "MIDDLEWARE": MIDDLEWARE},
    {"INSTALLED_APPS": [*APPS, "rest_framework"], "MIDDLEWARE": list(MIDDLEWARE)},
    {"INSTALLED_APPS": (*APPS, "rest_framework"), "MIDDLEWARE": MIDDLEWARE},
]


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def block(name: str) -> str:
    """Return the block of the how-to that is headed by a file's name."""
    (found,) = [block for block in blocks(HOW_TO) if block.startswith(f"# {name}\n")]
    return found


def lines_for_settings() -> list[str]:
    """Return every printed line that sets INSTALLED_APPS or MIDDLEWARE from what is there."""
    lines = [line for text in (README, HOW_TO) for found in blocks(text) for line in found.splitlines()]
    return [line for line in lines if re.match(r"(INSTALLED_APPS|MIDDLEWARE)\b.*\*", line)]


def test_lines__are_those_that_these_tests_try() -> None:
    assert len(lines_for_settings()) == 5
    for text in (README, HOW_TO):
        assert not re.search(r"^(INSTALLED_APPS|MIDDLEWARE|urlpatterns)(\.| \+=)", text, re.MULTILINE)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("line", lines_for_settings())
def test_lines__take_lists_tuples_and_what_is_there(line: str, settings: dict[str, Any]) -> None:
    pasted = dict(settings)
    exec(line, pasted)

    name = line.split()[0]
    assert set(settings[name]) < set(pasted[name])
    assert len(set(pasted[name])) == len(pasted[name])
    assert pasted["INSTALLED_APPS"][-1] == "celery_health" or pasted["MIDDLEWARE"][0] == OURS


@pytest.mark.parametrize("kind", [list, tuple])
def test_lines__put_our_urls_before_one_that_takes_everything(kind: type) -> None:
    everything = "path('<path:rest>', lambda request, rest: None)"
    (readme,) = [line for found in blocks(README) for line in found.splitlines() if "urlpatterns" in line]
    for pasted in (readme, block("urls.py")):
        urls: dict[str, Any] = {"urlpatterns": kind()}
        exec("from django.urls import include, path", urls)
        urls["urlpatterns"] = kind([eval(everything, urls)])
        exec(pasted, urls)

        first, last = urls["urlpatterns"]
        assert first.app_name == "celery_health"
        assert last.pattern.describe() == "'<path:rest>'"


# A whole application ------------------------------------------------------------------------------------

#: It chooses its URLs by host, sends everybody to HTTPS and to its login, and has an API of its own taste.
HOST: dict[str, str] = {
    "shop/__init__.py": "",
    "shop/settings.py": f"""
        SECRET_KEY = "not a secret: tests only"
        ALLOWED_HOSTS = ["shop.example"]
        SECURE_SSL_REDIRECT = True
        USE_TZ = True
        INSTALLED_APPS = {APPS!r}
        MIDDLEWARE = (
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
            "shop.hosts.by_host",
        )
        ROOT_URLCONF = "shop.urls"
        LOGIN_URL = "control:login.form"
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
        PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
        REST_FRAMEWORK = {{
            "DEFAULT_PERMISSION_CLASSES": ["shop.hosts.Nobody"],
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
            "EXCEPTION_HANDLER": "shop.hosts.handle",
        }}
    """,
    "shop/celery_app.py": """
        from celery import Celery

        app = Celery("shop")
        app.config_from_object("django.conf:settings", namespace="CELERY")
    """,
    "shop/hosts.py": """
        from django.http import HttpResponse
        from rest_framework.permissions import BasePermission
        from rest_framework.response import Response

        class Nobody(BasePermission):
            def has_permission(self, request, view):
                return False

        def handle(error, context):
            return Response({"theirs": True}, status=getattr(error, "status_code", 500))

        def by_host(get_response):
            def answer(request):
                request.urlconf = "shop.tenant_urls"
                return get_response(request)
            return answer
    """,
    "shop/tenant_urls.py": """
        urlpatterns = []
    """,
    "shop/urls.py": """
        from django.http import HttpResponse
        from django.urls import path

        urlpatterns = [path("<path:rest>", lambda request, rest: HttpResponse("theirs"))]
    """,
}
#: Asks for paths as a client from elsewhere would.
ASK = """
    import base64, json, sys
    import django
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_superuser("root", "", "secret")
    basic = "Basic " + base64.b64encode(b"root:secret").decode()
    found = {}
    for who, path in json.loads(sys.argv[1]):
        more = {"HTTP_AUTHORIZATION": basic} if who else {}
        got = Client().get(path, headers={"Host": "10.0.0.7:8000", "Accept": "text/html"}, **more)
        found[f"{who}{path}"] = [got.status_code, got.headers.get("Content-Type", "").partition(";")[0]]
    print(json.dumps(found))
"""
PREFIX = "/api/celery/"


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Write the application, and beside it what the how-to says."""
    (tmp_path / "shop").mkdir()
    for name, text in HOST.items():
        (tmp_path / name).write_text(dedent(text))
    app = re.search(r'CELERY_HEALTH = \{"CELERY_APP".*\}', HOW_TO)
    urlconf = re.search(r'ROOT_URLCONF = "shop_urls"', HOW_TO)
    assert app and urlconf
    more = f"{app[0]}\n{urlconf[0]}\n"
    (tmp_path / "shop_settings.py").write_text(block("shop_settings.py") + more)
    for name in ("shop_urls.py", "health_settings.py", "health_urls.py"):
        (tmp_path / name).write_text(block(name))
    return tmp_path


def ask(application: Path, settings: str, *questions: tuple[str, str]) -> dict[str, tuple[int, str]]:
    path = os.pathsep.join((str(application), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", dedent(ASK), json.dumps(questions)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {name: (status, kind) for name, (status, kind) in json.loads(done.stdout).items()}


def test_application__probes_are_answered_whatever_its_urls_and_hosts_are(application: Path) -> None:
    answers = ask(application, "shop_settings", ("", f"{PREFIX}live"), ("", f"{PREFIX}health/"))

    assert answers[f"{PREFIX}live"] == (200, "application/json")
    # As all else is there that is asked for under the machine's address.
    assert answers[f"{PREFIX}health/"][0] == 400


def test_application__a_web_process_of_its_own_answers_the_rest(application: Path) -> None:
    answers = ask(
        application,
        "health_settings",
        *[("", f"{PREFIX}{name}") for name in ("health/", "metrics/", "tasks/", "")],
        *[("root", f"{PREFIX}{name}") for name in ("tasks/", "")],
    )

    assert answers == {
        # A browser gets JSON where the browsable API is not installed; 503: nothing listens at the broker.
        f"{PREFIX}health/": (503, "application/json"),
        f"{PREFIX}metrics/": (200, "text/plain"),
        # It asks for name and password.
        f"{PREFIX}tasks/": (401, "application/json"),
        PREFIX: (401, "text/html"),
        f"root{PREFIX}tasks/": (200, "application/json"),
        f"root{PREFIX}": (200, "text/html"),
    }
