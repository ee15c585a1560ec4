"""The static doctor inside ``manage.py check``, beside the check of a project without celery_health."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.base import Figure

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 11
TASKS, MODULES, ENTRIES, QUEUES = 500, 20, 200, 40

_INIT = "from big.celery import app as celery_app\n\n__all__ = ['celery_app']\n"
_CELERY = """
from celery import Celery

app = Celery("big")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
_SETTINGS = """
import os

from celery.schedules import crontab
from kombu import Queue

SECRET_KEY = "not a secret"
ROOT_URLCONF = "big.urls"
USE_TZ = True
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
INSTALLED_APPS += [f"app{{number}}" for number in range({modules})]
if os.environ["BIG_DOCTOR"]:
    INSTALLED_APPS.append("celery_health")
CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
CELERY_BROKER_TRANSPORT_OPTIONS = {{"socket_timeout": 5}}
CELERY_TASK_TIME_LIMIT = 60
QUEUES = [f"queue{{n}}" for n in range({queues})]
CELERY_TASK_QUEUES = [Queue("celery"), *(Queue(name, routing_key=name) for name in QUEUES)]
CELERY_TASK_ROUTES = {{
    **{{
        f"app{{n % {modules}}}.tasks.task_{{n}}_*": {{"queue": QUEUES[n % {queues}]}}
        for n in range(0, {tasks}, 10)
    }},
    **{{f"app{{n}}.*": {{"queue": f"queue{{n}}"}} for n in range({modules})}},
}}
CELERY_BEAT_SCHEDULE = {{
    f"entry{{n}}": {{
        "task": f"app{{n % {modules}}}.tasks.task_{{n}}_of_the_project",
        "schedule": crontab(minute="0", hour=str(n % 24)) if n % 2 else 60.0 + n,
        "kwargs": {{"days": n}},
    }}
    for n in range({entries})
}}
"""
_URLS = """
import os

from django.urls import include, path

# The plain project has an API too: what DRF costs is not the doctor's.
import rest_framework.views

urlpatterns = []
if os.environ["BIG_DOCTOR"]:
    urlpatterns += [path("api/celery/", include("celery_health.urls"))]
"""
_TASK = """
@shared_task
def task_{number}_of_the_project(days: int = 1, *, force: bool = False) -> None:
    '''Do number {number}.'''
"""


#: ``manage.py check``, which says how many of the processor's seconds it took: others may be at work here.
#: What the doctor adds is all of it: importing its rules, importing and registering the tasks, and judging.
_CHECK = """
import os
import time

import django
from django.core.checks.registry import registry
from django.core.management import call_command

django.setup()
if os.environ["BIG_DOCTOR"] == "absent":
    from celery_health.doctor.checks import check_project

    registry.registered_checks.remove(check_project)
call_command("check", fail_level="INFO")
print(time.process_time())
"""
#: celery_health is not installed; it is, and its doctor is not asked; all of it.
_PLAIN, _ABSENT, _ASKED = "", "absent", "asked"


def bench_doctor_in_check() -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        _write_project(Path(folder))
        for kind in (_PLAIN, _ASKED):  # as everywhere, what is imported was compiled before
            _check(folder, kind)
        rounds = [{kind: _check(folder, kind) for kind in (_ASKED, _ABSENT, _PLAIN)} for _ in range(ROUNDS)]
    # Medians of neighbours in time: how fast the machine is changes by more than what is measured.
    added = statistics.median(took[_ASKED] - took[_ABSENT] for took in rounds)
    whole = statistics.median(took[_ASKED] / took[_PLAIN] for took in rounds)
    print(f"  the whole check takes {whole:.2f} times that of a project without celery_health")
    return Figure(
        name=f"the doctor in check, {TASKS} tasks, {ENTRIES} entries / check without it",
        ours_seconds=added,
        floor_seconds=statistics.median(took[_ABSENT] for took in rounds),
        ratio=statistics.median(took[_ASKED] / took[_ABSENT] for took in rounds),
        target=0.3,
        target_is_seconds=True,
    )


def _check(folder: str, kind: str) -> float:
    """Return the seconds of one check, in a process of its own."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", _CHECK],
        env={
            **environ,
            "DJANGO_SETTINGS_MODULE": "big.settings",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "BIG_DOCTOR": kind,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.splitlines()[-1])


def _write_project(folder: Path) -> None:
    numbers = {"modules": MODULES, "tasks": TASKS, "entries": ENTRIES, "queues": QUEUES}
    sources = {"__init__": _INIT, "celery": _CELERY, "settings": _SETTINGS.format(**numbers), "urls": _URLS}
    _write(folder / "big", sources)
    for module in range(MODULES):
        tasks = [_TASK.format(number=number) for number in range(module, TASKS, MODULES)]
        source = "".join(["from celery import shared_task\n", *tasks])
        _write(folder / f"app{module}", {"__init__": "", "tasks": source})


def _write(package: Path, sources: dict[str, str]) -> None:
    package.mkdir()
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
