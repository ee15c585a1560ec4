"""The probe over real workers and beats: short with the suite, at its defaults to soak."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.support import ROOT, Proxy, RedisServer, eventually


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things take."""

    max_age: float
    """``--max-age`` of the probe, seconds."""
    hold: float
    """How long what is no fault lasts, seconds: longer than `max_age`."""
    import_seconds: float

    @property
    def limit(self) -> float:
        """Return within how many seconds a fault is red: as issue and docs promise."""
        return self.max_age + 10.0


QUICK = Pace(max_age=6.0, hold=10.0, import_seconds=5.0)
DEFAULT = Pace(max_age=60.0, hold=120.0, import_seconds=20.0)


@pytest.fixture(
    params=[
        pytest.param(QUICK, id="quick", marks=pytest.mark.slow),
        pytest.param(DEFAULT, id="default", marks=[pytest.mark.soak, pytest.mark.timeout(600)]),
    ]
)
def pace(request: pytest.FixtureRequest) -> Pace:
    chosen: Pace = request.param
    return chosen


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files, for all processes of the test."""
    monkeypatch.setenv("CELERY_HEALTH_PROBE_DIR", str(tmp_path))
    return tmp_path


class Prober:
    """Runs the probe as a process of its own, and keeps what it said."""

    def __init__(self, pace: Pace, what: str) -> None:
        self._pace = pace
        self._what = what
        self.text = ""

    def __call__(self, kind: str = "worker", *options: str) -> int:
        """Return the exit status."""
        asked = subprocess.run(
            [sys.executable, "-m", "celery_health.probe", kind, f"--max-age={self._pace.max_age}", *options],
            cwd=ROOT,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.text = asked.stdout + asked.stderr
        return asked.returncode

    def turns_green(self, kind: str = "worker", *options: str, timeout: float = 30.0) -> float:
        """Return after how many seconds it is green."""
        return self._turns(0, kind, options, timeout)

    def turns_red(self, kind: str = "worker", timeout: float | None = None) -> float:
        """Return after how many seconds it is red: within those that are promised."""
        return self._turns(1, kind, (), self._pace.limit if timeout is None else timeout)

    def _turns(self, status: int, kind: str, options: tuple[str, ...], timeout: float) -> float:
        started = time.monotonic()
        eventually(lambda: self(kind, *options) == status, timeout, interval=0.5, what=f"status {status}")
        seconds = round(time.monotonic() - started, 1)
        print(f"SEEN {self._what}: {'red' if status else 'green'} after {seconds} s: {self.text.strip()}")
        return seconds

    def stays_green(
        self, kind: str = "worker", *, seconds: float | None = None, state: str | None = None
    ) -> None:
        """Check that it is green all the time, and once says `state`."""
        until = time.monotonic() + (self._pace.hold if seconds is None else seconds)
        asked, states = 0, set()
        while time.monotonic() < until:
            assert self(kind) == 0, self.text
            asked += 1
            states.add(self.text.rpartition("(")[2].rstrip(")\n"))
            time.sleep(0.5)
        print(f"SEEN {self._what}: green {asked} times of {asked}, {', '.join(sorted(states))}")
        assert state is None or state in states


@pytest.fixture
def probe(folder: Path, pace: Pace, request: pytest.FixtureRequest) -> Prober:
    return Prober(pace, request.node.name)


@dataclass
class Line:
    """A broker behind a wire that fails on demand."""

    server: RedisServer
    gate: Proxy
    make_app: Callable[..., Celery]

    @property
    def url(self) -> str:
        """Return the URL that goes through the wire."""
        return self.gate.url(self.server.url)

    def send(self, name: str, *args: Any) -> None:
        """Send a task of the test project, past the wire."""
        self.make_app(self.server.url).send_task(f"tests.project.tasks.{name}", args)

    def breaks(self, how: str, seconds: float) -> Iterator[None]:
        """Break in that way for so long; yields while it lasts, mends after it."""
        until = time.monotonic() + seconds
        if how == "refused":
            self.gate.refuse()
        elif how == "black_holed":
            self.gate.black_hole()
        elif how == "paused":
            self.server.pause()
        while time.monotonic() < until:
            if how == "restarting":
                self.server.kill()
                yield
                yield
                self.server.start()
            yield
        if how in ("refused", "black_holed"):
            self.gate.forward()
        elif how == "paused":
            self.server.resume()


@pytest.fixture
def line(
    own_redis: Callable[..., RedisServer],
    proxy: Callable[[int], Proxy],
    make_app: Callable[..., Celery],
) -> Line:
    server = own_redis()
    return Line(server, proxy(server.port), make_app)
