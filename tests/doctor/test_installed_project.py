"""An application as its users install it: nothing is theirs but a settings module outside of its package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, Worker, eventually

SETTINGS = """
import os
SECRET_KEY = "of a test"
INSTALLED_APPS = ["rest_framework", "celery_health", "acme_erp", "acme_orders", "post_office"]
DATABASES = {}
USE_TZ = True
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_IGNORE_RESULT = True
CELERY_HEALTH = {"HEARTBEAT_INTERVAL": 0.5, "FLUSH_INTERVAL": 0.25, "LIMITS": {"unconsumed_seconds": 1}}
"""
APP = """
from celery import Celery

app = Celery("acme_erp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
TASK = "from celery import shared_task\n\n@shared_task\ndef {name}(): ...\n"
TO_DEFAULT = TASK.replace("@shared_task", "@shared_task(queue='default')")
#: Where pip puts it, and what of it is a task that its author gave a queue.
PACKAGES = {
    "acme_erp/__init__.py": "from acme_erp.celery_app import app as celery_app\n",
    "acme_erp/celery_app.py": APP,
    "acme_erp/tasks.py": TASK.format(name="post"),
    "acme_orders/__init__.py": "",
    "acme_orders/tasks.py": TO_DEFAULT.format(name="ship"),
    "post_office/__init__.py": "",
    "post_office/tasks.py": TO_DEFAULT.replace("'default'", "'mails'").format(name="send_queued_mail"),
}


@dataclass
class Installed:
    """The application, on one broker."""

    folder: Path
    broker_url: str

    @property
    def env(self) -> Mapping[str, str]:
        paths = [self.folder / "etc", self.folder / "site-packages", ROOT]
        return {
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "BROKER_URL": self.broker_url,
        }

    def manage(self, *argv: str) -> dict[str, Any]:
        """Run a subcommand, and return the body that it prints."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "django", "celery_health", *argv, "--json"],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout, done.stderr
        body: dict[str, Any] = json.loads(done.stdout)
        return body

    def send(self, task: str) -> None:
        """Send a task as a view would."""
        module, _, name = task.rpartition(".")
        code = f"import django; django.setup(); from {module} import {name}; {name}.delay()"
        env = {**os.environ, **self.env}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, check=True, timeout=60)

    def errors(self) -> list[str]:
        """Return ``code:subject`` of the errors that the doctor finds."""
        found = [one for one in self.manage("doctor")["findings"] if one["severity"] == "error"]
        return [f"{one['code']}:{one['subject']['name']}" for one in found]


@pytest.fixture
def installed(tmp_path: Path, redis_url: str) -> Installed:
    for path, source in PACKAGES.items():
        file = tmp_path / "site-packages" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "site_settings.py").write_text(SETTINGS)
    return Installed(tmp_path, redis_url)


def test_installed_project__a_queue_that_an_installed_app_chose_needs_a_worker(
    installed: Installed, worker_factory: Callable[..., Worker]
) -> None:
    worker_factory(installed.broker_url, app="acme_erp", pool="solo", env=installed.env)
    assert eventually(installed.errors, 30.0) == ["E104:default"]

    installed.send("acme_orders.tasks.ship")
    body = eventually(lambda: _unhealthy(installed.manage()), 30.0)
    assert [one["subject"] for one in body["checks"] if one["status"] == "fail"] == ["default"]

    # The optional tasks of a library need nobody until one of them is sent.
    installed.send("post_office.tasks.send_queued_mail")
    assert installed.errors() == ["E104:default", "E104:mails"]


def _unhealthy(body: dict[str, Any]) -> dict[str, Any]:
    assert body["status"] == "unhealthy", body
    return body
