"""The demo, run as a newcomer runs it, and ended in every way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import embedded
from tests.packaging.makefile import ROOT, demo_command
from tests.support.polling import eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]


class Run:
    """One run of what `make demo` runs; all its processes carry its mark in their environment."""

    def __init__(self, folder: Path, *args: str, **variables: str) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        env = {name: value for name, value in os.environ.items() if name not in ("BROKER_URL", "REDIS_URL")}
        env |= {"DEMO_RUN": self.mark, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **variables}
        self.process = subprocess.Popen(
            demo_command(*args),
            cwd=ROOT, env=env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self, seconds: float = 120) -> tuple[int, str, str]:
        """Return exit status, output and progress of the run."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """Return every process of the run that lives, wherever its parent went."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DEMO_RUN") == self.mark:
                    found.append(process)
            except psutil.Error:
                continue  # it ended, or is another user's
        return found

    def command_lines(self) -> str:
        """Return what runs, one process a line."""
        lines = []
        for process in self.processes():
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return "\n".join(lines)

    def has_started(self) -> bool:
        """Say whether the last of its processes is there."""
        return "place_orders" in self.command_lines()

    def has_left_nothing(self) -> bool:
        """Say whether no process and no folder of it is there any more."""
        return not self.processes() and not list(self.folder.glob("celery-health-*"))

    def close(self) -> None:
        """End what a failed test left."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.communicate()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*args: str, **variables: str) -> Run:
        runs.append(Run(tmp_path, *args, **variables))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def verdicts(printed: str) -> list[dict[str, Any]]:
    """Return the JSON values in `printed`, one after the other."""
    decoder, found, text = json.JSONDecoder(), [], printed.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


@pytest.mark.smoke
def test_once__prints_a_healthy_and_an_unhealthy_verdict(demo: Callable[..., Run]) -> None:
    run = demo("--once")
    status, out, err = run.finish()

    assert status == 0, err
    healthy, unhealthy = verdicts(out)
    assert healthy["status"] == "healthy"
    assert healthy["workers"]["worker_count"] == 1
    assert healthy["workers"]["active_workers"][0].startswith("shop@")
    assert healthy["queues"].keys() >= {"celery", "emails", "reports"}
    assert healthy["recommendations"] == []
    assert unhealthy["status"] == "unhealthy"
    assert unhealthy["workers"]["error"] == "No active Celery workers found"
    assert any("celery -A shop worker" in advice for advice in unhealthy["recommendations"])
    assert run.has_left_nothing()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stay__a_signal_ends_everything(demo: Callable[..., Run], number: signal.Signals) -> None:
    run = demo()
    eventually(run.has_started, 60)

    run.process.send_signal(number)
    status, _, err = run.finish(60)

    assert status == 128 + number
    assert "nothing is left behind" in err
    assert run.has_left_nothing()


def test_stay__a_signal_while_it_starts_ends_everything(demo: Callable[..., Run]) -> None:
    run = demo()
    eventually(lambda: "worker" in run.command_lines(), 60)

    run.process.terminate()

    assert run.finish(60)[0] == 128 + signal.SIGTERM
    assert run.has_left_nothing()


def test_stay__killed_outright_leaves_nothing(demo: Callable[..., Run]) -> None:
    run = demo()
    eventually(run.has_started, 60)

    run.process.kill()

    eventually(run.has_left_nothing, 60)


def test_start__a_worker_that_cannot_start_is_named_with_its_reason(demo: Callable[..., Run]) -> None:
    run = demo("--once", BROKER_URL="nonsense://nowhere")
    status, out, err = run.finish()

    assert status == 1
    assert out == ""
    assert "worker ended with status" in err
    assert "No such transport: nonsense" in err
    assert run.has_left_nothing()


def test_start__a_taken_port_is_named(demo: Callable[..., Run]) -> None:
    with embedded.RedisServer() as somebody:
        run = demo("--once", "--port", str(somebody.port))
        status, _, err = run.finish()

    assert status == 1
    assert f"Port {somebody.port} is taken" in err
    assert run.has_left_nothing()
