"""The right app, or a configuration error: each case in a process of its own, since apps are global."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from celery_health.celery_app import settings_set_by
from tests.support.processes import ManagedProcess

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
    # A client of other workers', made later and so current in this thread: not in those of requests.
    (
        "app = Celery('proj', broker='memory://'); app.set_default(); Celery('client', broker='memory://')",
        {},
        "proj",
    ),
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


# What `celery -A` takes -------------------------------------------------------------------------------------

#: Names Django's settings, as Celery's documentation has it.
OWN = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')\n"
MAKE = (
    "from celery import Celery\n"
    "{0} = Celery('shop')\n"
    "{0}.config_from_object('django.conf:settings', namespace='CELERY')\n"
)
APP, QUEUE_APP = OWN + MAKE.format("app"), OWN + MAKE.format("queue_app")

#: Modules of a project whose settings stand outside; what it imports at start; what follows ``-A``.
LAYOUTS = [
    # As Celery's documentation has it, with a re-export, and without.
    ({"shop/__init__": "from .celery import app as celery_app", "shop/celery": APP}, "shop", "shop"),
    ({"shop/__init__": "", "shop/celery": APP}, "shop.celery", "shop"),
    ({"shop/__init__": "from .celery import app as celery", "shop/celery": APP}, "shop", "shop"),
    # Another name of the module: Celery does not look there.
    ({"shopapp/__init__": "", "shopapp/celery_app": APP}, "shopapp.celery_app", "shopapp.celery_app"),
    # Re-exported under a name that Celery looks at.
    ({"shopapp/__init__": "from .celery_app import app", "shopapp/celery_app": APP}, "shopapp", "shopapp"),
    # Re-exported under another: the first app among all names is no promise.
    (
        {"shopapp/__init__": "from .celery_app import app as capp", "shopapp/celery_app": APP},
        "shopapp",
        "shopapp.celery_app",
    ),
    # Under another name in another module; beside the package `celery`, which is no app.
    (
        {"shopapp/__init__": "", "shopapp/utils": "import celery\n" + QUEUE_APP},
        "shopapp.utils",
        "shopapp.utils:queue_app",
    ),
    # The package's `app` is a module.
    ({"shop/__init__": "", "shop/app": APP}, "shop.app", "shop.app"),
    # A package of its own inside of a package, another's name on the app, taken up by others of that name.
    (
        {
            "company/__init__": "",
            "company/core/__init__": "",
            "company/core/celery/__init__": APP,
            "shop/__init__": "",
            "shop/views": "from celery import shared_task\nfrom company.core.celery import app",
        },
        "shop.views",
        "company.core",
    ),
    # One module, of an odd name.
    ({"büro_app": APP}, "büro_app", "büro_app"),
    # Another app is in the way.
    (
        {"shop/__init__": "from celery import Celery\napp = Celery('other')", "shop/celery": APP},
        "shop.celery",
        "shop.celery",
    ),
    # Anything may come of a name that a function answers.
    (
        {"shop/__init__": "def __getattr__(name): raise AttributeError", "shop/celery": APP},
        "shop.celery",
        "shop.celery",
    ),
    # Under no name at all.
    (
        {"shop/__init__": "", "shop/factory": OWN + MAKE.format("app") + "held = [app]\ndel app"},
        "shop.factory",
        "REPLACE_BY_YOUR_CELERY_APP",
    ),
]  # fmt: skip


def a_project(folder: Path, modules: dict[str, str], imported: str) -> dict[str, str]:
    """Write a project with settings outside of it, and return the environment that its processes need."""
    routed = (
        "INSTALLED_APPS = ['celery_health', 'starting']\n"
        "SECRET_KEY = 'x'\n"
        "CELERY_BROKER_URL = 'memory://'\n"
        "CELERY_TASK_CREATE_MISSING_QUEUES = True\n"
        "CELERY_TASK_QUEUES = {'celery': {'routing_key': 'celery'}}\n"
        "CELERY_TASK_ROUTES = {'jobs.clean': {'queue': 'night shift'}}\n"
        "CELERY_IMPORTS = ['jobs']\n"
    )
    jobs = "from celery import shared_task\n@shared_task\ndef clean(): ...\n"
    for name, source in {
        **modules,
        "settings": routed,
        "jobs": jobs,
        "starting/__init__": f"import {imported}",
    }.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "CELERY_"))},
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONUNBUFFERED": "1",
    }


def printed(code: str, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


NAME = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
import django
django.setup()
from celery_health.celery_app import facts_of, find_app
name = facts_of(find_app()).name
print(name.argument, name.settings_module)
"""
#: The same project, where nobody says so but the environment.
BARE = ({"shop/__init__": "", "shop/celery": MAKE.format("app")}, "shop.celery", "shop")
#: The same project, whose app has other settings for those who say none: a worker would read their broker.
DEVELOPED = (
    {
        "shop/__init__": "",
        "shop/celery": OWN.replace("'settings'", "'shop.dev'") + MAKE.format("app"),
        "shop/dev": "INSTALLED_APPS = []\nSECRET_KEY = 'x'\nCELERY_BROKER_URL = 'redis://127.0.0.1:1/0'\n",
    },
    "shop.celery",
    "shop",
)


