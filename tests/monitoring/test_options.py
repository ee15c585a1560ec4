"""The decorator and the base class, in every order in which people write them."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import celery
import pytest
from celery import Celery, shared_task
from celery.local import PromiseProxy, Proxy

from celery_health.conf import Settings
from celery_health.exceptions import ConfigurationError
from celery_health.monitoring import (
    ATTRIBUTE,
    MonitoredTask,
    MonitoringOptions,
    is_monitored,
    monitor_task,
    options_of,
)

WANTED = MonitoringOptions(
    expected_seconds=120.0, labels=MappingProxyType({"tier": "tier"}), dead_letter=(ValueError,)
)
OPTIONS: dict[str, Any] = {"expected": timedelta(minutes=2), "labels": ["tier"], "dead_letter": ValueError}
monitored = monitor_task(**OPTIONS)


class ProjectTask(celery.Task):  # type: ignore[type-arg]
    """A base of the project's own, as many have one."""


def body(tier: str = "gold") -> str:
    return f"ran for {tier}"


def bound(self: Any, tier: str = "gold") -> str:
    return f"ran for {tier}" if self.name else "unbound"


def fresh(function: Callable[..., Any] = body) -> Callable[..., Any]:
    """Return a function of its own: options stay on it."""

    @functools.wraps(function)
    def report(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return report


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap as a project's own decorator does."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def class_based(app: Any) -> Any:
    class Report(MonitoredTask):
        name = "report"
        expected = 120
        labels = ("tier",)
        dead_letter = ValueError

        def run(self, tier: str = "gold") -> str:
            return body(tier)

    return app.register_task(Report())


def class_decorated(app: Any) -> Any:
    @monitored
    class Report(ProjectTask):
        name = "report"

        def run(self, tier: str = "gold") -> str:
            return body(tier)

    return app.register_task(Report())


def base_of_the_project(app: Any) -> Any:
    class Base(MonitoredTask):
        abstract = True
        dead_letter = [ValueError]

    return shared_task(base=Base, expected=120.0, labels=["tier"])(fresh())


def split(app: Any) -> Any:
    inner = monitor_task(expected=120, dead_letter=False)(fresh())
    return monitor_task(labels=["tier"], dead_letter=[ValueError])(shared_task(inner))


ORDERS: dict[str, Callable[[Any], Any]] = {
    "shared_task over monitor_task": lambda app: shared_task(monitored(fresh())),
    "monitor_task over shared_task": lambda app: monitored(shared_task(fresh())),
    "shared_task() over monitor_task": lambda app: shared_task(name="x")(monitored(fresh())),
    "monitor_task over shared_task()": lambda app: monitored(shared_task(name="x")(fresh())),
    "app.task over monitor_task": lambda app: app.task(monitored(fresh())),
    "monitor_task over app.task": lambda app: monitored(app.task(fresh())),
    "monitor_task over app.task()": lambda app: monitored(app.task(name="x", shared=False)(fresh())),
    "monitor_task over a lazy task already evaluated": lambda app: monitored(evaluated(app.task(fresh()))),
    "monitor_task over an eager task": lambda app: monitored(app.task(lazy=False)(fresh())),
    "monitor_task over a task of a finalised app": lambda app: monitored(finalised(app).task(fresh())),
    "monitor_task over a shared task of a finalised app": lambda app: monitored(
        finalised(app) and shared_task(fresh())
    ),
    "bind, over": lambda app: monitored(shared_task(bind=True)(fresh(bound))),
    "bind, under": lambda app: shared_task(bind=True)(monitored(fresh(bound))),
    "bind, app.task, over": lambda app: monitored(app.task(bind=True)(fresh(bound))),
    "bind, app.task, under": lambda app: app.task(bind=True)(monitored(fresh(bound))),
    "autoretry, over": lambda app: monitored(shared_task(autoretry_for=(OSError,))(fresh())),
    "autoretry, under": lambda app: shared_task(autoretry_for=(OSError,))(monitored(fresh())),
    "autoretry of a finalised app, over": lambda app: monitored(
        finalised(app) and shared_task(autoretry_for=(OSError,), bind=True)(fresh(bound))
    ),
    "base of the project, over": lambda app: monitored(shared_task(base=ProjectTask)(fresh())),
    "base of the project, under": lambda app: shared_task(base=ProjectTask)(monitored(fresh())),
    "another decorator between": lambda app: shared_task(logged(logged(monitored(fresh())))),
    "base=MonitoredTask": lambda app: shared_task(base=MonitoredTask, **OPTIONS)(fresh()),
    "base=MonitoredTask, app.task, bind": lambda app: app.task(base=MonitoredTask, bind=True, **OPTIONS)(
        fresh(bound)
    ),
    "base=MonitoredTask and monitor_task": lambda app: monitored(shared_task(base=MonitoredTask)(fresh())),
    "base with options, the decorator goes before": lambda app: monitored(
        shared_task(base=MonitoredTask, expected=7, dead_letter=True)(fresh())
    ),
    "a base below MonitoredTask": base_of_the_project,
    "class with MonitoredTask": class_based,
    "class under monitor_task": class_decorated,
    "an inner and an outer monitor_task": split,
}


def evaluated(task: Any) -> Any:
    assert task.name
    return task


def finalised(app: Any) -> Any:
    app.finalize()
    return app


@pytest.mark.parametrize("order", ORDERS)
def test_monitor_task__every_order(app: Any, order: str) -> None:
    task = ORDERS[order](app)
    app.finalize()
    registered = app.tasks[task.name]
    assert options_of(registered) == WANTED
    assert options_of(task) == WANTED
    assert is_monitored(registered, Settings(monitor_all_tasks=False))
    # It still runs: called, and as a worker's tracer would run it.
    assert task("silver") == "ran for silver"
    assert task.apply(kwargs={"tier": "silver"}).get() == "ran for silver"


@pytest.mark.parametrize(
    "lazy",
    [
        lambda app, function: shared_task(function),
        lambda app, function: shared_task(bind=True, name="x")(function),
        lambda app, function: app.task(function),
        lambda app, function: app.task(bind=True)(function),
    ],
)
def test_monitor_task__evaluates_no_lazy_task(app: Any, lazy: Callable[..., Any]) -> None:
    task = lazy(app, fresh())
    assert isinstance(task, Proxy)
    assert monitored(task) is task
    assert not app.finalized
    if isinstance(task, PromiseProxy):
        assert not task.__evaluated__()


def test_monitor_task__bare() -> None:
    function = fresh()
    assert monitor_task(function) is function
    assert vars(function)[ATTRIBUTE] == MonitoringOptions()


def test_monitor_task__wraps_nothing(app: Any) -> None:
    def report() -> None: ...

    code, names = report.__code__, set(vars(report))
    assert monitored_plain(report) is report
    assert report.__code__ is code
    assert set(vars(report)) - names == {ATTRIBUTE}
    task = shared_task(report)
    app.finalize()
    # What the worker calls is the project's own function.
    assert app.tasks[task.name].run is report


monitored_plain = monitor_task(expected=1)


def test_monitor_task__one_function_two_apps(app: Any) -> None:
    task = monitored(shared_task(fresh()))
    other = Celery("other", broker="memory://", set_as_current=False)
    try:
        for each in (app, other):
            each.finalize()
            assert options_of(each.tasks[task.name]) == WANTED
    finally:
        other.close()


def test_monitor_task__callables_other_than_functions(app: Any) -> None:
    class Report:
        __name__ = "report"

        def __call__(self) -> str:
            return "called"

    partial = functools.partial(body, tier="gold")
    for target in (Report(), partial):
        assert monitored_plain(target) is target
        assert options_of_function(target) == MonitoringOptions(expected_seconds=1.0)


def options_of_function(function: Any) -> Any:
    return vars(function)[ATTRIBUTE]


def test_options_of__plain_task(app: Any) -> None:
    task = app.task(fresh())
    assert options_of(task) is None
    assert options_of(app.tasks["celery.chord"]) is None


def test_options_of__monitored_base_without_options(app: Any) -> None:
    task = app.task(base=MonitoredTask)(fresh())
    assert options_of(task) == MonitoringOptions()
    assert options_of(MonitoredTask) == MonitoringOptions()


def test_options_of__is_harmless_on_anything() -> None:
    class Slotted:
        __slots__ = ()

    looped = fresh()
    looped.__wrapped__ = looped  # type: ignore[attr-defined]
    for thing in (None, 5, Slotted(), Slotted, object(), "task", len):
        assert options_of(thing) is None


def test_options_of__a_loop_of_wrappers_ends(app: Any) -> None:
    function = fresh()
    function.__wrapped__ = function  # type: ignore[attr-defined]
    assert options_of(app.task(lazy=False, name="x", typing=False)(body)) is None


def test_options_of__subclass_keeps_what_it_leaves_open() -> None:
    @monitor_task(dead_letter=True)
    class Base(MonitoredTask):
        expected = 5

    class Special(Base):
        labels = {"tier": "tier"}

    assert options_of(Base) == MonitoringOptions(expected_seconds=5.0, dead_letter=True)
    assert options_of(Special) == MonitoringOptions(
        expected_seconds=5.0, dead_letter=True, labels=MappingProxyType({"tier": "tier"})
    )


@pytest.mark.parametrize(
    ("make", "everything", "chosen"),
    [
        (lambda app: app.task(fresh()), True, False),
        (lambda app: app.task(monitor_task(fresh())), True, True),
        (lambda app: monitor_task(shared_task(fresh())), True, True),
        (lambda app: app.task(base=MonitoredTask)(fresh()), True, True),
    ],
)
def test_is_monitored(app: Any, make: Callable[[Any], Any], everything: bool, chosen: bool) -> None:
    task = make(app)
    assert is_monitored(task, Settings()) is everything
    assert is_monitored(task, Settings(monitor_all_tasks=False)) is chosen


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"expected": 5}, MonitoringOptions(expected_seconds=5.0)),
        ({"expected": timedelta(hours=1)}, MonitoringOptions(expected_seconds=3600.0)),
        ({"labels": []}, MonitoringOptions()),
        ({"labels": {"plan": "tier"}}, MonitoringOptions(labels=MappingProxyType({"plan": "tier"}))),
        ({"labels": {"plan": body}}, MonitoringOptions(labels=MappingProxyType({"plan": body}))),
        ({"dead_letter": True}, MonitoringOptions(dead_letter=True)),
        ({"dead_letter": False}, MonitoringOptions(dead_letter=False)),
        ({"dead_letter": OSError}, MonitoringOptions(dead_letter=(OSError,))),
        ({"dead_letter": [OSError, KeyError]}, MonitoringOptions(dead_letter=(OSError, KeyError))),
    ],
)
def test_monitor_task__good_options(given: dict[str, Any], wanted: MonitoringOptions) -> None:
    assert options_of_function(monitor_task(**given)(fresh())) == wanted


