"""The dashboards: shipped as generated, sound as Grafana reads them, and each expression shows something."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from celery_health.metrics.dashboards import DASHBOARDS, FOLDER, render
from celery_health.metrics.dialects import rows_of
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.prometheus import Prometheus
from tests.metrics_surfaces.promtool import promtool
from tests.situations.system import System
from tests.support import ROOT, RedisServer, eventually

METRICS = {row.name for row in rows_of(["exporter"])}
#: What Grafana puts in: the values of its variables, and the lengths of time of a page.
FILLED = {
    "job": "{job}", "namespace": ".*", "queue": ".*", "task": ".*", "worker": ".*",
    "__rate_interval": "10s", "__range": "2m",
}  # fmt: skip


def filled(expr: str, job: str) -> str:
    """Return an expression as Grafana sends it."""
    return re.sub(r"\$(\w+)", lambda found: FILLED[found[1]].replace("{job}", job), expr)


def expressions() -> Iterator[tuple[str, str]]:
    """Yield dashboard and panel, and expression, of everything."""
    for dashboard in DASHBOARDS.values():
        for row in dashboard.rows:
            for panel in row.panels:
                for query in panel.queries:
                    yield f"{dashboard.title} / {panel.title} / {query.legend}", query.expr


# As files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__is_shipped_as_generated(name: str) -> None:
    shipped = (FOLDER / name).read_text(encoding="utf-8")
    assert shipped == render(DASHBOARDS[name]), "run: python -m celery_health.metrics.dashboards " + str(
        FOLDER
    )


def test_dashboards__nothing_else_is_shipped() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(DASHBOARDS)
    uids = [dashboard.uid for dashboard in DASHBOARDS.values()]
    assert len(uids) == len(set(uids))
    assert all(len(uid) <= 40 for uid in uids)  # Grafana's limit


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard__is_sound(name: str) -> None:
    board = json.loads((FOLDER / name).read_text())
    panels = board["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"], panel["title"]
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)\}?", json.dumps(board))) - {"__rate_interval", "__range", "__all"}
    assert used == known


def test_dashboards__use_metrics_that_there_are() -> None:
    suffixes = re.compile(r"_(bucket|sum|count)$")
    for where, expr in expressions():
        for metric in re.findall(r"\bcelery_\w+", expr):
            assert metric in METRICS or suffixes.sub("", metric) in METRICS, where


@pytest.mark.prometheus
def test_dashboards__are_valid_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"x:{number}", "expr": filled(expr, "celery")}
        for number, (_, expr) in enumerate(expressions())
    ]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))  # JSON is YAML
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_command__writes_them_into_a_folder(tmp_path: Path) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "celery_health.metrics.dashboards", *argv],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    folder = tmp_path / "new" / "folder"
    done = run(str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(folder / name) for name in DASHBOARDS]
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: render(dashboard) for name, dashboard in DASHBOARDS.items()
    }
    assert run().returncode == 2
    assert "Usage:" in run("--help").stderr
    (tmp_path / "file").touch()
    done = run(str(tmp_path / "file"))
    assert (done.returncode, "name another" in done.stderr) == (2, True)


# Over a running system ---------------------------------------------------------------------------------


@dataclass
class Live:
    """A system that works, scraped once as ``one`` and by two replicas as ``two``."""

    system: System
    prometheus: Prometheus

    def work(self) -> None:
        """Have a bit of everything happen."""
        for name in ("add", "fail", "retry", "reject"):
            self.system.send(name)
        self.system.send("add", expires=-1)
        self.system.send("add", queue="nobody")
        self.system.send("shop.nobody_knows")

    def asked(self, expr: str) -> dict[Any, float]:
        """Return the values of an expression by their labels, without the job."""
        found = self.prometheus.query(expr)
        return {
            frozenset(pair for pair in labels if pair[0] != "job"): value for labels, value in found.items()
        }


def documented_rules(job: str) -> str:
    """Return the recording rules that the page on dashboards gives for replicas, for another job."""
    page = (ROOT / "docs/how-to/dashboards.md").read_text()
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found
    return textwrap.dedent("  " + found[1].lstrip()).replace("shop-web", job)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with RedisServer() as server:
        system = System(
            redis=server,
            is_soak=False,
            health={"EXPECTED_QUEUES": ["nobody"], "DEAD_LETTERS": {"enabled": True}},
            conf={
                "beat_schedule": {"sync": {"task": "tests.project.tasks.noop", "schedule": 1.0}},
                "result_backend": server.url,
            },
        )
        exporters = [Exporter(system.url, health=system.settings, conf=system.conf) for _ in range(2)]
        try:
            system.worker(concurrency=2)
            system.beat()
            system.send_from_a_process("noop")
            for exporter in exporters:
                exporter.start()
            one, two = (f"127.0.0.1:{exporter.wait_ready().port}" for exporter in exporters)
            jobs = {"one": [one], "two": [one, two], "celery-exporter": [one]}
            with Prometheus(jobs=jobs, rules=documented_rules("two")) as prometheus:
                prometheus.wait_scraped()
                yield Live(system, prometheus)
        finally:
            for exporter in exporters:
                exporter.close()
            system.close()


def without_data(live: Live, wanted: dict[str, str]) -> list[str]:
    """Return what shows nothing, or no number, though work goes on."""
    live.work()
    empty = []
    for where, expr in wanted.items():
        found = live.asked(expr)
        if not found or all(value != value for value in found.values()):
            empty.append(where)
    return empty


pytestmark = pytest.mark.timeout(240)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.prometheus
def test_dashboards__every_expression_shows_something(live: Live) -> None:
    wanted = {where: filled(expr, "one") for where, expr in expressions()}

    def all_shown() -> bool:
        assert without_data(live, wanted) == []
        return True

    eventually(all_shown, timeout=90, interval=1.0)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.prometheus
def test_dashboards__two_replicas_double_nothing(live: Live) -> None:
    both = {
        where: (filled(expr, "one"), filled(expr, "two"))
        for where, expr in expressions()
        if "/ Scraped from" not in where  # says how many they are
    }

    def same() -> bool:
        live.work()
        doubled = []
        for where, (one, two) in both.items():
            single, double = live.asked(one), live.asked(two)
            if single.keys() != double.keys():
                doubled.append(f"{where}: {single} {double}")
            # Rates of two targets differ by when they were scraped; what is doubled is twice as much.
            doubled += [
                f"{where}: {single[key]} {double[key]}"
                for key in single.keys() & double.keys()
                if not (double[key] != double[key] or double[key] <= 1.6 * single[key] + 0.5)
            ]
        assert doubled == []
        return True

    eventually(same, timeout=90, interval=1.0)
    assert live.asked(filled('count(celery_health_up{job=~"$job"})', "two")) == {frozenset(): 2}
    # A bare sum would have been seen.
    assert live.asked(filled('sum(celery_workers{job=~"$job"})', "two")) == {frozenset(): 2}


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.prometheus
def test_docs__rules_for_replicas_put_them_together(live: Live) -> None:
    def same() -> bool:
        jobs = ("one", "celery-once", "two")
        one, once, two = (live.asked(f'sum(celery_task_succeeded_total{{job="{job}"}})') for job in jobs)
        assert one == once != two, (one, once, two)
        return True

    assert live.prometheus.broken_rules() == []
    eventually(same, timeout=60, interval=0.5)


#: As the dashboards of the community that go by celery-exporter's names ask: all of its matchers, where a
#: cluster and a namespace that do not exist are empty, and each shape over each metric that has it.
_MATCHERS = 'cluster="",namespace="",job=~"celery-exporter",queue_name!~"None"'
_EVENTS = ("sent", "received", "succeeded", "failed", "retried", "revoked", "rejected")


def community() -> dict[str, str]:
    found = {}
    for event, window in itertools.product(_EVENTS, ("10s", "2m")):
        series = f'celery_task_{event}_total{{{_MATCHERS},name=~".*",name!~"None"}}[{window}]'
        for by in ("", " by (name)", " by (job)", " by (queue_name)"):
            found[f"{event} {window}{by}"] = f"sum(round(increase({series}))){by}"
            found[f"{event} {window}{by} top"] = f"topk(10, sum(rate({series})){by})"
    for by in ("name", "exception", "name, exception", "job, exception"):
        found[f"failures by {by}"] = (
            f"round(sum(increase(celery_task_failed_total{{{_MATCHERS}}}[2m])) by ({by}))"
        )
    for by in ("", " by (name)", " by (job)"):
        ok, bad = (
            f"sum(round(increase(celery_task_{event}_total{{{_MATCHERS}}}[2m]))){by}"
            for event in ("succeeded", "failed")
        )
        found[f"success{by}"] = f"({ok} / ({ok} + {bad})) > -1"
        total, count = (
            f"sum(rate(celery_task_runtime_{part}{{{_MATCHERS}}}[2m])){by}" for part in ("sum", "count")
        )
        found[f"mean runtime{by}"] = f"{total} / {count} > 0"
    for q, by in itertools.product((0.5, 0.95, 0.99), ("job, le", "name, job, le")):
        runs = f"irate(celery_task_runtime_bucket{{{_MATCHERS}}}[10s])"
        found[f"p{q} by {by}"] = f"histogram_quantile({q}, sum({runs}) by ({by}))"
    return found | {
        "workers": f"count(celery_worker_up{{{_MATCHERS}}} == 1)",
        "active": f"sum(celery_worker_tasks_active{{{_MATCHERS}}})",
        "queues": f"count(group by (queue_name) (celery_queue_length{{{_MATCHERS}}}))",
        "lengths": f"topk(10, sum(celery_queue_length{{{_MATCHERS}}}) by (job, queue_name))",
    }


#: What fills the choices at the top of those dashboards: the label of a metric.
CHOICES = [
    ("celery_worker_up", "hostname"), ("celery_worker_up", "job"), ("celery_queue_length", "queue_name"),
    ("celery_task_received_total", "queue_name"), ("celery_task_received_total", "name"),
    ("celery_task_sent_total", "name"), ("celery_task_failed_total", "exception"),
]  # fmt: skip


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.prometheus
def test_dashboards__of_the_community_show_something(live: Live) -> None:
    wanted = community()

    def all_shown() -> bool:
        assert without_data(live, wanted) == []
        return True

    eventually(all_shown, timeout=90, interval=1.0)
    for metric, label in CHOICES:
        assert all(label in series for series in live.prometheus.series(f'{metric}{{job="celery-exporter"}}'))
        assert live.prometheus.series(f'{metric}{{job="celery-exporter"}}'), metric
