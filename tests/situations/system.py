"""A small Celery system that a situation breaks and repairs, and the reader that judges it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from celery_health.conf import parse
from celery_health.deadline import Deadline
from celery_health.health import judge
from celery_health.reading.reader import Reader
from celery_health.records import CheckStatus, HealthReport, Status
from celery_health.text.commands import NO_ARGUMENT
from tests.support import Beat, RedisServer, Worker, eventually
from tests.support.celery import project_env

#: The limits of a run that should not take an hour: each default divided by about fifteen.
FAST_LIMITS: Mapping[str, float] = {
    "worker_lost_seconds": 3,
    "restart_grace_seconds": 10,
    "not_consuming_seconds": 3,
    "loop_stuck_seconds": 3,
    "unconsumed_seconds": 3,
    "childless_seconds": 10,
    "stalled_seconds": 8,
    "depth": 30,
    "age_seconds": 600,
    "children_restarts_per_minute": 3,
}
FAST: Mapping[str, Any] = {
    "HEARTBEAT_INTERVAL": 0.5,
    "FLUSH_INTERVAL": 0.25,
    "LIMITS": FAST_LIMITS,
}


@dataclass
class System:
    """Everything of one situation; what it starts ends with it."""

    redis: RedisServer
    """A server of its own, to be stopped, paused and killed."""
    is_soak: bool
    """True at the default limits."""
    health: dict[str, Any] = field(default_factory=dict)
    """``CELERY_HEALTH`` of workers and reader, over the limits of the run."""
    conf: dict[str, Any] = field(default_factory=dict)
    """Celery configuration of workers, senders and reader."""
    url: str = ""
    reader_url: str = ""
    """Where the reader looks; the same as `url` unless the situation says otherwise."""
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.url = self.url or self.redis.url
        self._reader: Reader | None = None
        self._app: Celery | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Return ``CELERY_HEALTH`` as workers and reader get it."""
        base = {} if self.is_soak else dict(FAST)
        limits = {**base.get("LIMITS", {}), **self.health.get("LIMITS", {})}
        return {**base, **self.health, "LIMITS": limits}

    def limit(self, name: str) -> float:
        """Return a limit of this run."""
        return float(getattr(parse(self.settings).limits, name))

    # Parts -------------------------------------------------------------------------------------------

    def worker(self, *, wait: bool = True, **options: Any) -> Worker:
        """Start a worker, and wait until it consumes."""
        options.setdefault("health", self.settings)
        options.setdefault("conf", self.conf)
        worker = Worker(options.pop("url", self.url), **options)
        self.stack.callback(worker.close)
        worker.start()
        return worker.wait_ready() if wait else worker

    def beat(self, **options: Any) -> Beat:
        """Start a beat."""
        beat = Beat(self.url, health=self.settings, conf=self.conf, **options)
        self.stack.callback(beat.close)
        beat.start()
        return beat.wait_ready()

    @property
    def app(self) -> Celery:
        """The project's app as a web process has it, on this system's broker."""
        if self._app is None:
            self._app = self.make_app(self.url)
        return self._app

    def make_app(self, url: str) -> Celery:
        """Return an app like the project's on another broker URL."""
        app = Celery("tests.project", broker=url, set_as_current=False)
        app.conf.update(self.conf)
        app.conf.imports = ("tests.project.tasks",)
        self.stack.callback(app.close)
        return app

    def send(self, name: str, *args: Any, count: int = 1, **options: Any) -> None:
        """Send a task of the test project, by its short name, or any by its whole one."""
        whole = name if "." in name else f"tests.project.tasks.{name}"
        for _ in range(count):
            self.app.send_task(whole, args, **options)

    def run(self, command: str) -> None:
        """Run a ``celery`` command that people are told to paste."""
        # The app that gave the command is in no module of this process, as it is in workers.
        program, *arguments = shlex.split(command.replace(NO_ARGUMENT, "tests.project"))
        assert program == "celery", command
        env = {**os.environ, **project_env(self.url, health=self.settings, conf=self.conf)}
        subprocess.run([sys.executable, "-m", program, *arguments], env=env, check=True, timeout=60)

    def send_from_a_process(self, name: str, **options: Any) -> None:
        """Send a task from a process of the project, as a view or a shell does: it counts what it sends."""
        code = (
            "import django; django.setup()\n"
            "from tests.project.celery import app\n"
            f"app.send_task('tests.project.tasks.{name}', **{options!r})"
        )
        env = {**os.environ, **project_env(self.url, health=self.settings, conf=self.conf)}
        subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)

    # Verdicts ----------------------------------------------------------------------------------------

    @property
    def reader(self) -> Reader:
        """The reader of a long-lived process: it remembers from one reading to the next."""
        if self._reader is None:
            self._reader = Reader(self.make_app(self.reader_url or self.url), parse(self.settings))
            self.stack.callback(self._reader.close)
        return self._reader

    def report(self) -> HealthReport:
        """Return the verdict now."""
        return judge(self.reader.read(Deadline.after(2.0)), self.reader.settings)

    def until(self, holds: Callable[[HealthReport], object], timeout: float, what: str) -> HealthReport:
        """Ask until `holds`; return the report that did."""
        last: list[HealthReport] = []

        def asked() -> HealthReport | None:
            last.append(self.report())
            return last[-1] if holds(last[-1]) else None

        try:
            found = eventually(asked, timeout, interval=0.1, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{describe(last[-1])}") from None
        assert found is not None
        return found

    def healthy(self, timeout: float = 30.0) -> HealthReport:
        """Wait until all is well."""
        return self.until(lambda report: report.status is Status.HEALTHY, timeout, "healthy")

    def ping(self) -> str:
        """Say what ``celery inspect ping`` says, with its default timeout of a second."""
        app = self.make_app(self.url)
        app.conf.broker_transport_options = {
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "max_retries": 0,
        }
        try:
            replies = app.control.inspect(timeout=1.0).ping()
        except Exception as error:
            return f"error ({type(error).__name__})"
        return "nobody" if not replies else f"{len(replies)} pong"

    def close(self) -> None:
        """End everything."""
        self.stack.close()


def has(report: HealthReport, check: str, status: str, subject: str | None = None) -> bool:
    """Say whether the report holds such a result."""
    return any(
        result.id == check
        and result.status is CheckStatus(status)
        and (subject is None or result.subject == subject)
        for result in report.checks
    )


def describe(report: HealthReport) -> str:
    """Return what is not well in a report, for the message of a failed test."""
    lines = [f"verdict: {report.status.value}, source {report.snapshot.source.value}"]
    lines += [f"  {worker.hostname}: {worker.state.value}" for worker in report.snapshot.workers]
    lines += [
        f"  {check.id} {check.status.value}: {check.message}"
        for check in report.checks
        if check.status is not CheckStatus.PASS
    ]
    return "\n".join(lines)


def now() -> float:
    """Return monotonic seconds."""
    return time.monotonic()
