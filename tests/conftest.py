"""Fixtures: real brokers that start once a run and are clean for each test; processes that end with it."""

from __future__ import annotations

import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast

import pytest
import redis
from celery import Celery, _state

from celery_health import producers
from embedded import RedisNotFoundError, find_redis_server
from tests.support import (
    Beat,
    Proxy,
    RabbitServer,
    RedisServer,
    WebServer,
    Worker,
    find_rabbitmq_server,
)
from tests.support.processes import RUNNING, STARTED
from tests.support.runs import OneByOne, sort_into_runs, tell_reruns

# A run in the background of a shell is born deaf to Ctrl-C, as is each process that a test would interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Begins the reason of every skip for want of a program: the end of the run repeats those.
NOT_RUN = "NOT RUN: "


def skip_loudly(why: str) -> None:
    """Skip this test, and say so again at the end of the run."""
    pytest.skip(NOT_RUN + why)


# Brokers ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the run. Tests that stop or pause one start their own: see `own_redis`."""
    try:
        find_redis_server()
    except RedisNotFoundError as error:
        skip_loudly(str(error))
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis database."""
    with redis.Redis(port=redis_server.port) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of `redis_url`, to look with and to prepare."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def own_redis(redis_server: RedisServer) -> Iterator[Callable[..., RedisServer]]:
    """Start Redis servers of this test's own, which it may pause, kill and restart."""
    servers: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        servers.append(RedisServer(**options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitServer]:
    """One RabbitMQ node for the run; it takes some ten seconds to start."""
    if find_rabbitmq_server() is None:
        skip_loudly("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server).")
    server = RabbitServer(shared=True)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def rabbit_vhost(rabbit: RabbitServer) -> Iterator[str]:
    """An empty virtual host of this test's own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    rabbit.add_vhost(name)
    yield name
    rabbit.delete_vhost(name)


@pytest.fixture
def rabbit_url(rabbit: RabbitServer, rabbit_vhost: str) -> str:
    """The URL of an empty virtual host."""
    return rabbit.url(rabbit_vhost)


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ]
)
def broker_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker: each test that asks for it runs on Redis and on RabbitMQ."""
    url: str = request.getfixturevalue("redis_url" if request.param == "redis" else "rabbit_url")
    return url


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    """Put TCP proxies before ports: ``proxy(server.port)``."""
    proxies: list[Proxy] = []

    def start(port: int) -> Proxy:
        proxies.append(Proxy(port))
        return proxies[-1]

    yield start
    for one in proxies:
        one.close()


# Celery ----------------------------------------------------------------------------------------------


@pytest.fixture
def make_app() -> Iterator[Callable[..., Celery]]:
    """Make Celery apps that are nobody's current app: ``make_app(url, task_default_queue="x")``."""
    apps: list[Celery] = []

    def make(broker_url: str, **conf: Any) -> Celery:
        app = Celery("tests", broker=broker_url, set_as_current=False)
        app.conf.update(conf)
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def celery_app(broker_url: str, make_app: Callable[..., Celery]) -> Celery:
    """A fresh Celery app on `broker_url`."""
    return make_app(broker_url)


@pytest.fixture(autouse=True)
def _no_task_left() -> Iterator[None]:
    """Forget the tasks that functions of this test made: all later apps of this process would have them."""
    before = set(_state._on_app_finalizers)
    yield
    for made in _state._on_app_finalizers - before:
        inside = [cell.cell_contents for cell in made.__closure__ or ()]
        if any("<locals>" in getattr(one, "__qualname__", "") for one in inside):
            _state._on_app_finalizers.discard(made)


@pytest.fixture(autouse=True, scope="session")
def _tests_report_nothing() -> None:
    """Have no agent for what tests send by themselves: it would write into the store of any test."""
    producers._sender._agent = cast(Any, "no agent")


@pytest.fixture(autouse=True)
def _no_app_left() -> Iterator[None]:
    """Put back which app is the current one, and where modules are found: apps of tests change both."""
    state: Any = _state
    current, default, path = getattr(state._tls, "current_app", None), state.default_app, list(sys.path)
    yield
    state._tls.current_app, state.default_app = current, default
    sys.path[:] = path


_THREADS: pytest.StashKey[set[threading.Thread]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which threads there are before a test."""
    item.stash[_THREADS] = set(threading.enumerate())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Wait for what reads the project in a thread, before settings are put back: what it finds is kept.

    A fixture that asked for `settings` to come before it would have them put back in another order.
    """
    for thread in set(threading.enumerate()) - item.stash.get(_THREADS, set()):
        if thread.name in ("celery-health-imports", "celery-health-topology", "celery-health-doctor-static"):
            _wait_for_end(thread)


def _wait_for_end(thread: threading.Thread, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            return thread.join(until - time.monotonic())
        except RuntimeError:  # it is about to start
            time.sleep(0.01)


@pytest.fixture
def worker_factory() -> Iterator[Callable[..., Worker]]:
    """Start real workers and wait until they consume: ``worker_factory(url, pool="solo")``."""
    workers: list[Worker] = []

    def start(broker_url: str, *, wait: bool = True, **options: Any) -> Worker:
        worker = Worker(broker_url, **options)
        workers.append(worker)
        worker.start()
        return worker.wait_ready() if wait else worker

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def beat_factory() -> Iterator[Callable[..., Beat]]:
    """Start real beats: ``beat_factory(url, max_interval=1)``."""
    beats: list[Beat] = []

    def start(broker_url: str, *, wait: bool = True, **options: Any) -> Beat:
        beat = Beat(broker_url, **options)
        beats.append(beat)
        beat.start()
        return beat.wait_ready() if wait else beat

    yield start
    for beat in beats:
        beat.close()


@pytest.fixture
def web_server() -> Iterator[Callable[..., WebServer]]:
    """Start real web servers over the test project: ``web_server(url, server="uvicorn")``."""
    servers: list[WebServer] = []

    def start(broker_url: str, **options: Any) -> WebServer:
        server = WebServer(broker_url, **options)
        servers.append(server)
        server.start()
        return server.wait_ready()

    yield start
    for server in servers:
        server.close()


# The run ---------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # By default SIGTERM ends Python without cleaning up; a cancelled CI job sends it.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


# Before xdist sends the order to its controller, and before -m chooses.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sort_into_runs(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand the tests out one by one; another ``--dist`` than the default is left alone."""
    return OneByOne(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test wrote."""
    report = yield
    if report.failed:
        for process in RUNNING:
            report.sections.append((f"log of {process.name} (pid {process.pid})", process.log[-6000:]))
    return report


@pytest.fixture(autouse=True)
def _no_process_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that started a process and did not end it; servers of the run may stay.

    And the one that started a process of Celery or of the web, and is not marked as ``live``.
    """
    before, started = set(RUNNING), len(STARTED)
    yield
    if request.node.get_closest_marker("live") is None:
        live = [
            name for name in STARTED[started:] if name.startswith(("worker ", "beat", "web ", "exporter"))
        ]
        assert not live, f"Mark this test as live: it starts {', '.join(live)}."
    left = [one for one in RUNNING if one not in before and not one.shared]
    for one in left:
        one.close()
    assert not left, f"Left running: {', '.join(one.name for one in left)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the tests that ran again: a run that is green must not hide them."""
    lines = tell_reruns(terminalreporter.stats)
    if lines:
        terminalreporter.section("ran again", yellow=True)
        for line in lines:
            terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say at the very end what could not run, after the list of ordinary skips."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a worker of xdist
        return
    reasons: dict[str, int] = {}
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _, loud, why = reason.partition(NOT_RUN)
        if loud:
            reasons[why] = reasons.get(why, 0) + 1
    for why, count in reasons.items():
        reporter.write_line(f"{NOT_RUN}{count} test(s). {why}", red=True, bold=True)
