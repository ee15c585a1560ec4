"""Django's system checks: what they say, where, and where they keep silent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import checks as django_checks
from django.core.checks.registry import registry

from celery_health.doctor import checks, wiring
from celery_health.doctor.findings import Severity
from celery_health.doctor.rules import RULES
from tests.api.conftest import FOUND
from tests.doctor.shop import Shop

BROKEN = """
    CELERY_BEAT_SCHEDULE["refresh-prices"]["task"] = "orders.tasks.refresh_price"
"""
#: Silent under the plain check: of production alone.
PICKLE = "CELERY_ACCEPT_CONTENT = ['json', 'pickle']\n"


def test_check__is_registered_once() -> None:
    assert [check for check in registry.registered_checks if check is checks.check_project] != []
    assert checks.check_deployment in registry.deployment_checks
    assert checks.check_deployment not in registry.registered_checks


@pytest.mark.smoke
def test_check__of_the_example_says_nothing(shop: Shop) -> None:
    done = shop.manage("check", "--fail-level", "INFO")

    assert done.returncode == 0
    assert "no issues" in done.stdout + done.stderr


@pytest.mark.smoke
def test_check__warns_with_the_fix_and_never_fails(shop: Shop) -> None:
    shop.change(BROKEN)

    done = shop.manage("check")

    assert done.returncode == 0
    assert (
        "beat entry 'refresh-prices': (celery_health.W101) Beat entry 'refresh-prices' sends "
        "'orders.tasks.refresh_price', which is no registered task: workers would discard it."
    ) in done.stderr
    assert "HINT: Set the entry's task to 'orders.tasks.refresh_prices'." in done.stderr
    # What wants no warning can have that.
    assert shop.manage("check", "--fail-level", "WARNING", "--tag", "celery").returncode == 1


def test_check__prints_nothing_that_a_terminal_acts_upon(shop: Shop) -> None:
    shop.change("CELERY_BEAT_SCHEDULE['\\x1b[2J'] = {'task': 'no\\x1bsuch\\nline', 'schedule': 60}")

    told = shop.manage("check").stderr

    assert "beat entry '\\x1b[2J'" in told and r"'no\x1bsuch\nline'" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    "silence",
    [
        "SILENCED_SYSTEM_CHECKS = ['celery_health.W101']",
        "CELERY_HEALTH |= {'SILENCED': ['W101']}",
        "CELERY_HEALTH |= {'SILENCED': ['W101:beat_entry:refresh-prices']}",
    ],
)
def test_check__can_be_silenced(shop: Shop, silence: str) -> None:
    shop.change(BROKEN + "    " + silence)

    assert shop.manage("check", "--fail-level", "WARNING", "--tag", "celery").returncode == 0


def test_check__of_deployment_runs_under_deploy_alone(shop: Shop) -> None:
    shop.change(PICKLE)

    assert "celery_health" not in shop.manage("check").stderr
    deployed = shop.manage("check", "--deploy").stderr
    assert "celery_health.W213" in deployed
    # And what anybody may read.
    assert "celery_health.W011" in deployed
    assert "celery_health.W012" in deployed


def test_check__of_deployment_is_content_with_what_is_closed(shop: Shop) -> None:
    shop.change(
        """
        STAFF = "rest_framework.permissions.IsAdminUser"
        CELERY_HEALTH |= {"HEALTH_DETAILS": "staff", "PERMISSIONS": {"metrics": STAFF}}
        """
    )

    assert "celery_health" not in shop.manage("check", "--deploy").stderr


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ("CELERY_HEALTH = {'DEADLIN': 2}", "W001", "'DEADLINE'"),
        ("CELERY_HEALTH['CELERY_APP'] = 'shop.celery:ap'", "W002", "shop.celery:ap"),
        ("CELERY_IMPORTS = ['orders.nothing']", "W003", "orders.nothing"),
    ],
)
def test_check__says_why_it_cannot_look(shop: Shop, settings: str, code: str, says: str) -> None:
    shop.change(settings)

    done = shop.manage("check")

    assert done.returncode == 0
    assert f"celery_health.{code}" in done.stderr
    assert says in done.stderr


ENDING = """
    CELERY_IMPORTS = ["ending"]
"""
ROUTER = """
    def route(name, args, kwargs, options, task=None, **kw):
        raise SystemExit("no route")

    CELERY_TASK_ROUTES = (route,)
"""
PROPERTY = """
    from celery import Task, current_app

    class Report(Task):
        name = "report"

        @property
        def queue(self):
            raise SystemExit("no queue")

    current_app.register_task(Report())
