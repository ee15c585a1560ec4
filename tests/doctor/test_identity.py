"""Which app threads have, and which is watched: real projects, before and after the fix is pasted."""

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
import redis

from tests.support import ROOT

APP = """
    import os
    from celery import Celery
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")
    app = Celery("proj")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
"""
FILES = {
    "proj/__init__.py": "from .celery import app as celery_app",
    "proj/celery.py": APP,
    "proj/settings.py": """
        import os
        SECRET_KEY = "x"
        INSTALLED_APPS = ["celery_health", "till"]
        ROOT_URLCONF = "proj.urls"
        USE_TZ = True
        CELERY_BROKER_URL = os.environ["BROKER_URL"]
        CELERY_HEALTH = {}
    """,
    "proj/urls.py": """
        from django.urls import path
        from till import views
        urlpatterns = [path("pay/", views.pay)]
    """,
    "till/__init__.py": "",
    "till/tasks.py": "from celery import shared_task\n@shared_task\ndef pay(): ...",
    "till/views.py": """
        from django.http import HttpResponse
        from till.tasks import pay as task
        def pay(request):
            task.apply_async(retry=False)
            return HttpResponse(b"sent")
    """,
}
#: As a server does: a request is answered in a thread of its own.
REQUEST = """
    import threading
    import django
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import RequestFactory
    django.setup()
    handler = WSGIHandler()
    def answer():
        handler.get_response(RequestFactory().get("/pay/", headers={"host": "localhost"}))
    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
"""


class Site:
    """A small project on disk."""

    def __init__(self, folder: Path, broker_url: str, **changes: str) -> None:
        self.folder, self.broker_url = folder, broker_url
        for name, text in {**FILES, **changes}.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(text))

    def paste(self, name: str, line: str, after: str = "") -> None:
        """Add a line to a file, below the one that begins with `after`."""
        path = self.folder / name
        lines = path.read_text().splitlines()
        at = next((i + 1 for i, one in enumerate(lines) if after and one.startswith(after)), len(lines))
        path.write_text("\n".join([*lines[:at], line, *lines[at:], ""]))

    def python(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project."""
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SETTINGS_MODULE": "proj.settings",
            "BROKER_URL": self.broker_url,
        }
        return subprocess.run(
            [sys.executable, *argv], env=env, cwd=self.folder, capture_output=True, text=True, timeout=60
        )

    def findings(self, settings: str = "proj.settings") -> dict[str, dict[str, Any]]:
        """Return what the doctor finds in code and settings, without hints, by code."""
        done = self.python(
            *("-W", "error", "-m", "django", "celery_health", "doctor", "--static", "--json"),
            *("--settings", settings),
        )
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)["findings"]
        return {one["code"]: one for one in found if one["severity"] != "info"}

    def is_sent(self) -> bool:
        """Say whether a task that a request sends reaches the project's broker."""
        done = self.python("-c", dedent(REQUEST))
        assert done.returncode == 0, done.stderr
        client = redis.Redis.from_url(self.broker_url)
        amount = client.llen("celery")
        client.flushdb()
        client.close()
        return bool(amount)


TOUCHED = APP.replace(
    "from celery import Celery", "from celery import Celery, current_app\n    current_app.conf"
)
#: How the app of threads comes to be another one: what is changed, and where the fix says to paste.
ASTRAY: dict[str, dict[str, str]] = {
    "something touched current_app first": {"proj/celery.py": TOUCHED},
    "something touched it in the settings": {
        "proj/__init__.py": "",
        "proj/settings.py": "from celery import current_app\ncurrent_app.conf.timezone\n"
        + dedent(FILES["proj/settings.py"])
        + "from proj.celery import app",
    },
    "a shared task was looked at first": {
        "proj/__init__.py": "import till.tasks\ntill.tasks.pay.name\nfrom .celery import app as celery_app",
    },
    "the fix-up is off": {
        "proj/celery.py": APP.replace('Celery("proj")', 'Celery("proj", fixups=[], set_as_current=False)')
    },
    "made in another thread": {
        "proj/celery.py": TOUCHED.replace(
            'app = Celery("proj")',
            "import threading\n    def make():\n        global app\n"
            '        app = Celery("proj")\n    made = threading.Thread(target=make)\n'
            "    made.start()\n    made.join()",
        )
    },
    "another app was made first": {
        "proj/celery.py": APP.replace(
            'app = Celery("proj")',
            'client = Celery("client", broker="redis://127.0.0.1:1/0")\n    app = Celery("proj")',
        )
    },
    "nobody imports it": {
        "proj/__init__.py": "",
        "proj/settings.py": dedent(FILES["proj/settings.py"]).replace(
            "CELERY_HEALTH = {}", 'CELERY_HEALTH = {"CELERY_APP": "proj.celery:app"}'
        ),
    },
}


#: The others are members of the same kind.
QUICK = frozenset({"something touched current_app first", "nobody imports it"})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, changes in ASTRAY.items()
    ],
)
def test_current_app_differs__is_found_and_its_fix_works(
    tmp_path: Path, redis_url: str, changes: dict[str, str]
) -> None:
    site = Site(tmp_path, redis_url, **changes)

    finding = site.findings()["W130"]

    assert not site.is_sent()
    fix = finding["fix"]
    if pasted := re.match(r"(app\.set_default\(\)) below the line that makes it in proj\.celery\. ", fix):
        after = "made.join()" if "made.join()" in changes.get("proj/celery.py", "") else "app = "
        site.paste("proj/celery.py", pasted[1], after)
    else:
        pasted = re.match(r"(from \S+ import app as celery_app) in (proj/__init__\.py)\. ", fix)
        assert pasted is not None, fix
        site.paste(pasted[2], pasted[1])
    assert "W130" not in site.findings()
    assert site.is_sent()


