"""What ``make test`` and ``make test-all`` run, in which order, and which tests they had to run again."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Fixture → what a test that uses it needs.
NEEDS = {"redis_server": "redis", "rabbit": "rabbitmq"}
#: They start workers, beats, web servers and exporters.
LIVE_FIXTURES = frozenset({"worker_factory", "beat_factory", "web_server", "exporter_factory"})
#: A test that waits for other processes may miss its time on a busy machine. It alone runs again.
WAIT_FOR_PROCESSES = frozenset({"live", "redis", "rabbitmq", "prometheus", "browser"})
#: How many processes of a parallel run start a RabbitMQ.
RABBIT_NODES = 3


# Which -----------------------------------------------------------------------------------------------


def marks_of(fixtures: Collection[str]) -> list[str]:
    """Return the marks that a test's fixtures, also those of its fixtures, give it."""
    marks = {mark for fixture, mark in NEEDS.items() if fixture in fixtures}
    # Parametrised over both brokers: the marks stand on the parameters.
    if "broker_url" in fixtures:
        marks.discard("rabbitmq")
    if LIVE_FIXTURES.intersection(fixtures):
        marks.add("live")
    return sorted(marks)


def sort_into_runs(items: list[pytest.Item]) -> None:
    """Mark each test with what it needs, and put those first that take longest.

    A long test that starts last would keep the whole run waiting.
    """
    for item in items:
        for mark in marks_of(getattr(item, "fixturenames", ())):
            item.add_marker(mark)
        if WAIT_FOR_PROCESSES.isdisjoint(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.flaky(reruns=0))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    marks = {mark.name for mark in item.iter_markers()}
    return 0 if "slow" in marks else 1 if "live" in marks else 2


# In which order --------------------------------------------------------------------------------------


class OneByOne(LoadScopeScheduling):
    """Give each process of a parallel run the next test when it has done one.

    xdist's own ways hand out many at once: the longest, which stand first, would all go to one process.
    Modules with a fixture of their own stay in one piece, so that each is made once. What needs RabbitMQ
    goes to a few processes, which do it first: each starts a node, and that is six seconds of work.
    """

    def _assign_work_unit(self, node: Any) -> None:
        for_rabbit = node in self.nodes[:RABBIT_NODES]
        fitting = (scope for scope in self.workqueue if _needs_rabbitmq(scope) is for_rabbit)
        if (chosen := next(fitting, None)) is not None:
            self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if _has_a_fixture(self.config.rootpath / module) else nodeid


def _needs_rabbitmq(scope: str) -> bool:
    # Told from its name: marks stay with the processes that collect. A wrong guess costs a start, no test.
    return "rabbit" in scope.lower() or "amqp" in scope.lower()


@cache
def _has_a_fixture(module: Path) -> bool:
    return '@pytest.fixture(scope="module")' in module.read_text()


# What ran again --------------------------------------------------------------------------------------


def tell_reruns(stats: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return two lines for each test that ran again: how often and how it ended; why it failed at first.

    `stats` is what pytest's terminal reporter has: outcome → reports.
    """
    again: dict[str, list[pytest.TestReport]] = {}
    for report in stats.get("rerun", ()):
        again.setdefault(report.nodeid, []).append(report)
    failed = {report.nodeid for outcome in ("failed", "error") for report in stats.get(outcome, ())}
    lines = []
    for nodeid, reports in sorted(again.items()):
        times = {1: "once", 2: "twice"}.get(len(reports), f"{len(reports)} times")
        ended = "failed all the same" if nodeid in failed else "passed"
        lines += [f"{nodeid} ran again {times} and {ended}. At first:", f"    {last_line(reports[0])}"]
    return lines


def last_line(report: pytest.TestReport) -> str:
    """Return why a test failed, in one line: ``file:line: error``."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return (report.longreprtext.strip().splitlines() or ["no reason given"])[-1]
    return f"{os.path.relpath(crash.path)}:{crash.lineno}: {(crash.message.splitlines() or [''])[0]}"
