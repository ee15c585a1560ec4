"""Whose a task is, and what it expects, in projects whose parts are installed as their users install them."""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery, _state
from django.apps import apps

from celery_health.reading.known_workers import is_ours_by
from celery_health.testing import make_worker
from celery_health.topology import Owner, ownership_of, read_topology

# Celery 5.7 calls the attribute old; real packages use it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*task attribute")

TASK = "from celery import shared_task\n\n@shared_task\ndef run(): ...\n"
MAKES_THE_APP = (
    "from celery import Celery\napp = Celery({main!r}, broker='memory://', set_as_current=False)\n"
)


class Environment:
    """Packages in a folder as pip makes it, and modules outside of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.local, self.packages = folder / "srv", folder / "lib" / "site-packages"
        self.monkeypatch = monkeypatch
        for path in (self.local, self.packages):
            path.mkdir(parents=True)
            monkeypatch.syspath_prepend(str(path))
        self.made: list[Any] = []
        self.installed()

    def package(
        self, path: str, source: str = TASK, *, is_local: bool = False, outermost: str | None = ""
    ) -> None:
        """Write a module, its packages included, and import it.

        `outermost` is the source of the first package; None leaves it without one.
        """
        folder = self.local if is_local else self.packages
        *parents, name = path.split(".")
        for parent in parents:
            folder /= parent
            folder.mkdir(exist_ok=True)
            text = outermost if parent == parents[0] else ""
            if text is not None:
                (folder / "__init__.py").write_text(text)
        (folder / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        importlib.import_module(path)

    def app(self, path: str = "erp.celery_app", *, main: str = "erp", outermost: str | None = "") -> Any:
        """Make the Celery app in a module of its own."""
        self.package(path, MAKES_THE_APP.format(main=main), outermost=outermost)
        app = sys.modules[path].app
        self.made.append(app)
        return app

    def installed(self, *names: str) -> None:
        """Put packages into INSTALLED_APPS."""
        configs = []
        for name in names:
            folder = Path(str(sys.modules[name].__file__)).parent
            configs.append(SimpleNamespace(name=name, path=str(folder)))
        self.monkeypatch.setattr(apps, "get_app_configs", lambda: configs)


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """No task but those of the test, and no module after it."""
    finalizers = _state._on_app_finalizers  # type: ignore[attr-defined]
    builtin = {one for one in finalizers if getattr(one, "__module__", "") == "celery.app.builtins"}
    monkeypatch.setattr(_state, "_on_app_finalizers", builtin)
    # Other tests' apps that are finalised would take each shared task at once, and keep it.
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet())
    before = set(sys.modules)
    made = Environment(tmp_path, monkeypatch)
    yield made
    for app in made.made:
        app.close()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or tmp_path).startswith(str(tmp_path)):
            del sys.modules[name]


def owner(app: Any, module: str) -> Owner:
    return ownership_of(app).of_module(module)


# Whose it is ---------------------------------------------------------------------------------------------


def test_owner__the_package_that_made_the_app_is_the_projects_wherever_it_lies(env: Environment) -> None:
    app = env.app()
    env.package("erp.apps.stock.tasks")

    assert owner(app, "erp.apps.stock.tasks") is Owner.PROJECT


@pytest.mark.parametrize("main", ["__main__", "tasks", "celery", "django"])
def test_owner__the_name_of_the_app_is_no_proof(env: Environment, main: str) -> None:
    """A library may be called as the app is."""
    env.package("tasks.mail")
    app = env.app(main=main)

    assert owner(app, "erp.celery_app") is Owner.PROJECT
    assert owner(app, "tasks.mail") is Owner.OTHER
    assert owner(app, "celery.app.base") is Owner.OTHER
    assert owner(app, "django.contrib.auth") is Owner.OTHER


def test_owner__an_app_that_no_module_holds_is_known_by_its_name(env: Environment) -> None:
    env.package("erp.tasks")
    app = Celery("erp", set_as_current=False)
    env.made.append(app)

    assert owner(app, "erp.tasks") is Owner.PROJECT


class WithoutDict:
    """What cffi puts into `sys.modules`: it says that it is a module, and has no ``__dict__``."""

    __slots__ = ()
    __class__ = property(lambda self: ModuleType)  # type: ignore[assignment]


def test_owner__a_strange_module_is_no_error(env: Environment) -> None:
    app = env.app()
    env.monkeypatch.setitem(sys.modules, "_strange.lib", WithoutDict())

    assert owner(app, "erp.tasks") is Owner.PROJECT


def test_owner__whoever_imports_the_app_is_of_the_project(env: Environment) -> None:
    """No library does: it uses shared_task."""
    app = env.app()
    env.package("erp_extra.tasks", "from erp.celery_app import app\n\n@app.task\ndef run(): ...\n")

    assert owner(app, "erp_extra.tasks") is Owner.PROJECT


def test_owner__an_installed_app_is_told_from_other_packages(env: Environment) -> None:
    app = env.app()
    env.package("erp_orders.jobs.tasks")
    env.package("toolbox.tasks")
    env.package("here.tasks", is_local=True)
    env.package("here_too.tasks", is_local=True)
    env.installed("erp_orders", "here")

    assert owner(app, "erp_orders.jobs.tasks") is Owner.INSTALLED
    assert owner(app, "toolbox.tasks") is Owner.OTHER
    assert owner(app, "here.tasks") is Owner.PROJECT
    assert owner(app, "here_too.tasks") is Owner.PROJECT


def test_owner__of_a_library_s_app_that_lies_deep_in_it(env: Environment) -> None:
    app = env.app()
    env.package("erp_orders.integrations.django.models", "")
    env.package("erp_orders.jobs.tasks")
    env.installed("erp_orders.integrations.django")

    assert owner(app, "erp_orders.jobs.tasks") is Owner.INSTALLED


@pytest.mark.parametrize("name", ["post_office", "health_check", "django_celery_results"])
def test_owner__known_libraries_are_nobodys(env: Environment, name: str) -> None:
    app = env.app()
    env.package(f"{name}.tasks")
    env.installed(name)

    assert owner(app, f"{name}.tasks") is Owner.OTHER


@pytest.mark.parametrize(
    "outermost",
    [
        # Without an __init__, and as it was done before there was that.
        None,
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
    ],
)
def test_owner__a_namespace_is_not_one_package(env: Environment, outermost: str | None) -> None:
    """Distributions of one company share a name, and one of them is the project."""
    app = env.app("acme.erp.celery", outermost=outermost)
    for name in ("erp", "tools", "plugin"):
        env.package(f"acme.{name}.tasks", outermost=outermost)
    env.installed("acme.plugin")

    assert owner(app, "acme.erp.tasks") is Owner.PROJECT
    assert owner(app, "acme.plugin.tasks") is Owner.INSTALLED
    assert owner(app, "acme.tools.tasks") is Owner.OTHER


def test_owner__a_task_that_a_library_makes_of_a_function_is_the_function_s(env: Environment) -> None:
    app = env.app()
    env.package("here.mail", "def send(): ...\n", is_local=True)
    env.package(
        "bridge.registry",
        "def register(app):\n    def run(): ...\n    app.task(run, name='here.mail.send', shared=False)\n",
    )
    sys.modules["bridge.registry"].register(app)
    app.finalize()

    assert ownership_of(app).of_tasks(app)["here.mail.send"] is Owner.PROJECT


# What it expects -----------------------------------------------------------------------------------------

CHOSEN = TASK.replace("@shared_task", "@shared_task(queue='default')")
PLAIN = TASK

EXPECTING = [
    # The project's own: wherever it goes.
    ("erp", PLAIN, {}, "celery", True),
    ("erp", CHOSEN, {}, "default", True),
    # An installed app's: where its author or a route chose a queue.
    ("erp_orders", PLAIN, {}, "celery", False),
    ("erp_orders", CHOSEN, {}, "default", True),
    ("erp_orders", PLAIN, {"task_routes": {"erp_orders.*": "orders"}}, "orders", True),
    ("erp_orders", PLAIN, {"task_routes": {"*": "all"}}, "all", False),
    (
        "erp_orders",
        PLAIN,
        {"task_routes": ({"erp_orders.tasks.run": "orders"}, {"*": "all"})},
        "orders",
        True,
    ),
    # A library's: where a route of the project's sends it, not where its author would.
    ("post_office", PLAIN, {}, "celery", False),
    ("post_office", CHOSEN, {}, "default", False),
    ("post_office", PLAIN, {"task_routes": {"post_office.tasks.*": "mails"}}, "mails", True),
    # One that is no app of Django's, imported with `imports` or by another module.
    ("toolbox", PLAIN, {}, "celery", False),
    ("toolbox", CHOSEN, {}, "default", False),
    ("toolbox", PLAIN, {"task_routes": {"toolbox.*": "tools"}}, "tools", True),
]


@pytest.mark.parametrize(("package", "source", "conf", "queue", "expects"), EXPECTING)
def test_expected__by_whose_task_it_is_and_who_chose_its_queue(
    env: Environment, package: str, source: str, conf: dict[str, Any], queue: str, *, expects: bool
) -> None:
    app = env.app()
    app.conf.update(conf)
    env.package(f"{package}.tasks", source)
    if package != "toolbox":
        env.installed(package)
    topology = read_topology(app)

    assert topology.expected == ({queue: (f"task:{package}.tasks.run",)} if expects else {})
    # It is looked at all the same: something may wait there.
    assert queue in {*topology.known_queues, *topology.optional_queues}


def test_own_queues__are_those_of_own_tasks_that_expect_nothing_too(env: Environment) -> None:
    """By them a worker without celery_health is known to be one of ours."""
    app = env.app()
    for package in ("erp_orders", "toolbox"):
        env.package(f"{package}.tasks", CHOSEN if package == "toolbox" else PLAIN)
    env.installed("erp_orders")
    topology = read_topology(app)
    worker = make_worker(queues=("celery",), registered=frozenset(app.tasks))

    assert (topology.expected, topology.own_queues) == ({}, {"celery"})
    assert is_ours_by(worker, topology)
    assert not is_ours_by(replace(worker, queues=("default",)), topology)


def test_expected__a_schedule_expects_whatever_it_sends(env: Environment) -> None:
    app = env.app()
    env.package("post_office.tasks", CHOSEN)
    app.conf.beat_schedule = {"mails": {"task": "post_office.tasks.run", "schedule": 60}}

    assert read_topology(app).expected == {"default": ("beat:mails",)}


def test_expected__a_router_that_cannot_do_with_unknown_names(env: Environment) -> None:
    def router(name: str, *args: Any, **kwargs: Any) -> Any:
        return {"erp.tasks.run": "erp", "toolbox.tasks.run": None}[name]

    app = env.app()
    app.conf.task_routes = (router,)
    env.package("erp.tasks")
    env.package("toolbox.tasks")

    assert read_topology(app).expected == {"erp": ("task:erp.tasks.run",)}


def test_topology__tells_the_project_s_tasks_from_those_that_another_project_may_have_too(
    env: Environment,
) -> None:
    app = env.app()
    for package in ("erp", "erp_orders", "toolbox"):
        env.package(f"{package}.tasks")
    env.installed("erp_orders")
    topology = read_topology(app)

    assert topology.project_tasks == {"erp.tasks.run"}
    assert topology.own_tasks == {"erp.tasks.run", "erp_orders.tasks.run"}
