"""`docs/reference/http.md` says what the code does."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from celery_health import urls
from celery_health.api.base import MonitoringView
from celery_health.api.query import DEFAULT_LIMIT, MAX_LIMIT
from celery_health.api.queues import queue_row
from celery_health.api.stats import stats_body
from celery_health.api.tasks import tasks_body
from celery_health.api.workers import worker_row
from celery_health.conf import DEFAULT_PERMISSIONS
from celery_health.doctor.body import report_body
from celery_health.doctor.findings import Kind
from celery_health.records import WorkerState
from celery_health.testing import make_queue, make_worker
from tests.api.conftest import FOUND, RESOURCES
from tests.api.test_tasks import BUSY, read
from tests.support import ROOT

TEXT = (ROOT / "docs/reference/http.md").read_text()
PAGES = (ROOT / "docs/reference/page.md").read_text()
#: The resources: the pages' parameters are between them and their script.
VIEWS = {
    str(pattern.pattern): pattern.callback.cls
    for pattern in urls.urlpatterns
    if not pattern.name.startswith("page")
    and hasattr(pattern.callback, "cls")
    and issubclass(pattern.callback.cls, MonitoringView)
}


def section(title: str) -> str:
    """Return what stands below a heading."""
    return re.split(r"^## ", TEXT.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of each row of the one table in `text`, without its head."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows][2:]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def example(title: str) -> Any:
    (block,) = re.findall(r"```json\n(.*?)```", section(title), flags=re.DOTALL)
    return json.loads(block)


def test_docs__paths_and_names() -> None:
    rows = table(TEXT.split("\n## ")[0])

    assert [((codes(row[0]) or [""])[0], codes(row[1])[0]) for row in rows] == [
        (f"{pattern.pattern}", f"{urls.app_name}:{pattern.name}")
        for pattern in urls.urlpatterns
        if not pattern.name.startswith("page-")
    ]
    pages = [str(pattern.pattern) for pattern in urls.urlpatterns if pattern.name.startswith("page-")]
    assert [path for path in pages if "<" not in path and f"`{path}" not in PAGES] == []
    who = {codes(row[0])[0]: row[3] for row in rows if codes(row[0])}
    for path, access in RESOURCES.items():
        assert who[path] == {"health": "anyone", "read": "staff"}[access]


def test_docs__permissions() -> None:
    rows = {codes(row[0])[0]: (codes(row[1]), codes(row[2])[0]) for row in table(section("Permissions"))}

    assert {key: default for key, (_, default) in rows.items()} == dict(DEFAULT_PERMISSIONS)
    for path, access in RESOURCES.items():
        assert path in rows[access][0]


def test_docs__query_parameters() -> None:
    rows = table(section("Query parameters"))
    documented = {name: set(codes(row[1])) for row in rows for name in codes(row[0])}
    served: dict[str, set[str]] = {}
    for path, view in VIEWS.items():
        for parameter in view.parameters:
            served.setdefault(parameter, set()).add(path)

    assert {name for name in documented if name != "format"} == set(served)
    for name, paths in served.items():
        assert documented[name] - {"ready/"} == paths
    (limit,) = [row[2] for row in rows if "`limit`" in row[0]]
    assert f"1 to {MAX_LIMIT}, by default {DEFAULT_LIMIT}" in limit


def test_docs__rows() -> None:
    workers, queues = section("`workers/`"), section("`queues/`")

    listed = workers.split("for each:")[1].split("`state` is one of")[0]
    assert codes(listed) == list(worker_row(make_worker()))
    states = workers.split("`state` is one of")[1].split(". Workers")[0]
    assert codes(states) == [state.value for state in WorkerState]
    listed = queues.split("for each:")[1]
    names = list(queue_row(make_queue()))
    assert [name for name in codes(listed) if name in names] == names


@pytest.mark.parametrize(
    ("title", "body"), [("`tasks/`", tasks_body(read(BUSY))), ("`stats/`", stats_body(read(BUSY)))]
)
def test_docs__examples(title: str, body: dict[str, Any]) -> None:
    shown = example(title)

    assert list(shown) == list(body)
    for name, value in body.items():
        if isinstance(value, list) and value:
            assert list(shown[name][0]) == list(value[0])
    if title == "`stats/`":
        (row,) = shown["by_task_name"].values()
        assert list(row) == list(body["by_task_name"]["app.tasks.x"])


def test_docs__doctor_fields() -> None:
    shown = example("`doctor/`")
    body = report_body(FOUND)
    described = codes(" ".join(row[0] for row in table(section("`doctor/`"))))

    assert shown == body
    assert {name.split("[]")[0] for name in described} == set(body) - {"as_of"}
    kinds = section("`doctor/`").split("`kind` is ")[1].split(" |")[0]
    assert codes(kinds) == [kind.value for kind in Kind]


def test_docs__health_fields() -> None:
    shown = example("`health/`")
    fields = " ".join(
        row[0] for row in table(section("`health/`").split("| field | |")[1].join(["| field | |", ""]))
    )

    for name in shown:
        assert re.search(rf"`{name}[`.\[]", fields), name
    for name in shown["checks"][0]:
        assert re.search(rf"`(checks\[\]\.)?{name}`", fields), name
