"""Registering a project's tasks leaves them and the configuration as a worker has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task

from celery_health.monitoring import MonitoredTask
from celery_health.topology import import_tasks

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
