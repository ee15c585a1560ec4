"""Where Django's tasks are expected, and which Celery tasks carry them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, _state

from celery_health.topology import Carrier, carriers, ownership_of, read_topology
from tests.support.django_tasks import use_tasks
from tests.topology import backends

RUNNER = "tests.topology.backends.run_django_task"
TWO = """
    @task
    def mail(): ...

    @task(queue_name="reports")
    def report(): ...
"""

PUSHING = """
from django.tasks import Task

class Backend:
    task_class = Task

    def __init__(self, alias, params): ...

    def validate_task(self, task): ...

    def enqueue(self, task, args, kwargs):
        self.redis.lpush(task.queue_name, task.module_path)
"""


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    finalizers = _state._on_app_finalizers  # type: ignore[attr-defined]
    # Shared tasks of other tests are none of this app's.
    builtin = {one for one in finalizers if one.__module__ == "celery.app.builtins"}
    monkeypatch.setattr(_state, "_on_app_finalizers", builtin)
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_default_queue = "main"
    app.task(backends.run_django_task.run, name=RUNNER, shared=False)
    yield app
    app.close()


def wrap(app: Celery, module: Any, prefix: str = "tasks:") -> None:
    """Register a Celery task for each of Django's, as most backends do."""
    for task in (module.mail, module.report):

        def run(task: Any = task) -> Any:
            return task.call()

        app.task(run, name=f"{prefix}{task.module_path}", shared=False)


def carrying(app: Celery) -> dict[str, Carrier]:
    return dict(carriers(app, ownership_of(app)))


def expected(app: Celery, *, runner: bool = False) -> dict[str, tuple[str, ...]]:
    """Return what expects which queue, without the runner where no backend of a test sends it."""
    topology = read_topology(app).expected
    found = {
        queue: tuple(one for one in reasons if runner or one != f"task:{RUNNER}")
        for queue, reasons in topology.items()
    }
    return {queue: reasons for queue, reasons in found.items() if reasons}


def test_carriers__a_wrapper_goes_where_its_backend_says(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(app, use_tasks(monkeypatch, tmp_path, "ByQueueName", TWO, QUEUES=["default", "reports", "rare"]))

    topology = read_topology(app)

    assert expected(app) == {"default": ("task:tasks:jobs.mail",), "reports": ("task:tasks:jobs.report",)}
    assert {"tasks:jobs.mail", "tasks:jobs.report"} <= topology.own_tasks
    # A call may name it; nobody need consume it until one does.
    assert "rare" in topology.optional_queues
    assert "rare" not in topology.expected


def test_carriers__a_wrapper_may_go_by_the_apps_routes(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = use_tasks(monkeypatch, tmp_path, "UnlessDefault", TWO, QUEUES=["default", "reports"])
    wrap(app, module, prefix="")
    app.conf.task_routes = {"jobs.mail": {"queue": "mails"}}

    assert expected(app) == {"mails": ("task:jobs.mail",), "reports": ("task:jobs.report",)}


def test_carriers__a_runner_goes_where_each_of_its_tasks_does(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tasks(monkeypatch, tmp_path, "ByRunner", TWO, QUEUES=["default", "reports"])

    assert expected(app, runner=True) == {"default": (f"task:{RUNNER}",), "reports": (f"task:{RUNNER}",)}


def test_carriers__a_closure_shows_what_a_wrapper_wraps(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = use_tasks(monkeypatch, tmp_path, "OnCommit", "@task\ndef mail(): ...\n")
    wrapped = module.mail

    def run() -> Any:
        return wrapped.call()

    app.task(run, name="whatever", shared=False)

    assert carrying(app)["whatever"].expected == ({"queue": "default"},)


@pytest.mark.parametrize("backend", ["ByChance", "ByLookup", "ByForeignOptions", "ByCoroutine"])
def test_carriers__expect_nothing_where_nobody_can_know(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    use_tasks(monkeypatch, tmp_path, backend, "@task\ndef mail(): ...\n")

    assert expected(app, runner=True) == {}
    assert carrying(app)[RUNNER].expected == ()


def test_carriers__tasks_of_other_backends_leave_the_apps_alone(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pushing.py").write_text(PUSHING)
    module = use_tasks(monkeypatch, tmp_path, "pushing.Backend", "@task\ndef mail(): ...\n")
    app.task(module.mail.func, name="shop.mail_jobs", shared=False)

    assert carrying(app) == {}
    assert expected(app) == {"main": ("task:shop.mail_jobs",)}


def test_carriers__another_apps_backend_is_not_this_apps(
    app: Celery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Celery("other", set_as_current=False)
    use_tasks(monkeypatch, tmp_path, "ByRunner", "@task\ndef mail(): ...\n", OPTIONS={"APP": other})

    assert carrying(app) == {}


def test_carriers__none_without_djangos_tasks(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("django.tasks", "django_tasks"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    assert carrying(app) == {}
