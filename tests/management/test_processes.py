"""The command as it is run: a process of its own, a real Redis, a real worker."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.support import ROOT, ManagedProcess, RedisServer, Worker, eventually, project_env, unanswered_port

pytestmark = pytest.mark.live

COMMAND = [sys.executable, "-m", "django", "celery_health"]
NO_WORKERS = "No active Celery workers found"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one run left."""

    status: int
    out: str
    err: str
    seconds: float


def run(broker_url: str, *argv: str, env: Mapping[str, str] | None = None, **options: Any) -> Ran:
    started = time.monotonic()
    ended = subprocess.run(
        [*COMMAND, *argv],
        cwd=ROOT,
        env={**os.environ, **project_env(broker_url, **options), "NO_COLOR": "", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ran(
        status=ended.returncode, out=ended.stdout, err=ended.stderr, seconds=time.monotonic() - started
    )


def start_seconds(broker_url: str) -> float:
    """Return how long the interpreter and Django alone take: what a timeout does not cover."""
    started = time.monotonic()
    subprocess.run(
        [*COMMAND, "--help"],
        cwd=ROOT,
        env={**os.environ, **project_env(broker_url)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return time.monotonic() - started


@pytest.mark.smoke
def test_process__healthy_with_a_worker(redis_url: str, worker_factory: Callable[..., Worker]) -> None:
    worker = worker_factory(redis_url)
    ran = run(redis_url)
    assert ran.status == 0, ran.err
    assert ran.out.startswith("HEALTHY: 1 worker alive, 0 tasks waiting.\n")
    assert f"\nWorkers  1 live ({worker.hostname})\n" in ran.out
    assert "\x1b" not in ran.out
    body = json.loads(run(redis_url, "--json").out)
    assert (body["status"], body["workers"]["active_workers"]) == ("healthy", [worker.hostname])


@pytest.mark.smoke
def test_process__unhealthy_without_a_worker(redis_url: str) -> None:
    ran = run(redis_url)
    assert ran.status == 1, ran.err
    assert ran.out.startswith(f"UNHEALTHY: {NO_WORKERS}")
    assert "Start one: celery -A tests.project worker" in ran.out
    assert ran.err == ""


def test_process__degraded_is_0_and_strictly_1(
    redis_url: str, redis_client: redis.Redis, worker_factory: Callable[..., Worker]
) -> None:
    worker_factory(redis_url)
    # A queue that nobody takes from. What stands in it nobody decodes.
    redis_client.rpush("bulk", *(["{}"] * 11))
    health = {
        "EXPECTED_QUEUES": ["bulk"],
        "LIMITS": {"depth": 10},
        "CHECKS": {"queues.consumed": "off", "queues.stalled": "off", "queues.age": "off"},
    }
    ran = run(redis_url, health=health)
    assert (ran.status, ran.out.partition(":")[0]) == (0, "DEGRADED"), ran
    assert "Queue 'bulk' holds 11 tasks (limit 10)." in ran.out
    assert run(redis_url, "--strict", health=health).status == 1


def test_process__redis_stopped_answers_within_the_timeout(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    before = start_seconds(server.url)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ran = run(server.url, "--timeout", "1")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert ran.status == 1, ran.err
    assert ran.out.startswith("UNHEALTHY: The broker at redis://")
    # One cause, one row; what is not known because of it is one line.
    # The store is that Redis, and may have been asked itself.
    rows = re.findall(r"^  (fail|warn|unknown|unsupported) +(\S+):", ran.out, re.MULTILINE)
    assert rows[:1] == [("fail", "broker.reachable")]
    assert set(rows[1:]) <= {("warn", "store.reachable")}
    assert re.search(r"Not known because of broker.reachable: .*workers.alive.*queues.depth", ran.out)
    # Two cores, shared: the start alone may take twice as long the next time.
    assert ran.seconds < 2 * before + 1 + 2


def test_process__redis_gone(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis()
    server.stop()
    ran = run(server.url, "--timeout", "2")
    assert ran.status == 1, ran.err
    assert ran.out.startswith("UNHEALTHY: The broker at redis://")


def test_process__black_hole_answers_within_the_timeout() -> None:
    with unanswered_port() as port:
        url = f"redis://127.0.0.1:{port}/0"
        before = start_seconds(url)
        ran = run(url, "--timeout", "1", "--json")
    assert (ran.status, json.loads(ran.out)["status"]) == (1, "unhealthy")
    assert ran.seconds < 2 * before + 1 + 2


def test_process__wrong_password_is_shown_nowhere(own_redis: Callable[..., RedisServer]) -> None:
    server = own_redis(password="right-one")
    url = f"redis://:wrong-one@127.0.0.1:{server.port}/0"
    for options in ([], ["--verbose"], ["--json"]):
        ran = run(url, *options)
        assert ran.status == 1, ran.err
        assert "wrong-one" not in ran.out + ran.err
        assert "right-one" not in ran.out + ran.err


def test_process__app_that_nobody_configured_exits_2_with_the_fix(tmp_path: Path) -> None:
    # A project whose package never imports its Celery app: Celery would ask amqp://guest@localhost.
    (tmp_path / "bare_settings.py").write_text(
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['celery_health']\nUSE_TZ = True\n"
    )
    env = {"DJANGO_SETTINGS_MODULE": "bare_settings", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ran = run("", env=env)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("CommandError: No Celery app is configured in this process")
    assert '"CELERY_APP": "proj.celery:app"' in ran.err


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("health", "message"),
    [
        ({"DEADLIN": 2}, "CELERY_HEALTH has the unknown key 'DEADLIN'. Did you mean 'DEADLINE'?"),
        ({"DEADLINE": "2"}, "CELERY_HEALTH['DEADLINE'] is '2': set seconds or a timedelta"),
    ],
)
def test_process__wrong_settings_exit_2(redis_url: str, health: dict[str, Any], message: str) -> None:
    ran = run(redis_url, health=health)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err


def test_process__answers_although_other_checks_fail(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "from django.apps import AppConfig\nfrom django.core.checks import Error, register\n\n\n"
        "@register\ndef always(app_configs, **kwargs):\n    return [Error('broken', id='failing.E001')]\n"
    )
    env = {"CELERY_TEST_APPS": "failing", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ran = run(redis_url, env=env)
    assert (ran.status, ran.out.partition(":")[0]) == (1, "UNHEALTHY"), ran.err


def test_process__reader_that_leaves_gets_no_traceback(redis_url: str) -> None:
    env = {**os.environ, **project_env(redis_url, health={"EXPECTED_QUEUES": [f"q{n}" for n in range(3000)]})}
    # More than a pipe holds, to a reader that takes one line: the writer meets a closed pipe for sure.
    script = 'set -o pipefail; "$@" --verbose | head -n 1; echo "status ${PIPESTATUS[0]}"'
    ended = subprocess.run(
        ["bash", "-c", script, "bash", *COMMAND],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    first, status = ended.stdout.splitlines()
    assert first.startswith(f"UNHEALTHY: {NO_WORKERS}")
    assert status == "status 1"  # the verdict's own
    assert ended.stderr == ""


def test_process__without_standard_output_only_the_status(redis_url: str) -> None:
    env = {**os.environ, **project_env(redis_url)}
    ended = subprocess.run(
        ["bash", "-c", '"$@" >&-; echo "status $?" >&2', "bash", *COMMAND],
        cwd=ROOT,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert ended.stderr == "status 1\n"


def test_process__full_disk_is_no_verdict(redis_url: str) -> None:
    env = {**os.environ, **project_env(redis_url)}
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            COMMAND, cwd=ROOT, env=env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert ended.returncode == 2
    assert "CommandError: celery_health itself failed" in ended.stderr
    assert "No space left on device" in ended.stderr


def test_process__hostile_queue_name_and_an_encoding_that_lacks_it(redis_url: str) -> None:
    names = ["evil\x1b[2Jname", "line\nHEALTHY: all is well", "\u202eمرحبا", "日本"]
    ran = run(redis_url, health={"EXPECTED_QUEUES": names}, env={"PYTHONIOENCODING": "ascii"})
    assert ran.status == 1, ran.err
    assert "\x1b" not in ran.out
    assert "\nHEALTHY" not in ran.out
    assert r"evil\x1b[2Jname" in ran.out
    assert r"\u65e5\u672c" in ran.out


# --watch -----------------------------------------------------------------------------------------------


class OnATerminal:
    """The command with a pseudo-terminal for its standard output."""

    def __init__(self, broker_url: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
        self._screen, child = pty.openpty()
        self.written = ""
        self._process = subprocess.Popen(
            [*COMMAND, *argv],
            cwd=ROOT,
            env={**os.environ, **project_env(broker_url), "TERM": "xterm", "NO_COLOR": "", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=child,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(child)

    def read(self) -> str:
        while select.select([self._screen], [], [], 0.05)[0]:
            try:
                data = os.read(self._screen, 65536)
            except OSError:  # Linux says EIO when the last writer is gone
                break
            if not data:
                break
            self.written += data.decode()
        return self.written

    def interrupt(self) -> tuple[int, str]:
        self._process.send_signal(signal.SIGINT)
        _, err = self._process.communicate(timeout=20)
        self.read()
        return self._process.returncode, err.decode()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        os.close(self._screen)


@pytest.fixture
def on_a_terminal() -> Iterator[Callable[..., OnATerminal]]:
    started: list[OnATerminal] = []

    def start(*args: Any, **options: Any) -> OnATerminal:
        started.append(OnATerminal(*args, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.smoke
def test_watch__on_a_terminal_sees_a_worker_come(
    redis_url: str, worker_factory: Callable[..., Worker], on_a_terminal: Callable[..., OnATerminal]
) -> None:
    watched = on_a_terminal(redis_url, "--watch", "0.5")
    eventually(lambda: NO_WORKERS in watched.read(), 30)
    worker_factory(redis_url)
    eventually(lambda: "1 worker alive" in watched.read(), 30)
    status, err = watched.interrupt()
    assert (status, err) == (130, "")
    frames = watched.written.split("\x1b[H")
    assert frames[1].startswith("\x1b[31;1mUNHEALTHY\x1b[0m")
    assert "Ctrl-C ends." in frames[1]
    assert frames[-1].startswith("\x1b[32;1mHEALTHY\x1b[0m")


@pytest.mark.parametrize(
    ("options", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"DJANGO_COLORS": "nocolor"})]
)
def test_terminal__without_colour_when_told(
    redis_url: str, on_a_terminal: Callable[..., OnATerminal], options: list[str], env: dict[str, str]
) -> None:
    shown = on_a_terminal(redis_url, *options, env=env)
    eventually(lambda: "Read     " in shown.read(), 30)
    assert "\x1b" not in shown.read()


def test_watch__piped_appends_and_ends_with_130(redis_url: str) -> None:
    process = ManagedProcess(
        [*COMMAND, "--watch", "0.2", "-v", "0"], name="watch", env=project_env(redis_url)
    )
    with process:
        eventually(lambda: process.log.count(f"UNHEALTHY: {NO_WORKERS}") >= 3, 30)
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    assert "\x1b" not in process.log
    assert "Traceback" not in process.log


@pytest.mark.rabbitmq
def test_process__one_look_without_a_store_says_what_it_cannot_know(
    rabbit_url: str, worker_factory: Callable[..., Worker]
) -> None:
    """A web process waits for the limit; a command that ends now never will."""
    worker_factory(rabbit_url, queues=["other"])
    app = Celery(broker=rabbit_url, set_as_current=False)
    for _ in range(3):
        app.send_task("tests.project.tasks.add", (1, 2))
    app.close()

    ran = run(rabbit_url, "--json")

    body = json.loads(ran.out)
    (row,) = (check for check in body["checks"] if check["id"] == "queues.consumed")
    assert (ran.status, body["status"], row["status"], row["subject"]) == (0, "degraded", "warn", "celery")
    assert row["message"] == (
        "Queue 'celery' has no consumer now, and 3 tasks wait; for how long is not known."
    )
    assert any(note.startswith("Only the queues that this project knows") for note in body["notes"])
