"""How a project writes the options of its Celery app, for each way of configuring one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from celery_health.conf.option_names import broker_is_set, option_names
from celery_health.text.commands import split_commands


def app_of(settings: Any = None, **options: Any) -> Celery:
    app = Celery("shop", set_as_current=False, fixups=[])
    if settings is not None:
        app.config_from_object(settings, namespace=options.pop("namespace", None))
    app.conf.update(options)
    return app


def django(**names: Any) -> SimpleNamespace:
    return SimpleNamespace(**names)


def module(monkeypatch: pytest.MonkeyPatch, **names: Any) -> str:
    made = ModuleType("shop_celeryconfig")
    vars(made).update(names)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made.__name__


class Configuration:
    task_soft_time_limit = 5


@pytest.mark.parametrize("namespace", ["CELERY", "QUEUE"])
def test_names__under_a_namespace(namespace: str) -> None:
    settings = django(**{f"{namespace}_TASK_SOFT_TIME_LIMIT": 5})
    names = option_names(app_of(settings, namespace=namespace), settings)

    assert names.line("task_time_limit", 600) == f"{namespace}_TASK_TIME_LIMIT = 600"


def test_names__before_celery_4() -> None:
    settings = django(CELERYD_TASK_SOFT_TIME_LIMIT=5)
    names = option_names(app_of(settings), settings)

    assert names.line("task_time_limit", 600) == "CELERYD_TASK_TIME_LIMIT = 600"
    assert names.name("broker_url") == "BROKER_URL"


def test_names__on_the_app() -> None:
    assert option_names(app_of(task_soft_time_limit=5)).line("task_time_limit", 600) == (
        "app.conf.task_time_limit = 600"
    )


def test_names__that_are_assigned_beside_settings() -> None:
    settings = django(CELERY_TASK_SOFT_TIME_LIMIT=5)
    names = option_names(app_of(settings, namespace="CELERY", task_time_limit=60), settings)

    assert names.name("task_time_limit") == "app.conf.task_time_limit"
    assert names.name("task_routes") == "CELERY_TASK_ROUTES"


def test_names__in_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    names = option_names(app_of(module(monkeypatch, task_soft_time_limit=5)))

    line = names.line("task_time_limit", 600)
    assert line == "In shop_celeryconfig: task_time_limit = 600"
    assert split_commands(line) == ((False, "In shop_celeryconfig: "), (True, "task_time_limit = 600"))
    assert names.in_words("broker_url") == "broker_url in shop_celeryconfig"


def test_names__in_a_module_before_celery_4(monkeypatch: pytest.MonkeyPatch) -> None:
    names = option_names(app_of(module(monkeypatch, CELERYD_TASK_SOFT_TIME_LIMIT=5)))

    assert names.line("task_time_limit", 600) == "In shop_celeryconfig: CELERYD_TASK_TIME_LIMIT = 600"


def test_names__in_a_class() -> None:
    line = option_names(app_of(Configuration)).line("task_time_limit", 600)

    assert line == f"In {__name__}.Configuration: task_time_limit = 600"


def test_names__of_a_dict_are_the_apps() -> None:
    assert option_names(app_of({"task_soft_time_limit": 5})).name("task_routes") == "app.conf.task_routes"


def test_names__in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.invalid/0")

    assert option_names(app_of()).in_words("broker_url") == "CELERY_BROKER_URL in the environment"


def test_entries__stand_beside_those_that_are_there() -> None:
    empty, filled = app_of(), app_of(broker_transport_options={"visibility_timeout": 60})

    option = "broker_transport_options"
    assert option_names(empty).entry(option, "socket_timeout", 5) == (
        "app.conf.broker_transport_options = {'socket_timeout': 5}"
    )
    assert option_names(filled).entry(option, "socket_timeout", 5) == (
        "app.conf.broker_transport_options['socket_timeout'] = 5"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"broker_url": "redis://"}, True),
        ({"broker_read_url": "redis://"}, True),
        ({"broker_host": "mq"}, True),
        ({"broker_transport": "memory"}, True),
        ({"result_backend": "redis://"}, False),
    ],
)
def test_broker__is_set_in_some_form(options: dict[str, Any], expected: bool) -> None:
    assert broker_is_set(app_of(**options)) is expected