def test_current_app_differs__a_project_as_celerys_guide_has_it_is_left_alone(
    tmp_path: Path, redis_url: str
) -> None:
    site = Site(tmp_path, redis_url)

    assert site.findings() == {}
    assert site.is_sent()


def test_current_app_differs__views_that_import_the_app_are_enough(tmp_path: Path, redis_url: str) -> None:
    views = dedent(FILES["till/views.py"]) + "from proj.celery import app"
    site = Site(tmp_path, redis_url, **{**ASTRAY["nobody imports it"], "till/views.py": views})

    assert site.findings() == {}
    assert site.is_sent()


BILLING = """
    from celery import Celery
    app = Celery("billing", set_as_current={current})
    app.config_from_object("django.conf:settings", namespace="BILLING")
    @app.task
    def bill(): ...
"""


def test_app_unwatched__the_setting_that_it_names_watches_it(tmp_path: Path, redis_url: str) -> None:
    settings = (
        dedent(FILES["proj/settings.py"])
        + "BILLING_BROKER_URL = CELERY_BROKER_URL\nBILLING_TASK_DEFAULT_QUEUE = 'billing'\n"
    )
    site = Site(
        tmp_path,
        redis_url,
        **{
            "proj/settings.py": settings,
            "till/billing.py": BILLING.format(current=True),
            "till/views.py": dedent(FILES["till/views.py"]) + "from till import billing",
        },
    )

    finding = site.findings()["W131"]
    lines = re.findall(r'CELERY_HEALTH = \{"CELERY_APP": ".*?"\}', finding["fix"])

    assert lines == [
        'CELERY_HEALTH = {"CELERY_APP": "proj.celery:app"}',
        'CELERY_HEALTH = {"CELERY_APP": "till.billing:app"}',
    ]
    site.paste("proj/settings.py", lines[0])
    (tmp_path / "proj/billing.py").write_text(f"from proj.settings import *\n{lines[1]}\n")
    # Who does as the fix says has no finding left, in either process.
    assert site.findings() == {} == site.findings("proj.billing")
    done = site.python("-m", "django", "celery_health", "--json", "--settings", "proj.billing")
    assert list(json.loads(done.stdout)["queues"]) == ["billing"], done.stderr


@pytest.mark.live
def test_sent_elsewhere__is_counted_named_and_no_task_of_the_projects_queues(
    tmp_path: Path, redis_url: str
) -> None:
    """A request's thread sends by Celery's default app, and a view by an app of another service's."""
    views = dedent(FILES["till/views.py"]).replace("task.apply_async(retry=False)", "send()") + dedent(
        f"""
        from celery import Celery
        warehouse = Celery("warehouse", broker="{redis_url}".rpartition("/")[0] + "/9", set_as_current=False)
        def send():
            warehouse.send_task("pack")
            warehouse.send_task("till.tasks.pay")
            try:
                task.apply_async(retry=False)
            except Exception:
                pass  # nobody may listen at Celery's default broker
        """
    )
    site = Site(
        tmp_path, redis_url, **{**ASTRAY["something touched current_app first"], "till/views.py": views}
    )
    # Of two apps of the project's somebody has to say which is watched.
    site.paste("proj/settings.py", 'CELERY_HEALTH = {"CELERY_APP": "proj.celery:app", "FLUSH_INTERVAL": 0.1}')

    done = site.python("-c", dedent(REQUEST))
    assert done.returncode == 0, done.stderr
    asked = site.python("-m", "django", "celery_health", "doctor", "--json")
    verdict = json.loads(site.python("-m", "django", "celery_health", "--json").stdout)

    found = {
        f"{one['code']} {one['subject']['name']}": one
        for one in json.loads(asked.stdout)["findings"]
        if one["rule"] in ("current-app-differs", "sent-elsewhere")
    }
    assert set(found) == {"E130 proj", "W226 default", "W226 warehouse"}, asked.stdout
    default, warehouse = found["W226 default"]["evidence"], found["W226 warehouse"]["evidence"]
    assert (default["tasks"], default["sent"] + default["failed"]) == (["till.tasks.pay"], 1)
    assert default["broker"].startswith("amqp://guest:**@localhost")
    assert (warehouse["tasks"], warehouse["sent"]) == (["pack", "till.tasks.pay"], 2)
    assert default["processes"] == warehouse["processes"]
    (writable,) = [one for one in verdict["checks"] if one["id"] == "broker.writable"]
    assert "went to amqp://guest:**@localhost:5672//" in writable["message"]
    client = redis.Redis.from_url(redis_url)
    totals = client.hgetall("celery_health:proj:totals")
    client.close()
    assert not [field for field in totals if field.startswith(b"sent")]


def test_notes__name_an_app_that_only_sends(tmp_path: Path) -> None:
    """It is made by the views, after the project's, and is current in the main thread: no other is judged."""
    views = (
        dedent(FILES["till/views.py"])
        + "from celery import Celery\nclient = Celery('client', broker='memory://')"
    )
    site = Site(tmp_path, "redis://127.0.0.1:1/0", **{"till/views.py": views})

    told = json.loads(site.python("-m", "django", "celery_health", "doctor", "--static", "--json").stdout)

    assert [one for one in told["findings"] if one["severity"] != "info"] == []
    (note,) = told["notes"]
    assert "'client' (till.views:client)" in note and "CELERY_APP" in note
    # With the URLs there, as once another check has run.
    check = (
        "import django; django.setup(); import proj.urls\nfrom django.core.management import call_command\n"
    )
    check += "call_command('check')"
    assert "no issues" in site.python("-c", check).stdout
