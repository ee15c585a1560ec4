"""The right app, or a configuration error: each case in a process of its own, since apps are global."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PRELUDE = """
import os, sys, threading
import django
from django.conf import settings
settings.configure(CELERY_HEALTH={health!r}, INSTALLED_APPS=[])
django.setup()
from celery import Celery
from celery_health.celery_app import app_id, facts_of, find_app
from celery_health.exceptions import ConfigurationError
def show():
    try:
        print(find_app().main)
    except ConfigurationError as error:
        print("ERROR", error)
"""

CASES = [
    # Nobody made an app: Celery's own fallback would ask amqp://guest@localhost.
    ("", {}, "ERROR No Celery app is configured"),
    # The same after something touched celery.current_app, which makes the fallback.
    ("import celery; celery.current_app.conf.broker_url", {}, "ERROR No Celery app is configured"),
    # The project's own.
    ("app = Celery('proj', broker='memory://')", {}, "proj"),
    # One that happens to bear the fallback's name.
    ("app = Celery('default', broker='memory://')", {}, "default"),
    # Made, but not current: the only one there is.
    ("app = Celery('quiet', broker='memory://', set_as_current=False)", {}, "quiet"),
    # Two that are not current: nobody can tell which is meant.
    (
        "a = Celery('a', broker='memory://', set_as_current=False);"
        "b = Celery('b', broker='memory://', set_as_current=False)",
        {},
        "ERROR Several Celery apps live in this process ('a', 'b')",
    ),
    # Named by setting, as `celery -A` takes it.
    ("", {"CELERY_APP": "tests.project.celery:app"}, "tests.project"),
    ("", {"CELERY_APP": "tests.project"}, "tests.project"),
    # The setting wins over what is current.
    ("app = Celery('proj', broker='memory://')", {"CELERY_APP": "tests.project"}, "tests.project"),
    ("", {"CELERY_APP": "no.such.module:app"}, "ERROR CELERY_HEALTH[\"CELERY_APP\"] is 'no.such.module:app'"),
    ("", {"CELERY_APP": "tests.project.celery:json"}, 'ERROR CELERY_HEALTH["CELERY_APP"]'),
]


def run(code: str, health: dict[str, str]) -> str:
    source = PRELUDE.format(health=health) + code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=ROOT,
        # With it, Celery's Django fix-up makes the first app the default one.
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("code", "health", "expected"), CASES)
def test_find_app__table(code: str, health: dict[str, str], expected: str) -> None:
    assert run(code + "\nshow()", health).startswith(expected)


def test_find_app__is_found_from_another_thread() -> None:
    code = "app = Celery('proj', broker='memory://')\nt = threading.Thread(target=show); t.start(); t.join()"

    assert run(code, {}) == "proj"


def test_app_id__is_the_setting_else_the_apps_name() -> None:
    assert run("print(app_id(Celery('proj', broker='memory://')))", {}) == "proj"
    assert run("print(app_id(Celery('proj', broker='memory://')))", {"APP_ID": "eu"}) == "eu"


def test_facts__name_is_what_celery_takes_with_a() -> None:
    assert (
        run("print(facts_of(find_app()).name)", {"CELERY_APP": "tests.project.celery:app"}) == "tests.project"
    )
