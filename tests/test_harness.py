"""The harness itself: a test run stands on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from tests.conftest import skip_loudly
from tests.support import (
    ROOT,
    Beat,
    ManagedProcess,
    Proxy,
    RedisServer,
    WebServer,
    Worker,
    always,
    eventually,
    find_rabbitmq_server,
    free_port,
    rabbitmq,
    unanswered_port,
)
from tests.support.ports import share_of
from tests.support.runs import marks_of


def test_free_port__is_nobody_elses() -> None:
    given = [free_port() for _ in range(200)]
    assert len(set(given)) == 200
    assert set(given) <= set(share_of(os.environ.get("PYTEST_XDIST_WORKER", "")))


def test_free_port__each_process_of_a_run_has_its_share() -> None:
    shares = [set(share_of(f"gw{number}")) for number in range(16)]
    assert sum(map(len, shares)) == len(set().union(*shares)) == 12_000


@pytest.mark.rabbitmq
@pytest.mark.slow
def test_rabbit_server__starts_though_another_run_took_its_port(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_rabbitmq_server() is None:
        skip_loudly("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server).")
    # The fourth is epmd's.
    ports = iter([free_port(), free_port(), free_port(), redis_server.port])
    monkeypatch.setattr(rabbitmq, "free_port", lambda: next(ports, None) or free_port())
    with rabbitmq.RabbitServer() as server:
        assert server.api("GET", "overview")["management_version"]


def test_eventually__returns_the_value() -> None:
    values = iter([None, 0, "here"])
    assert eventually(lambda: next(values)) == "here"


def test_eventually__shows_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"Not within 0\.05 s: .*Last seen: 7 == 8|Last seen: 0"):
        eventually(lambda: 0, timeout=0.05)


def test_always__says_how_long_it_held() -> None:
    values = iter([True, False])
    with pytest.raises(AssertionError, match=r"Held for 0\.\d+ s of 5 only: False"):
        always(lambda: next(values), 5, interval=0.01)


def test_process__log_is_shown_when_it_ends_early() -> None:
    process = ManagedProcess([sys.executable, "-c", "print('hello'); raise SystemExit(3)"], name="short")
    with process, pytest.raises(AssertionError, match=r"short ended with status 3(.|\n)*hello"):
        process.wait_for_log("never")
    assert process.returncode == 3
    assert "hello" in process.log


def test_process__its_group_ends_with_it() -> None:
    script = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(99)']); print('child', p.pid, flush=True); time.sleep(99)"
    )
    with ManagedProcess([sys.executable, "-c", script], name="parent") as process:
        child = int(process.wait_for_log("child").split()[1])
        process.kill()
        assert psutil.pid_exists(child)
    assert eventually(lambda: not _runs(child))


def test_process__ends_although_the_run_was_killed() -> None:
    script = (
        "import sys, time; from tests.support import ManagedProcess;"
        "p = ManagedProcess([sys.executable, '-c', 'import time; time.sleep(99)'], name='x').start();"
        "print(p.pid, flush=True); time.sleep(99)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'example_project'}"},
    )
    with run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        assert _runs(child)
        run.send_signal(signal.SIGKILL)
    assert eventually(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# The proxy -------------------------------------------------------------------------------------------


def _client(proxy: Proxy, timeout: float = 0.3) -> redis.Redis:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis(port=proxy.port, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))


def test_proxy__passes_refuses_and_comes_back(
    redis_url: str, redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    with _client(between) as client:
        assert client.ping()
        between.refuse()
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                client.ping()
        between.forward()
        assert client.ping()
    assert between.url("redis://u:p@example.org:1/3") == f"redis://u:p@127.0.0.1:{between.port}/3"


def test_proxy__black_hole_swallows_old_and_new_connections(
    redis_url: str, redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    with _client(between) as old, _client(between) as new:
        assert old.ping()
        between.black_hole()
        for client in (old, new):
            with pytest.raises(redis.TimeoutError):
                client.ping()
        between.forward()
        assert old.ping()
        assert new.ping()


def test_proxy__forgotten_flows_are_dead_and_new_ones_live(
    redis_url: str, redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    with _client(between) as old, _client(between) as new:
        assert old.ping()
        between.forget_flows()
        assert new.ping()
        with pytest.raises(redis.TimeoutError):
            old.ping()


def test_proxy__delays_replies(
    redis_url: str, redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    with _client(between, timeout=2) as client:
        client.ping()
        between.delay(0.1)
        started = time.monotonic()
        client.ping()
        assert 0.1 <= time.monotonic() - started < 0.5


def test_proxy__loses_replies_of_work_that_was_done(
    redis_client: redis.Redis, redis_server: RedisServer, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(redis_server.port)
    between.drop_replies(0.2)
    seen = 0
    with _client(between) as client:
        for _ in range(200):
            try:
                client.incr("n")
                seen += 1
            except redis.ConnectionError:
                pass
    done = int(redis_client.get("n") or 0)
    assert between.replies_dropped > 10
    # Some losses hit the handshake, where nothing was done.
    assert seen < done <= seen + between.replies_dropped


def test_unanswered_port__times_out() -> None:
    import socket

    with unanswered_port() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.3)


# Servers ---------------------------------------------------------------------------------------------


def test_own_redis__restarts_on_its_port(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    port = server.port
    server.kill()
    server.start()
    assert server.port == port
    assert server.ping()


def test_celery_app__publishes_and_counts(celery_app: Celery) -> None:
    celery_app.send_task("some.task", queue="q")
    with celery_app.connection_for_read() as connection, connection.channel() as channel:
        if connection.transport.driver_type == "redis":
            assert channel._size("q") == 1
        else:
            assert channel.queue_declare("q", passive=True).message_count == 1


@pytest.mark.smoke
def test_worker__runs_tasks(
    broker_url: str, worker_factory: Callable[..., Worker], celery_app: Celery
) -> None:
    worker = worker_factory(broker_url, pool="solo", plain=True)
    celery_app.send_task("tests.project.tasks.add", args=(2, 3))
    worker.wait_for_log("tests.project.tasks.add")
    worker.wait_for_log("succeeded in")
    assert worker.stop() == 0


def test_worker__prefork_has_children(redis_url: str, worker_factory: Callable[..., Worker]) -> None:
    worker = worker_factory(redis_url, concurrency=2, plain=True)
    assert len(worker.child_pids()) == 2


@pytest.mark.smoke
def test_beat__starts(redis_url: str, beat_factory: Callable[..., Beat]) -> None:
    assert beat_factory(redis_url, plain=True).stop() == 0


@pytest.mark.smoke
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn", "runserver"])
def test_web_server__answers(server: str, redis_url: str, web_server: Callable[..., WebServer]) -> None:
    response = web_server(redis_url, server=server, plain=True).request("/empty/")
    assert (response.status, response.text) == (200, "ok")


# Runs ------------------------------------------------------------------------------------------------

TESTS_OF_A_RUN = """
from pathlib import Path

