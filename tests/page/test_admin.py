"""The way from ``django.contrib.admin`` to the page: who sees it, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client, override_settings
from django.urls import include, path, set_script_prefix
from rest_framework.permissions import BasePermission

from celery_health import urls
from tests.api.conftest import PREFIX, Celery
from tests.support import ROOT

ENTRY = "/admin/celery_health/statuspage/"
NAME = "Celery: status page"
ADMIN = [
    "django.contrib.admin",
    "django.contrib.messages",
    *[name for name in django_settings.INSTALLED_APPS if name != "celery_health"],
    "celery_health",
]
MIDDLEWARE = [*django_settings.MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


class Urls:
    """The admin, and the page where a test wants it."""

    def __init__(self, *more: Any) -> None:
        self.more = more

    @property
    def urlpatterns(self) -> list[Any]:
        from django.contrib import admin

        return [path("admin/", admin.site.urls), *self.more]


OURS = path(PREFIX[1:], include((urls.urlpatterns, "celery_health")))


@pytest.fixture(autouse=True)
def _admin(db: None) -> Iterator[None]:
    """Install a real admin, with its one table."""
    with override_settings(
        INSTALLED_APPS=ADMIN, MIDDLEWARE=MIDDLEWARE, TEMPLATES=TEMPLATES, ROOT_URLCONF=Urls(OURS)
    ):
        from django.contrib.admin.models import LogEntry

        sql, parameters = connection.schema_editor().table_sql(LogEntry)
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
        yield
        set_script_prefix("/")


def index(client: Client, address: str = "/admin/") -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("rank", ["staff", "superuser"])
def test_admin__leads_to_the_page(client_of: Callable[[str], Client], celery: Celery, rank: str) -> None:
    client = client_of(rank)

    for address in ("/admin/", "/admin/celery_health/"):
        assert f'href="{ENTRY}"' in index(client, address)
        assert NAME in index(client, address)
    answer = client.get(ENTRY, follow=True)
    assert (answer.redirect_chain, answer.status_code) == ([(PREFIX, 302)], 200)
    # No link to add anything, and no address that would ask a table.
    assert f"{ENTRY}add/" not in index(client)
    assert client.get(f"{ENTRY}add/").status_code == 404
    assert client.get(f"{ENTRY}1/change/").status_code == 404


def test_admin__is_where_it_is_used_in_the_sidebar_too(staff: Client) -> None:
    user = staff.get("/admin/auth/user/")  # 403 for this one; the superuser's list has a sidebar
    assert user.status_code == 403
    assert index(staff).count(f'href="{ENTRY}"') >= 2


def test_admin__sends_the_anonymous_to_the_login(client_of: Callable[[str], Client]) -> None:
    assert client_of("anonymous").get(ENTRY)["Location"].startswith("/admin/login/?next=")


class IsOwner(BasePermission):
    """One that only reads pass, and that reads what Django REST framework gives it."""

    def has_permission(self, request: Any, view: Any) -> bool:
        assert view.request is request and request.query_params is not None
        return bool(request.user.is_superuser) and request.method == "GET"


class Broken(BasePermission):
    """One that fails."""

    def has_permission(self, request: Any, view: Any) -> bool:
        raise RuntimeError("no tenant")


@pytest.mark.parametrize(
    ("rank", "permission", "shown"),
    [
        ("staff", "rest_framework.permissions.IsAuthenticated", True),
        ("staff", "rest_framework.permissions.AllowAny", True),
        ("staff", "celery_health.api.permissions.IsSuperuser", False),
        ("superuser", "celery_health.api.permissions.IsSuperuser", True),
        ("superuser", f"{__name__}.IsOwner", True),
        ("staff", f"{__name__}.IsOwner", False),
        # What cannot be found out takes no page of the admin down.
        ("superuser", f"{__name__}.Broken", False),
        ("superuser", "nowhere.Permission", False),
    ],
)
def test_admin__shows_it_to_those_who_may_see_the_page(
    client_of: Callable[[str], Client], celery: Celery, rank: str, permission: str, shown: bool
) -> None:
    with override_settings(CELERY_HEALTH={"PERMISSIONS": {"page": permission}}):
        client = client_of(rank)

        assert (NAME in index(client)) is shown
        assert client.get(ENTRY).status_code == (302 if shown else 403)
        if shown:
            assert client.get(PREFIX).status_code == 200


def test_admin__asks_as_the_page_would_be_read(
    client_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A form that came back with errors is a POST, and has the same sidebar."""
    with override_settings(CELERY_HEALTH={"PERMISSIONS": {"page": f"{__name__}.IsOwner"}}):
        answer = client_of("superuser").post("/admin/auth/group/add/", {"name": ""})

    assert answer.status_code == 200
    assert f'href="{ENTRY}"' in answer.content.decode()


