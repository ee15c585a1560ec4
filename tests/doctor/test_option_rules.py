"""What the doctor says of options is what Celery does; and each fix, pasted, leaves nothing to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import celery
import pytest
from celery import Celery
from kombu import Queue

from celery_health.doctor.findings import Finding
from celery_health.doctor.rules.option_misspelt import KNOWN_OPTIONS
from celery_health.doctor.rules.options_refused import REFUSED_OF_ROUTES
from celery_health.doctor.static.options import call_error, task_error
from celery_health.topology import Resolver
from tests.cases import (  # noqa: F401 - in the order of all tests
    broken_live,
    broken_options,
    broken_settings,
    broken_static,
    broken_to_all,
)
from tests.cases.support import BROKEN, Case, Project, a_project

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*task attribute")


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    yield app
    app.close()


def raised(call: Callable[[], object]) -> str | None:
    """Return the name of what a call raises."""
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return None


def work() -> None:
    """Do nothing."""


# Celery itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", sorted({*REFUSED_OF_ROUTES, *KNOWN_OPTIONS} - {"router", "connection"}))
def test_route_options__those_refused_are_those_that_raise(app: Celery, option: str) -> None:
    app.conf.task_routes = {
        "shop.mail": {"queue": "mails", option: [] if option in ("declare", "stamped_headers") else None}
    }

    error = raised(lambda: app.send_task("shop.mail"))

    assert (error == "TypeError") is (option in REFUSED_OF_ROUTES)


#: Options of a task, and whether each call raises.
TASKS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"time_limit": 60, "soft_time_limit": 60}, False),
    ({"time_limit": 60, "soft_time_limit": 61}, True),
    ({"soft_time_limit": 60}, False),
    ({"time_limit": timedelta(minutes=1), "soft_time_limit": 30}, True),
    ({"expires": 60}, False),
    ({"expires": 0}, False),
    ({"expires": timedelta(minutes=1)}, True),
    ({"expires": "soon"}, True),
    ({"expires": "2026-11-28T12:00:00+00:00"}, False),
]


@pytest.mark.parametrize(("options", "raises"), TASKS)
def test_task_options__are_said_to_raise_where_they_do(
    app: Celery, options: dict[str, Any], raises: bool
) -> None:
    task = app.task(name="shop.mail", shared=False, **options)(work)
    app.finalize()

    assert (raised(task.delay) is not None, task_error(task) is not None) == (raises, raises)


#: Options of an entry, and whether beat's call raises.
ENTRIES: list[tuple[dict[str, Any], bool]] = [
    *(({name: None}, True) for name in ("args", "kwargs", "name", "producer", "result_cls", "task_type")),
    *(({name: timedelta(hours=1)}, True) for name in ("countdown", "eta", "expires")),
    ({"countdown": "60"}, True),
    ({"expires": "soon"}, True),
    ({"countdown": 60, "expires": 120.5, "eta": None, "priority": 3, "headers": {}}, False),
    ({"countdown": timedelta(0)}, False),
    ({"eta": "soon"}, False),
]


@pytest.mark.parametrize(("options", "raises"), ENTRIES)
def test_entry_options__are_said_to_raise_where_they_do(
    app: Celery, options: dict[str, Any], raises: bool
) -> None:
    task = app.task(name="shop.mail", shared=False)(work)
    app.finalize()

    # As beat does (celery/beat.py, Scheduler.apply_async).
    error = raised(lambda: task.apply_async([], {}, producer=None, **options))

    assert (error is not None, call_error(options) is not None) == (raises, raises)


#: Options of a route, where a message really goes, and what of them is dropped.
ROUTES: list[tuple[dict[str, Any], str, dict[str, str]]] = [
    ({"routing_key": "mails"}, "celery", {"routing_key": "mails"}),
    ({"queue": "mails", "routing_key": "post"}, "mails", {"routing_key": "post"}),
    ({"queue": "mails", "exchange": "post"}, "mails", {"exchange": "post"}),
    ({"exchange": "post"}, "", {"exchange": "post"}),
]


@pytest.mark.parametrize(("route", "queue", "dropped"), ROUTES)
def test_destination__says_what_is_dropped(
    app: Celery, redis_url: str, route: dict[str, Any], queue: str, dropped: dict[str, str]
) -> None:
    app.conf.update(broker_url=redis_url, task_routes={"shop.mail": route})
    app.send_task("shop.mail")
    with app.connection_for_read() as connection:
        client = connection.default_channel.client  # type: ignore[attr-defined]
        lists = [key.decode() for key in client.scan_iter() if client.type(key) == b"list"]

    to = Resolver(app).resolve("shop.mail", {})

    assert lists == [queue]
    assert (to.queue or "", dict(to.dropped)) == (queue, dropped)


# Limits of the app and of its tasks --------------------------------------------------------------------

#: Celery 5.7 has the app's limits on each task, and compares them in the caller.
IS_COMPARED = celery.VERSION >= (5, 7)

MIXED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"task_time_limit": None, "task_soft_time_limit": 300}, {"time_limit": 60}, "task_soft_time_limit"),
    ({"task_time_limit": 30}, {"soft_time_limit": 60}, "task_time_limit"),
    ({"task_time_limit": 60, "task_soft_time_limit": 300}, {}, "task_soft_time_limit"),
]


@pytest.mark.parametrize(("conf", "options", "subject"), MIXED)
def test_limits__of_task_and_app_together(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    conf: dict[str, Any],
    options: dict[str, Any],
    subject: str,
) -> None:
    def build(project: Project) -> None:
        project.tasks("shop.render", "shop.draw", **options)
        project.conf(broker_url="memory://", **conf)

    with a_project(tmp_path, monkeypatch) as project:
        build(project)
        (finding,) = project.report().findings
        error = raised(project.app.tasks["shop.render"].delay)
    with a_project(tmp_path, monkeypatch) as project:
        build(project)
        paste(project, finding)
        left = project.report().findings

    assert error == ("ValueError" if IS_COMPARED else None)
    assert (finding.code, finding.subject.name) == ("W128" if IS_COMPARED else "W221", subject)
    assert left == ()


# Fixes -------------------------------------------------------------------------------------------------


def paste(project: Project, finding: Finding) -> None:
    """Do what the fix says, in a project whose tasks nobody has used yet: they take options once."""
    fix, name = finding.fix, finding.subject.name
    line = re.match(r"(?:app\.conf\.|CELERY_)(\w+) \|?= (.*)", fix)
    if line:
        paste_line(project, re.split(r", or | to have |, with the ", line[0])[0])
    elif fix.startswith("Rename"):
        rename(project, re.findall(r"(\w+) to (\w+)", fix))
    elif finding.subject.kind == "task" and (line := re.match(r"expires=(\d+) on the task", fix)):
        project.conf(task_annotations={name: {"expires": int(line[1])}})
    elif finding.subject.kind == "beat_entry":
        pair = re.search(r"'(\w+)': (\d+|'\w+')", fix)
        entries = dict(project.app.conf.beat_schedule)
        options = {} if pair is None else {pair[1]: ast.literal_eval(pair[2])}
        kept = {} if "queue" in options or pair is None else entries[name]["options"]
        project.app.conf.beat_schedule = {**entries, name: {**entries[name], "options": {**kept, **options}}}
    elif out := re.match(r"Leave (.*) out of the route", fix):
        options = dict(project.app.conf.task_routes[name])
        for option in re.findall(r"'(\w+)'", out[1]):
            del options[option]
        project.conf(task_routes={name: options})
        paste_line(project, fix.partition(": ")[2])
    else:
        routes = project.app.conf.task_routes
        written = re.search(r"\{.*?\}", fix)
        route = ast.literal_eval(written[0]) if written else {"queue": "celery"}
        project.conf(task_routes={**(routes if isinstance(routes, dict) else {}), name: route})


def paste_line(project: Project, line: str) -> None:
    """Run one line of settings, or of the module that makes the app."""
    names: dict[str, Any] = {"app": project.app, **vars(project.settings)}
    exec(line, names)
    if line.startswith("CELERY_"):
        option = line.partition(" ")[0]
        project.conf(**{option.removeprefix("CELERY_").lower(): names[option]})


def rename(project: Project, names: list[tuple[str, str]]) -> None:
    """Give settings new names, and the app the namespace."""
    settings = vars(project.settings)
    tasks = project.app.tasks
    project.configure(**{new: settings.pop(old) for old, new in names})
    project.tasks(*(name for name in tasks if not name.startswith("celery.")))


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in BROKEN
        # By a line to paste: others want another pool, a queue more, or a choice.
        if case.build.__module__ == broken_options.__name__ and not re.match("W2(05|15|22)", case.finds[0])
    ],
    ids=lambda case: case.name,
)
def test_fix__leaves_nothing_to_say(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        case.build(project)
        findings = project.report().findings
    again = tmp_path / "again"
    again.mkdir()
    with a_project(again, monkeypatch) as project:
        case.build(project)
        if case.name == "a_task_brings_its_queue_along":
            queue = Queue("mails", broken_options.MEDIA, routing_key="mails.#")
            project.conf(task_queues=[Queue("celery"), queue])
        for finding in findings:
            paste(project, finding)

        assert project.report().findings == ()


#: What Celery 6 takes no notice of.
ATTRIBUTES: list[dict[str, Any]] = [
    {"queue": "mails"},
    {"queue": "mails", "priority": 0},
    {"exchange": "media", "routing_key": "video.cut", "delivery_mode": 1},
    {"exchange": "media"},
]
ROUTES_THERE: list[Any] = [
    None,
    {"shop.*": {"queue": "rest", "compression": "gzip"}},
    ({"shop.*": "rest"}, [("other.*", "other")]),
    [lambda name, *args, **kwargs: {"queue": "rest", "routing_key": "x"}],
    lambda name, *args, **kwargs: {"queue": "rest"},
]


@pytest.mark.parametrize("routes", ROUTES_THERE, ids=["none", "dict", "list", "code", "one"])
@pytest.mark.parametrize("attributes", ATTRIBUTES, ids=lambda attributes: "-".join(attributes))
def test_celery_6__the_line_keeps_where_tasks_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], routes: Any
) -> None:
    with a_project(tmp_path, monkeypatch) as project:
        project.tasks("shop.mail", **attributes)
        project.conf(task_routes=deepcopy(routes))
        (finding,) = (one for one in project.report().findings if one.code == "I319")
        today = sent_with(project)
    with a_project(tmp_path, monkeypatch) as project:
        project.tasks("shop.mail")  # without attributes, as Celery 6 has it
        project.conf(task_routes=deepcopy(routes))
        paste(project, finding)

        assert sent_with(project) == today


def sent_with(project: Project) -> dict[str, object]:
    """Return the options with which the project's router has its task sent."""
    amqp: Any = project.app.amqp
    task: Any = project.app.tasks["shop.mail"]
    found = amqp.router.route(dict(task._get_exec_options()), "shop.mail", task_type=task)
    return {name: getattr(value, "name", value) for name, value in found.items() if value is not None}