"""


@pytest.mark.parametrize(
    ("settings", "module", "says"),
    [
        (
            ENDING,
            "import sys; sys.exit('no licence key')",
            "W003) The task modules of the project cannot be imported, so no worker would start "
            "(ImportError: ending cannot be imported: it ends the process (SystemExit: no licence key))",
        ),
        (
            ENDING,
            "raise KeyboardInterrupt",
            "ending cannot be imported: it raises what ends the process (KeyboardInterrupt)",
        ),
        (ROUTER, "", "W105) Sending 'orders.tasks.build_catalogue' raises SystemExit: no route"),
        (
            ENDING,
            PROPERTY,
            "W003) The project's tasks and settings cannot be examined: ending.Report.queue raises "
            "SystemExit: no queue.",
        ),
    ],
)
def test_check__goes_on_where_the_projects_code_ends_the_process(
    shop: Shop, settings: str, module: str, says: str
) -> None:
    shop.change(settings, ending=module)

    done = shop.manage("check")

    assert done.returncode == 0, done.stderr
    assert says in done.stderr


def test_check__ends_by_ctrl_c(shop: Shop) -> None:
    """Pressed while a module is imported: it is meant for the command."""
    shop.change(
        ENDING, ending="import os, signal; os.kill(os.getpid(), signal.SIGINT); [0 for _ in range(99)]"
    )

    done = shop.manage("check")

    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert "W003" not in done.stderr


def test_doctor__imports_what_sets_handlers_of_signals(shop: Shop) -> None:
    """Python refuses that to the thread in which a live look imports; a worker has no trouble with it."""
    shop.change(ENDING, ending="import signal; signal.signal(signal.SIGUSR2, signal.SIG_DFL)")

    answer = shop.doctor()

    assert answer.found == []


def test_check__is_skipped_in_workers_and_beats(shop: Shop, redis_url: str) -> None:
    shop.broker_url = redis_url
    shop.change(
        BROKEN,
        spy="""
            import sys
            from celery.signals import beat_init, worker_ready

            def tell(**kwargs):
                rules = [name for name in sys.modules if name.startswith("celery_health.doctor.rules")]
                print("DOCTOR IS HERE" if rules else "no doctor here", flush=True)

            beat_init.connect(tell, weak=False)
            worker_ready.connect(tell, weak=False)
        """,
    )
    (shop.folder / "variant.py").write_text((shop.folder / "variant.py").read_text() + "import spy\n")

    worker, beat = shop.worker(), shop.beat()

    for process in (worker, beat):
        log = process.wait_for_log("no doctor here")
        assert "W101" not in log
        assert "DOCTOR IS HERE" not in log
        process.stop()


def test_check__of_another_app_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("looked all the same")

    monkeypatch.setattr(checks, "get_settings", refuse)

    assert checks.check_project([SimpleNamespace(label="orders")]) == []
    assert checks.check_deployment([SimpleNamespace(label="orders")]) == []


@pytest.mark.parametrize(
    ("argv", "is_celery"),
    [
        (["/venv/bin/celery", "-A", "shop", "worker"], True),
        (["/venv/lib/python3.12/site-packages/celery/__main__.py", "beat"], True),
        (["manage.py", "check"], False),
        (["/home/celery/manage.py", "check"], False),
        (["/venv/bin/gunicorn"], False),
        ([], False),
        ([""], False),
    ],
)
def test_celery_command__table(argv: list[str], is_celery: bool) -> None:
    assert checks.is_celery_command(argv) is is_celery


def test_ids__are_unique_and_warnings() -> None:
    besides = [
        checks.SETTINGS_WRONG,
        checks.APP_UNKNOWN,
        checks.TASKS_BROKEN,
        wiring.APP_MISSING,
        wiring.FRAMEWORK_MISSING,
        wiring.URLS_TWICE,
        wiring.URLS_MISSING,
        wiring.PATH_WRONG,
        checks.DETAILS_PUBLIC,
        checks.METRICS_PUBLIC,
    ]
    numbers = [rule.number for rule in RULES]

    assert len(set(numbers)) == len(numbers)
    assert all(number >= 101 for number in numbers)
    assert len(set(besides)) == len(besides)
    assert all(one.startswith("celery_health.W0") for one in besides)


def test_message__is_a_django_warning() -> None:
    error = FOUND.findings[0]

    messages = list(checks._messages([error, replace(error, severity=Severity.WARNING, code="W101")]))

    assert [(type(one), one.id) for one in messages] == [(django_checks.Warning, "celery_health.W101")]