@pytest.mark.parametrize(
    ("included", "address"),
    [
        # Nothing is included.
        ((), None),
        # Under a name of the project's own, and twice.
        ((path("one/", include((urls.urlpatterns, "celery_health"), namespace="one")),), "/one/"),
        (
            (
                path("one/", include((urls.urlpatterns, "celery_health"), namespace="one")),
                path("two/", include((urls.urlpatterns, "celery_health"), namespace="two")),
            ),
            "/two/",
        ),
        # Below something that nobody here knows.
        ((path("<slug:tenant>/", include((urls.urlpatterns, "celery_health"))),), None),
    ],
)
def test_admin__knows_where_the_page_is(
    staff: Client, celery: Celery, included: tuple[Any, ...], address: str | None
) -> None:
    with override_settings(ROOT_URLCONF=Urls(*included)):
        assert (NAME in index(staff)) is (address is not None)
        answer = staff.get(ENTRY)

    assert answer.status_code == (404 if address is None else 302)
    assert answer.get("Location") == address


def test_admin__below_a_path_of_the_server(staff: Client) -> None:
    set_script_prefix("/ops/")  # a server does, for FORCE_SCRIPT_NAME too; the test client does not
    assert f'href="/ops{ENTRY}"' in index(staff)
    assert staff.get(ENTRY)["Location"] == f"/ops{PREFIX}"


# A project of its own ---------------------------------------------------------------------------------

PROJECT = """
import sys
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig

SECRET_KEY = "x"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "project_urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
INSTALLED_APPS = [
    ADMIN
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "rest_framework", "celery_health",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
CELERY_HEALTH = {"CELERY_APP": "project_celery"}
"""
CELERY = """
from celery import Celery

app = Celery("project", namespace="CELERY")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
SITES = """
from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig


class OwnSite(AdminSite):
    site_header = "Our own site"


class OwnAdmin(AdminConfig):
    default_site = "project_sites.OwnSite"
"""
URLS = """
from django.apps import apps
from django.urls import include, path

urlpatterns = [path("celery/", include("celery_health.urls"))]
if apps.is_installed("django.contrib.admin"):
    from django.contrib import admin

    urlpatterns.append(path("admin/", admin.site.urls))
"""
LOOK = """
import io, json, sys
import django

django.setup()
at_start = [name for name in sys.modules if name.startswith(("celery_health.", "rest_framework"))]

from django.apps import apps
from django.core.management import call_command
from django.db import connection


def run(*arguments, **options):
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(*arguments, stdout=out, stderr=err, **options)
    except SystemExit as end:
        status = end.code
    return [status, out.getvalue() + err.getvalue()]


checked = run("check", fail_level="INFO")
run("migrate", verbosity=0)
found = {
    "check": checked,
    "changes": run("makemigrations", check_changes=True, dry_run=True),
    "plan": run("migrate", plan=True),
    "tables": [name for name in connection.introspection.table_names() if "celery_health" in name],
    "models": [model.__name__ for model in apps.get_app_config("celery_health").get_models()],
    "admin": "celery_health.admin" in sys.modules,
    "at_start": at_start,
}
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType

found["types"] = ContentType.objects.filter(app_label="celery_health").count()
found["permissions"] = Permission.objects.filter(content_type__app_label="celery_health").count()
if apps.is_installed("django.contrib.admin"):
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/admin/").content.decode()
    found["site"] = "Our own site" in page
    found["entry"] = "Celery: status page" in page
    found["leads to"] = client.get("/admin/celery_health/statuspage/").headers["Location"]
    found["types after"] = ContentType.objects.filter(app_label="celery_health").count()
print(json.dumps(found))
"""


def look(folder: Path, admin: str) -> dict[str, Any]:
    """Return what is there of us in a project that installs `admin`, or no admin."""
    files = {
        "project_settings": PROJECT.replace("ADMIN", f'"{admin}",' if admin else ""),
        "project_celery": CELERY,
        "project_sites": SITES,
        "project_urls": URLS,
    }
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK],
        cwd=folder,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project_settings",
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.live
@pytest.mark.parametrize(
    ("admin", "own_site"), [("django.contrib.admin", False), ("project_sites.OwnAdmin", True), ("", False)]
)
def test_admin__leaves_no_trace_in_a_project(tmp_path: Path, admin: str, own_site: bool) -> None:
    found = look(tmp_path, admin)

    assert found["check"] == [0, "System check identified no issues (0 silenced).\n"]
    assert found["changes"] == [0, "No changes detected\n"]
    assert found["plan"][0] == 0 and "celery_health" not in found["plan"][1]
    assert (found["tables"], found["models"], found["types"], found["permissions"]) == ([], [], 0, 0)
    assert found["admin"] is bool(admin)
    # The admin loads it in every process, workers too: it brings nothing along.
    brought = ("rest_framework.views", "celery_health.api", "celery_health.page")
    assert not [name for name in found["at_start"] if name.startswith(brought)]
    if admin:
        assert (found["site"], found["entry"], found["leads to"]) == (own_site, True, "/celery/")
        assert found["types after"] == 0
