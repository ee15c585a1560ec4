"""Registering a project's tasks leaves them and the configuration as a worker has them."""

from __future__ import annotations

import importlib
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task, _state
from django.core.checks.registry import registry

from celery_health.monitoring import MonitoredTask
from celery_health.topology import (
    TopologyCache,
    import_as_checks_do,
    import_tasks,
    imports,
    read_topology,
    unimportable,
)
from tests.support import eventually

# Celery 5.7 calls the attribute old; real projects use it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*'queue' task attribute")

CONF = {"task_acks_late": True, "task_time_limit": 60, "task_serializer": "pickle"}


@pytest.fixture
def apps() -> Iterator[tuple[Any, Any]]:
    """Two apps alike: one for `import_tasks`, one for Celery alone."""
    made = [Celery("proj", set_as_current=False, broker="memory://") for _ in range(2)]
    for app in made:
        app.conf.update(CONF)

        @app.task(name="plain", shared=False)
        def plain() -> None: ...

        @app.task(name="own", shared=False, base=MonitoredTask, acks_late=False, time_limit=5)
        def own() -> None: ...

    yield made[0], made[1]
    for app in made:
        app.close()


def attributes(app: Any) -> dict[str, dict[str, Any]]:
    names = [attribute for attribute, _ in Task.from_config]
    return {task: {name: getattr(app.tasks[task], name) for name in names} for task in ("plain", "own")}


def test_import_tasks__binds_them_as_celery_does(apps: tuple[Any, Any]) -> None:
    ours, plain = apps
    import_tasks(ours)
    plain.finalize()
    assert attributes(ours) == attributes(plain)
    assert (ours.tasks["plain"].acks_late, ours.tasks["own"].acks_late) == (True, False)
    assert ours.tasks["own"].time_limit == 5


def test_import_tasks__touches_nothing_of_the_app(apps: tuple[Any, Any]) -> None:
    """All that the app holds is the project's, also while its tasks are registered."""
    app, _ = apps
    app.conf.get("task_serializer")  # loads it
    before = dict(vars(app))
    kind = type(app.conf)
    seen: list[bool] = []

    def looked_at(sender: Any) -> bool:
        return vars(sender)["_conf"] is before["_conf"] and type(sender.conf) is kind

    class Watching(Task):  # type: ignore[type-arg]
        abstract = True

        @classmethod
        def on_bound(cls, app: Any) -> None:
            seen.append(looked_at(app))

    @app.task(name="watched", shared=False, base=Watching)
    def watched() -> None: ...

    app.on_after_finalize.connect(lambda sender, **kwargs: seen.append(looked_at(sender)), weak=False)
    import_tasks(app)

    assert seen == [True] * 3  # when it is made, when all are bound, and after that
    changed = {name for name, value in vars(app).items() if before.get(name, value) is not value}
    assert changed == {"finalized"}
    # What a project changes is seen at once.
    app.conf.task_acks_late = False
    assert app.conf["task_acks_late"] is False


def test_import_tasks__takes_a_task_class_with_options_that_celery_does_not_know(
    apps: tuple[Any, Any],
) -> None:
    app, _ = apps

    class Own(Task):  # type: ignore[type-arg]
        abstract = True
        colour = "red"
        from_config = (*Task.from_config, ("colour", "task_colour"))

    app.task_cls = Own
    import_tasks(app)
    assert app.tasks["plain"].colour == "red"


