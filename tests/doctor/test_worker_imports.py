"""What a worker has imported by its start, the doctor knows too: Celery runs Django's checks in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.doctor.shop import Shop
from tests.support import eventually

#: A task that nothing but a view imports.
SETTINGS = """
    ROOT_URLCONF = "back.urls"
    CELERY_BEAT_SCHEDULE["recount"] = {"task": "back.counting.recount", "schedule": 3600}
"""
URLS = "from django.urls import path\nfrom back.views import stock\n\nurlpatterns = [path('', stock)]\n"
VIEWS = "from back.counting import recount\n\ndef stock(request):\n    recount.delay()\n"
COUNTING = "from celery import shared_task\n\n@shared_task\ndef recount(): ...\n"


def with_back(shop: Shop, settings: str = SETTINGS, **modules: str) -> None:
    """Give the shop a package that is in no list of apps."""
    shop.change(settings)
    folder = shop.folder / "back"
    folder.mkdir(exist_ok=True)
    for name, source in {
        "__init__": "",
        "urls": URLS,
        "views": VIEWS,
        "counting": COUNTING,
        **modules,
    }.items():
        (folder / f"{name}.py").write_text(source)


def test_worker_imports__a_task_of_a_view_is_known(make_shop: Callable[[str], Shop], redis_url: str) -> None:
    shop = make_shop(redis_url)
    with_back(shop)
    shop.worker()

    def registered() -> str:
        done = run_celery(shop, "inspect", "registered", "--timeout", "5")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "back.counting.recount" in eventually(registered, 30.0)
    assert shop.doctor("--static").found == []
    assert "W101" not in shop.manage("check").stderr


@pytest.mark.live
def test_worker_imports__urls_that_fail_end_a_worker_and_no_task_is_called_unknown(
    make_shop: Callable[[str], Shop], redis_url: str
) -> None:
    shop = make_shop(redis_url)
    with_back(shop, views="from back.counting import recount\nimport no_such_module\n")
    answer = shop.doctor("--static")

    assert answer.found == []
    (note,) = answer.body["notes"]
    assert note.startswith(
        "tasks that are only imported by Django's system checks: the project's URLs cannot be imported "
        "(ModuleNotFoundError: No module named 'no_such_module')"
    )
    done = run_celery(shop, "worker", "--pool", "solo")
    assert done.returncode != 0
    assert "No module named 'no_such_module'" in done.stderr


def test_worker_imports__what_another_check_imports_is_known(shop: Shop) -> None:
    """It is run where a task is missing: not the URLs alone are loaded by checks."""
    with_back(shop, urls="urlpatterns = []\n", checks=CHECKS)
    shop.change(SETTINGS + '    INSTALLED_APPS += ["back"]\n')
    (shop.folder / "back" / "apps.py").write_text(APPS)

    assert shop.doctor("--static").found == []
    assert "W101" not in shop.manage("check").stderr


CHECKS = """
from django.core.checks import register

@register()
def check_stock(app_configs, **kwargs):
    import back.counting
    return []
"""
APPS = """
from django.apps import AppConfig

class Back(AppConfig):
    name = "back"

    def ready(self):
        import back.checks
"""


RECEIVER = """
from celery.signals import worker_init

@worker_init.connect
def load(**kwargs):
    from back import counting
"""


def test_worker_imports__what_a_receiver_imports_is_known(shop: Shop) -> None:
    """Workers alone send the signal: it is seen in the receiver's code, which is not called."""
    with_back(shop, views=f"{RECEIVER}\ndef stock(request): ...\n")

    assert shop.doctor("--static").found == []


#: What a receiver names in a string may be a program: this one ends whoever imports it.
SIDECAR = "import pathlib, sys\npathlib.Path(__file__).with_name('RAN').touch()\nsys.exit(0)\n"
STARTS = """
import subprocess, sys
from celery.signals import worker_ready

@worker_ready.connect
def start(**kwargs):
    subprocess.Popen([sys.executable, "-m", "back.sidecar"])
"""
IMPORTS = """
from importlib import import_module
from celery.signals import worker_ready

@worker_ready.connect
def load(**kwargs):
    import_module("back.sidecar")
    import_module("back.counting")
"""


def test_worker_imports__a_program_that_a_receiver_starts_is_not_imported(shop: Shop) -> None:
    with_back(shop, views=f"{STARTS}\ndef stock(request): ...\n", sidecar=SIDECAR)

    assert [finding.partition(":")[0] for finding in shop.doctor("--static").found] == ["W101"]
    assert "W101" in shop.manage("check").stderr
    assert not (shop.folder / "back" / "RAN").exists()


def test_worker_imports__a_module_that_ends_the_process_ends_no_look(shop: Shop) -> None:
    with_back(shop, views=f"{IMPORTS}\ndef stock(request): ...\n", sidecar=SIDECAR)
    done = shop.manage("check")

    # The URLs of back are the project's here, and have none of celery_health.
    assert (done.returncode, re.findall(r"\(celery_health\.(\w+)\)", done.stderr)) == (0, ["W007"])
    assert not (shop.folder / "back" / "RAN").exists(), "a check imports nothing for receivers"
    assert shop.doctor("--static").found == []
    assert (shop.folder / "back" / "RAN").exists()


def test_worker_imports__a_check_runs_no_other_checks(shop: Shop) -> None:
    """What they would bring is not known then, so nothing is said of it."""
    ran = "    open(__file__ + '.RAN', 'w').close()\n"
    with_back(shop, urls="urlpatterns = []\n", checks=CHECKS.replace("    import", f"{ran}    import"))
    shop.change(SETTINGS + '    INSTALLED_APPS += ["back"]\n')
    (shop.folder / "back" / "apps.py").write_text(APPS)

    assert "W101" not in shop.manage("check", "--tag", "celery").stderr
    assert not (shop.folder / "back" / "checks.py.RAN").exists()
    assert shop.doctor("--static").found == []


def test_worker_imports__task_modules_that_end_the_process_are_a_warning(shop: Shop) -> None:
    with_back(shop, """INSTALLED_APPS += ["back"]""", tasks="import sys\n\nsys.exit(0)\n")
    done = shop.manage("check")

    assert done.returncode == 0
    assert "celery_health.W003" in done.stderr
    why = "back.tasks cannot be imported: it ends the process (SystemExit: 0)"
    assert why in done.stderr
    told = shop.manage("celery_health", "doctor", "--static")
    assert (told.returncode, why in told.stderr) == (2, True)


def test_worker_imports__results_that_views_read_are_seen(shop: Shop) -> None:
    with_back(
        shop,
        'ROOT_URLCONF = "back.urls"',
        views="from celery.result import AsyncResult\n\ndef stock(request): ...\n",
    )
    assert shop.doctor("--static").finding("I308")["evidence"]["modules"] == ["back.views"]


def run_celery(shop: Shop, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "shop", *argv],
        env={**os.environ, **shop.env},
        capture_output=True,
        text=True,
        timeout=60,
    )