import pytest


def attempts(name):
    with (Path(__file__).parent / name).open("a+") as file:
        file.write(".")
        file.seek(0)
        return len(file.read())


@pytest.mark.live
def test_late():
    assert attempts("late") == 3, "the worker said nothing"


@pytest.mark.live
def test_broken():
    raise RuntimeError("no such queue")


@pytest.mark.slow
def test_long():
    pass


def test_wrong():
    assert attempts("wrong") == 2
"""


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[..., str]:
    """Run pytest with this harness over a module of four tests; return what it says."""
    (tmp_path / "test_of_a_run.py").write_text(TESTS_OF_A_RUN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  live\n  slow\n")

    def run(*options: str) -> str:
        argv = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", *options]
        path = f"{ROOT}{os.pathsep}{ROOT / 'example_project'}"
        ended = subprocess.run(
            argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
        return ended.stdout + ended.stderr

    return run


@pytest.mark.parametrize("processes", ["0", "2"])
def test_run__tells_which_tests_ran_again(processes: str, run_of: Callable[..., str]) -> None:
    said = run_of("-n", processes, "--reruns", "2")
    _, _, told = said.partition(" ran again ===")
    assert [line.strip() for line in told.splitlines()[1:5]] == [
        "test_of_a_run.py::test_broken ran again twice and failed all the same. At first:",
        "test_of_a_run.py:21: RuntimeError: no such queue",
        "test_of_a_run.py::test_late ran again twice and passed. At first:",
        "test_of_a_run.py:16: AssertionError: the worker said nothing",
    ], said
    # What waits for no process has no second chance.
    assert "FAILED test_of_a_run.py::test_wrong" in said
    assert "2 failed, 2 passed, 4 rerun" in said


def test_run__starts_with_what_takes_longest(run_of: Callable[..., str]) -> None:
    said = run_of("--collect-only", "-q")
    names = [line.rpartition("::")[2] for line in said.splitlines() if "::" in line]
    assert names == ["test_long", "test_late", "test_broken", "test_wrong"]


@pytest.mark.parametrize(
    ("fixtures", "marks"),
    [
        ((), []),
        (("tmp_path", "redis_url", "redis_server"), ["redis"]),
        (("rabbit_vhost", "rabbit", "worker_factory"), ["live", "rabbitmq"]),
        # On both brokers: each of the two tests has the mark of its own.
        (("broker_url", "rabbit"), []),
        (("exporter_factory",), ["live"]),
    ],
)
def test_run__tells_from_its_fixtures_what_a_test_needs(fixtures: tuple[str, ...], marks: list[str]) -> None:
    assert marks_of(fixtures) == marks


@pytest.mark.parametrize(
    "surface",
    [
        "api", "beat", "brokers", "dead_letters", "doctor", "management", "metrics_surfaces", "monitoring",
        "packaging", "page", "probe", "producers", "situations", "worker",
    ],
)  # fmt: skip
def test_smoke__there_is_one_for_each_surface(surface: str) -> None:
    modules = (ROOT / "tests" / surface).glob("test_*.py")
    assert any("pytest.mark.smoke" in module.read_text() for module in modules)
