"""The demo, run as a newcomer runs it, and ended in every way there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import embedded
from answers import get
from tests.packaging.makefile import ROOT, demo_command
from tests.support.polling import always, eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]


class Run:
    """One run of what `make demo` runs; all its processes carry its mark in their environment."""

    def __init__(self, folder: Path, *args: str, **variables: str) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self._progress = folder / f"{self.mark}.log"
        env = {name: value for name, value in os.environ.items() if name not in ("BROKER_URL", "REDIS_URL")}
        env |= {"DEMO_RUN": self.mark, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **variables}
        with self._progress.open("w") as progress:
            self.process = subprocess.Popen(
                demo_command(*args),
                cwd=ROOT, env=env, text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=progress,
            )  # fmt: skip

    def finish(self, seconds: float = 120) -> tuple[int, str, str]:
        """Return exit status, output and progress of the run."""
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, self.progress

    @property
    def progress(self) -> str:
        """Return what it has said of its progress so far."""
        return self._progress.read_text()

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
    assert healthy["workers"]["worker_count"] == 2
    assert [name.partition("@")[0] for name in healthy["workers"]["active_workers"]] == ["shop", "slow"]
    assert healthy["queues"].keys() >= {"celery", "emails", "reports"}
    assert healthy["recommendations"] == []
    assert unhealthy["status"] == "unhealthy"
    assert unhealthy["workers"]["error"] == "No active Celery workers found"
    assert any("celery -A shop worker" in advice for advice in unhealthy["recommendations"])
    assert run.has_left_nothing()


def paste(line: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a line as somebody does who pastes it into a fresh terminal, in whatever folder."""
    # Settings and broker of another project must not count.
    env = {
        "PATH": os.defpath,
        "HOME": "/",
        "DJANGO_SETTINGS_MODULE": "other",
        "CELERY_BROKER_URL": "redis://nowhere/0",
    }
    return subprocess.run(
        line, shell=True, cwd="/", env=env, capture_output=True, text=True, timeout=seconds, check=False
    )


def test_guide__each_line_works_when_it_is_pasted(demo: Callable[..., Run]) -> None:
    run = demo()
    eventually(lambda: "Ctrl-C ends the demo" in run.progress, 60)
    (ask, watch, kill, start, down, letters, up, requeue, flood, by_hand) = [
        line.strip() for line in run.progress.splitlines() if line.startswith("    ")
    ]

    def says(line: str, *texts: str, seconds: float = 60) -> None:
        eventually(
            lambda: all(text in paste(line).stdout for text in texts), seconds, what=f"{texts} of {line}"
        )

    assert watch == f"{ask} --watch"
    says(ask, "HEALTHY: 2 workers alive")
    alone = paste(f"unset DJANGO_SETTINGS_MODULE CELERY_BROKER_URL; {by_hand}")
    assert alone.stdout.startswith("HEALTHY"), alone.stderr

    # A payment fails in two ways, each for good, and succeeds once the bank is there again.
    assert paste(down).stdout == "The payment service is down.\n"
    says(letters, "PaymentGatewayDown", "PaymentGatewayTimeout")
    says(ask, "DEGRADED", "tasks.failing", "charge_card")
    assert paste(up).stdout == "The payment service is up.\n"
    assert "Sent" in paste(requeue).stdout
    says(letters, "0 dead letters")

    # What is flooded says so, and is done with it a minute later.
    assert "Queued" in paste(flood).stdout
    says(ask, "queues.depth", "emails")

    # A worker that is killed is missed at once while somebody looks, and no more once it is back.
    (health,) = re.findall(r"http://\S+/health/", run.progress)

    def is_missed() -> bool:
        faults = [check for check in get(health).body["checks"] if check["status"] in ("warn", "fail")]
        return any(check["id"] == "workers.alive" and "shop@" in check["message"] for check in faults)

    # As a page that is open asks: what was reported before the first question proves nothing.
    always(lambda: not is_missed(), 7, interval=1)
    assert paste(kill).returncode == 0
    eventually(is_missed, 20, interval=1)
    marked = {**os.environ, "DEMO_RUN": run.mark}
    with subprocess.Popen(shlex.split(start), env=marked, stderr=subprocess.DEVNULL) as worker:
        says(ask, "2 live")
        worker.terminate()
    run.process.terminate()
    assert run.finish(60)[0] == 128 + signal.SIGTERM


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