BAD = [
    ({"expected": 0}, "expected is 0: set a duration over 0"),
    ({"expected": "2m"}, "expected is '2m': set seconds or a timedelta"),
    ({"expected": True}, "expected is True: set seconds"),
    ({"expected": timedelta(-1)}, "set seconds or a timedelta, of 0 or more"),
    ({"labels": "tier"}, "labels is 'tier': set a list of parameters, or a dict"),
    ({"labels": 5}, "labels is 5: set a list"),
    ({"labels": ["my-tier"]}, "is 'my-tier': set a Prometheus label name"),
    ({"labels": ["queue_name"]}, "is 'queue_name': set another name"),
    ({"labels": {"tier": 5}}, "labels['tier'] is 5: set a parameter's name or a callable"),
    ({"labels": {5: "tier"}}, "is 5: set a Prometheus label name"),
    ({"labels": [None]}, "is None: set a Prometheus label name"),
    ({"labels": ["teir"]}, "labels names 'teir', which is no parameter of body: it has tier."),
    ({"labels": {"plan": "teir"}}, "labels names 'teir', which is no parameter of body: it has tier."),
    ({"dead_letter": "ValueError"}, "dead_letter is 'ValueError': set True, False, or exception classes"),
    ({"dead_letter": 1}, "dead_letter is 1: set True"),
    ({"dead_letter": []}, "dead_letter is []: set True"),
    ({"dead_letter": [ValueError, int]}, "set True, False, or exception classes"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
@pytest.mark.parametrize("make", [fresh, lambda: shared_task(fresh())], ids=["under", "over"])
def test_monitor_task__bad_option_raises_at_the_line(
    app: Any, make: Callable[[], Any], given: dict[str, Any], message: str
) -> None:
    task = make()
    with pytest.raises(ConfigurationError) as caught:
        monitor_task(**given)(task)
    assert message in str(caught.value)
    assert str(caught.value).startswith(("monitor_task: ", "a label of monitor_task: "))
    assert not app.finalized


@pytest.mark.parametrize(("given", "message"), BAD)
def test_monitored_task__bad_option_raises_when_the_task_is_made(
    app: Any, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        app.task(base=MonitoredTask, lazy=False, **given)(fresh())
    assert message in str(caught.value)
    assert "body(MonitoredTask)." in str(caught.value)


def test_monitor_task__label_of_any_keyword() -> None:
    def report(customer: int, **options: Any) -> None: ...

    labels = options_of_function(monitor_task(labels=["tier", "customer"])(report)).labels
    assert dict(labels) == {"tier": "tier", "customer": "customer"}


def test_monitor_task__unknown_option() -> None:
    with pytest.raises(TypeError, match="expcted"):
        monitor_task(expcted=5)  # type: ignore[call-overload]


@pytest.mark.parametrize("target", [5, "task", object(), len])
def test_monitor_task__on_something_else(target: Any) -> None:
    with pytest.raises(ConfigurationError, match="^monitor_task is put on .*: put it on a function"):
        monitored_plain(target)


def test_monitor_task__lazy_task_of_unknown_making_names_the_fix() -> None:
    with pytest.raises(ConfigurationError, match="put @monitor_task directly above the function"):
        monitored_plain(Proxy(lambda: body))
    with pytest.raises(ConfigurationError, match="put @monitor_task directly above the function"):
        monitored_plain(Proxy(functools.partial(body)))


def test_options__are_frozen() -> None:
    with pytest.raises(AttributeError):
        WANTED.expected_seconds = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        options_of_function(monitor_task(labels=["tier"])(fresh())).labels["x"] = "y"


def test_package__names_need_no_settings_and_no_django() -> None:
    script = (
        "import sys, celery_health\n"
        "assert 'celery' not in sys.modules and 'django' not in sys.modules\n"
        "from celery_health import MonitoredTask, monitor_task\n"
        "monitor_task(expected=5)(lambda: None)\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
