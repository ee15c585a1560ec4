"""One total, served by several: replicas behind one Service or scraped directly, and workers that change."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from celery_health.conf import parse
from celery_health.metrics.alerts import Project
from celery_health.metrics.alerts.tasks import FAILED, RUNS
from celery_health.metrics.promql import Scope
from celery_health.metrics.rule_files import prometheus_file
from tests.metrics_surfaces.conftest import Exporter
from tests.metrics_surfaces.prometheus import JOB, Prometheus
from tests.situations.system import System
from tests.support import RedisServer, WebServer, Worker, eventually

pytestmark = [pytest.mark.live, pytest.mark.prometheus, pytest.mark.slow, pytest.mark.timeout(240)]

PATH = "/api/celery/metrics/"
TASKS = "tests.project.tasks"
PACE = 0.05


class RoundRobin:
    """A Service in front of some ports: each connection goes to the next of them."""

    def __init__(self, *ports: int) -> None:
        self.taken = dict.fromkeys(ports, 0)
        self._turns = itertools.cycle(ports)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._run(self._accept)

    def _run(self, target: object, *args: socket.socket) -> None:
        assert callable(target)
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            port = next(self._turns)
            self.taken[port] += 1
            server = socket.create_connection(("127.0.0.1", port))
            self._open |= {client, server}
            self._run(self._pass_on, client, server)
            self._run(self._pass_on, server, client)

    def _pass_on(self, source: socket.socket, drain: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                drain.sendall(chunk)
            drain.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        # A thread that waits in accept() or recv() hears of a shutdown, not of a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._open):
            end.close()


@pytest.fixture
def system() -> Iterator[System]:
    """A system on a Redis of its own."""
    with RedisServer() as server:
        system = System(redis=server, is_soak=False)
        try:
            yield system
        finally:
            system.close()


def web(system: System) -> WebServer:
    """Start a replica; it lets no connection live on, so that each scrape may go to another."""
    server = WebServer(system.url, health=system.settings, conf=system.conf, options=["--keep-alive", "0"])
    system.stack.callback(server.close)
    server.start()
    return server.wait_ready()


def test_replicas__double_nothing(system: System) -> None:
    project = Project(settings=parse(system.settings), scope=Scope(pace=PACE))
    system.worker()
    replicas = [web(system), web(system)]
    with RoundRobin(*(one.port for one in replicas)) as service:
        jobs = {
            "service": [f"127.0.0.1:{service.port}"],
            "direct": [f"127.0.0.1:{one.port}" for one in replicas],
        }
        with Prometheus(jobs=jobs, path=PATH, rules=prometheus_file(project)) as prometheus:
            prometheus.wait_scraped()
            eventually(lambda: prometheus.query("count by (job) (celery_health_store_up offset 30s)"), 60)
            # Six failures; counted twice, they would be over the floor of ten.
            system.send("fail", count=6)
            system.send("add", count=20)
            late = web(system)
            rules_count_once(prometheus)
            sums_count_replicas(prometheus)
            # A replica that comes later brings old totals in young series.
            assert late.request(PATH).status == 200
            assert "CeleryTaskFailing" not in prometheus.firing()
            assert "CeleryUnhealthy" not in prometheus.firing()
            assert prometheus.broken_rules() == []
            counters_rise(prometheus, 'job="service"')
        assert min(service.taken.values()) >= 10, service.taken


def rules_count_once(prometheus: Prometheus) -> None:
    """See that both jobs reckon the same runs, and no more than there were."""
    runs = f'{RUNS}{{name="{TASKS}.fail"}}'

    def counted() -> bool:
        found = {dict(labels)["job"]: value for labels, value in prometheus.query(runs).items()}
        assert found.keys() == {"service", "direct"}
        # increase() reckons beyond its first and last sample: a little more than was counted.
        assert all(5.5 <= value < 8.5 for value in found.values()), found
        return True

    eventually(counted, 60, interval=0.5)
    peak = prometheus.query(f'max_over_time({FAILED}{{name="{TASKS}.fail"}}[5m])')
    assert max(peak.values()) < 10, peak


def sums_count_replicas(prometheus: Prometheus) -> None:
    """See what a dashboard with a bare ``sum`` shows, and that both remedies of the docs are right."""
    done = f'celery_task_succeeded_total{{name="{TASKS}.add",job="%s"}}'
    once = f"sum by (name) (max by (name, queue_name) ({done}))"

    def settled() -> bool:
        found = {
            "service": prometheus.one(f"sum({done % 'service'})"),
            "direct": prometheus.one(f"sum({done % 'direct'})"),
            "service once": prometheus.one(once % "service"),
            "direct once": prometheus.one(once % "direct"),
        }
        assert found == {"service": 20, "direct": 40, "service once": 20, "direct once": 20}
        return True

    eventually(settled, 60, interval=0.5)


def counters_rise(prometheus: Prometheus, matchers: str) -> None:
    """Fail if any counter or part of a histogram ever went down."""
    series = prometheus.values(f'{{__name__=~"celery_task_.+_(total|count|sum|bucket)",{matchers}}}')
    falls = {
        labels: values
        for labels, values in series.items()
        if any(after < before for before, after in itertools.pairwise(values))
    }
    assert len(series) > 50
    assert falls == {}


def test_workers__rolling_restart_lowers_no_counter(system: System) -> None:
    exporter = Exporter(system.url, health=system.settings, conf=system.conf)
    system.stack.callback(exporter.close)
    exporter.start().wait_ready()
    workers = [system.worker(name=f"old{number}") for number in range(3)]
    with Prometheus(f"127.0.0.1:{exporter.port}") as prometheus:
        prometheus.wait_scraped()
        sent = restart_one_by_one(system, workers)
        events = {
            event: f'sum(celery_task_{event}_total{{name="{TASKS}.add"}})'
            for event in ("received", "started", "succeeded")
        }

        def all_counted() -> bool:
            found = {event: prometheus.one(expr) for event, expr in events.items()}
            # What a leaving worker had prefetched goes back, and is received again by another.
            received = found.pop("received")
            assert found == {"started": sent, "succeeded": sent}
            assert received is not None and received >= sent
            return True

        eventually(all_counted, 60, interval=0.5)
        counters_rise(prometheus, f'job="{JOB}"')


def restart_one_by_one(system: System, workers: list[Worker]) -> int:
    """Replace each worker by one of another name, under load; return how many tasks were sent."""
    sent = 0
    for number, worker in enumerate(workers):
        system.send("add", count=30)
        system.worker(name=f"new{number}")
        system.send("add", count=30)
        assert worker.stop(60) == 0
        sent += 60
    return sent