SLOW = """
import pathlib, time
from celery import shared_task

deadline = time.monotonic() + 20
while not pathlib.Path(__file__).with_name("gate").exists() and time.monotonic() < deadline:
    time.sleep(0.01)

@shared_task
def slow(): ...
"""


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("is_discovered", [False, True])
def test_topology_cache__is_read_in_a_child_that_was_forked_while_it_was_read(
    apps: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_discovered: bool
) -> None:
    """The thread is not there, and what it had half imported is imported from the start."""
    app, _ = apps
    package = tmp_path / "forks_of_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tasks.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet(apps))
    if is_discovered:
        app.autodiscover_tasks(["forks_of_test"])
    else:
        app.conf.imports = ["forks_of_test.tasks"]
    cache = TopologyCache(app)
    assert cache.get(0.0) is None
    eventually(lambda: "forks_of_test.tasks" in sys.modules, 10.0)
    child = os.fork()
    if child == 0:
        try:
            (package / "gate").touch()
            found = cache.get(10.0)
        finally:
            os._exit(0 if found and "forks_of_test.tasks.slow" in found.own_tasks else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = cache.get(10.0)
    assert found is not None
    assert "forks_of_test.tasks.slow" in found.own_tasks
    for name in ("forks_of_test", "forks_of_test.tasks"):
        sys.modules.pop(name, None)


# What views import ----------------------------------------------------------------------------------------

VIEWS = """
from celery import shared_task

@shared_task(queue="asked_by_views")
def recount(): ...
"""


@pytest.fixture
def urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, apps: tuple[Any, Any]
) -> Iterator[str]:
    """URLs that nobody has imported, with a task that only their views define."""
    (tmp_path / "urls_of_import_test.py").write_text(
        "from views_of_import_test import recount\n\nurlpatterns = []\n"
    )
    (tmp_path / "views_of_import_test.py").write_text(VIEWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet(apps))
    monkeypatch.setattr(imports, "_urls", None)
    settings.ROOT_URLCONF = "urls_of_import_test"
    yield settings.ROOT_URLCONF
    for name in ("urls_of_import_test", "views_of_import_test"):
        sys.modules.pop(name, None)


def test_topology_cache__imports_the_urls_where_no_store_says_what_is_sent(
    apps: tuple[Any, Any], urls: str
) -> None:
    app, _ = apps
    without = TopologyCache(app).get(10.0)
    assert without is not None
    assert "asked_by_views" not in without.expected
    assert urls not in sys.modules

    found = TopologyCache(app, needs_urls=lambda: True).get(10.0)
    assert found is not None
    assert found.expected["asked_by_views"] == ("task:views_of_import_test.recount",)


def test_import_tasks__takes_in_urls_that_are_imported_anyway(apps: tuple[Any, Any], urls: str) -> None:
    """A web process has them: they cost nothing there."""
    app, _ = apps
    importlib.import_module(urls)

    assert "asked_by_views" in read_topology(app).expected


def test_import_tasks__urls_that_fail_are_said_and_raise_nothing(
    apps: tuple[Any, Any], urls: str, tmp_path: Path
) -> None:
    app, _ = apps
    (tmp_path / "views_of_import_test.py").write_text("import no_such_module_at_all\n")
    try:
        import_tasks(app, with_urls=True)
        assert "No module named 'no_such_module_at_all'" in str(unimportable())
    finally:
        # Tried again at the next call, and then well.
        (tmp_path / "views_of_import_test.py").write_text(VIEWS)
        importlib.invalidate_caches()
        import_tasks(app, with_urls=True)
    assert unimportable() is None


def test_unimportable__says_nothing_of_urls_that_are_the_projects_no_more(
    apps: tuple[Any, Any], urls: str, tmp_path: Path, settings: Any
) -> None:
    """Others may set them for a while, and a thread that began then may come to them too late."""
    app, _ = apps
    import_tasks(app, with_urls=True)
    (tmp_path / "urls_of_nobody.py").write_text("import no_such_module_at_all\n")
    settings.ROOT_URLCONF = "urls_of_nobody"
    import_tasks(app, with_urls=True)
    assert unimportable() is not None

    settings.ROOT_URLCONF = urls
    import_tasks(app, with_urls=True)
    assert unimportable() is None


def test_import_as_checks_do__runs_again_what_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def others(**options: Any) -> list[Any]:
        calls.append("others")
        return []

    def asks(**options: Any) -> list[Any]:
        calls.append("asks")
        if calls.count("asks") == 1:
            raise OSError("the licence server is down")
        return []

    monkeypatch.setattr(imports, "_checks_ran", set())
    monkeypatch.setattr(registry, "get_checks", lambda **options: [others, asks])
    import_as_checks_do()
    assert "the licence server is down" in str(unimportable())
    import_as_checks_do()
    assert unimportable() is None
    import_as_checks_do()
    assert calls == ["others", "asks", "asks"]
