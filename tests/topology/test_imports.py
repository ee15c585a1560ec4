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


def test_import_tasks__leaves_the_configuration_as_it_was(apps: tuple[Any, Any]) -> None:
    app, _ = apps
    kind = type(app.conf)
    conf = app.conf

    def late(sender: Any, **kwargs: Any) -> None:
        # What a project does here is seen at once, and stays.
        assert sender.conf.task_acks_late is True
        sender.conf.task_acks_late = False
        sender.conf.update(task_time_limit=7)
        assert (sender.conf.task_acks_late, sender.conf["task_time_limit"]) == (False, 7)

    app.on_after_finalize.connect(late, weak=False)
    import_tasks(app)
    assert app.conf is conf and type(app.conf) is kind
    assert (app.conf.task_acks_late, app.conf.task_time_limit) == (False, 7)


def test_import_tasks__gives_the_configuration_back_after_an_error(apps: tuple[Any, Any]) -> None:
    app, _ = apps
    conf = app.conf

    def broken(sender: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    app.on_after_finalize.send = broken
    with pytest.raises(ZeroDivisionError):
        import_tasks(app)
    assert app.conf is conf


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


def test_import_tasks__sees_defaults_that_are_added_meanwhile(apps: tuple[Any, Any]) -> None:
    app, _ = apps
    kept = []

    def late(sender: Any, **kwargs: Any) -> None:
        assert sender.conf.task_track_started is False
        sender.add_defaults({"task_track_started": True})
        assert sender.conf.task_track_started is True
        kept.append(sender.conf)

    app.on_after_finalize.connect(late, weak=False)
    import_tasks(app)
    # Whoever kept the configuration of that moment has no old one.
    app.conf.task_acks_late = None
    assert kept[0].task_acks_late is None