@pytest.mark.parametrize(("modules", "imported", "argument"), LAYOUTS)
def test_command_name__is_what_celery_finds_the_app_by(
    tmp_path: Path, modules: dict[str, str], imported: str, argument: str
) -> None:
    env = a_project(tmp_path, modules, imported)

    assert printed(NAME, tmp_path, env) == f"{argument} None"


def test_command_name__says_the_settings_that_nobody_else_would(tmp_path: Path) -> None:
    env = a_project(tmp_path, *BARE[:2])

    assert printed(NAME, tmp_path, env) == "shop settings"


#: What a module says of the settings → what it sets them to; None is what cannot be told.
SAID = [
    ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.dev')", {"shop.dev"}),
    ("os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.dev'", {"shop.dev"}),
    ("try:\n    environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.dev')\nfinally:\n    pass", {"shop.dev"}),
    # One of two, by whatever decides.
    (
        "if os.environ.get('DEV'):\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.dev')\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')",
        {"shop.dev", "settings"},
    ),
    # In words alone, or as something that is read.
    ("# set DJANGO_SETTINGS_MODULE to 'settings'", set()),
    ("os.environ.get('DJANGO_SETTINGS_MODULE', 'settings')", set()),
    # In a function, which may never be called.
    ("def main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'settings')", {None}),
    # Made up of parts.
    ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', f'{name}.settings')", {None}),
    ("os.environ.setdefault('DJANGO_SETTINGS_MODULE', None)", {None}),
    # No Python of this version.
    ("DJANGO_SETTINGS_MODULE = ", {None}),
    ("", set()),
]


@pytest.mark.parametrize(("source", "settings"), SAID)
def test_settings_set_by__table(source: str, settings: set[str | None]) -> None:
    assert settings_set_by(source) == settings


def test_command_name__says_the_settings_that_others_would_set_otherwise(tmp_path: Path) -> None:
    # For development alone: the process has others from its environment.
    env = a_project(tmp_path, *DEVELOPED[:2])

    assert printed(NAME, tmp_path, env) == "shop settings"


def test_command_name__is_the_settings_word() -> None:
    code = "print(facts_of(find_app()).name.argument)"

    assert run(code, {"CELERY_APP": "tests.project.celery:app"}) == "tests.project.celery:app"
    assert run("import tests.project.celery;" + code, {"CELERY_APP": "tests.project"}) == "tests.project"


@pytest.mark.live
@pytest.mark.slow
def test_command__starts_a_worker_when_it_is_pasted(tmp_path: Path) -> None:
    """What the doctor prints, in a shell, in several layouts: all at once, since each takes seconds."""
    # Of each kind one: a form of the argument, a re-export, an odd name.
    layouts = [*(LAYOUTS[number] for number in (0, 3, 5, 6, 8, 9)), BARE, DEVELOPED]
    doctor = [sys.executable, "-m", "django", "celery_health", "doctor", "--static", "--json"]
    workers: list[ManagedProcess] = []
    try:
        for number, (modules, imported, _) in enumerate(layouts):
            folder = tmp_path / str(number)
            env = a_project(folder, modules, imported)
            asked = subprocess.run(
                doctor,
                cwd=folder,
                env={**env, "DJANGO_SETTINGS_MODULE": "settings"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            (fix,) = [one["fix"] for one in json.loads(asked.stdout)["findings"] if one["code"] == "I302"]
            command = fix.partition("start a worker for it: ")[2]
            assert "celery -A " in command
            options = f" -n w{number}@test -P solo -l INFO --without-mingle --without-gossip"
            worker = ManagedProcess(
                ["sh", "-c", f"unset DJANGO_SETTINGS_MODULE\n{command}{options}"],
                name=command,
                env=env,
                cwd=folder,
            )
            workers.append(worker.start())
        for number, worker in enumerate(workers):
            worker.wait_for_log(f"w{number}@test ready.", 60)
            assert ".> night shift " in worker.log
    finally:
        for worker in workers:
            worker.close()
