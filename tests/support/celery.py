"""Real Celery and web processes over the test project, run as people run them."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from celery import Celery

from tests.support.ports import free_port
from tests.support.processes import ManagedProcess

_numbers = itertools.count(1)


def project_env(
    broker_url: str,
    *,
    health: Mapping[str, Any] | None = None,
    conf: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    plain: bool = False,
) -> dict[str, str]:
    """Return the environment that points the test project at a broker.

    `health` becomes ``CELERY_HEALTH``, `conf` goes over the Celery configuration (both as JSON);
    `plain` leaves celery_health out of INSTALLED_APPS, for comparison.
    """
    return {
        "DJANGO_SETTINGS_MODULE": "tests.project.settings",
        "PYTHONUNBUFFERED": "1",
        "CELERY_TEST_BROKER": broker_url,
        "CELERY_TEST_HEALTH": json.dumps(dict(health or {})),
        "CELERY_TEST_CONF": json.dumps(dict(conf or {})),
        "CELERY_TEST_PLAIN": "1" if plain else "",
        **(env or {}),
    }


class Worker(ManagedProcess):
    """``celery -A tests.project worker``. `stop` is a warm shutdown, `kill` a SIGKILL of the main process."""

    def __init__(
        self,
        broker_url: str,
        *,
        name: str | None = None,
        app: str = "tests.project",
        pool: str = "prefork",
        concurrency: int = 1,
        queues: Sequence[str] | None = None,
        options: Sequence[str] = (),
        gossip: bool = False,
        health: Mapping[str, Any] | None = None,
        conf: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        plain: bool = False,
        loglevel: str = "INFO",
    ) -> None:
        #: ``name@host``, as it stands in every answer.
        self.hostname = name if name and "@" in name else f"{name or f'w{next(_numbers)}'}@test"
        argv = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", self.hostname, "-l", loglevel]
        argv += ["-P", pool, "-c", str(concurrency)]
        if queues is not None:
            argv += ["-Q", ",".join(queues)]
        if not gossip:  # mingling alone costs a second at each start
            argv += ["--without-gossip", "--without-mingle"]
        super().__init__(
            [*argv, *options],
            name=f"worker {self.hostname}",
            env=project_env(broker_url, health=health, conf=conf, env=env, plain=plain),
        )

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """Wait until it consumes. Needs a log level of INFO or DEBUG."""
        self.wait_for_log(f"{self.hostname} ready.", timeout)
        return self

    def __enter__(self) -> Self:
        super().__enter__()
        return self.wait_ready()

    def wait_heeds(self, app: Celery, timeout: float = 30.0) -> Self:
        """Wait until remote control reaches it: it says "ready" before it subscribes to commands."""
        self.wait_until(lambda: app.control.ping(destination=[self.hostname], timeout=1), timeout)
        return self

    def child_pids(self) -> list[int]:
        """Return the pool's processes (prefork), by id."""
        import psutil

        return sorted(child.pid for child in psutil.Process(self.pid).children())


class Beat(ManagedProcess):
    """``celery -A tests.project beat`` with a schedule file of its own."""

    def __init__(
        self,
        broker_url: str,
        *,
        app: str = "tests.project",
        scheduler: str | None = None,
        max_interval: float | None = None,
        options: Sequence[str] = (),
        health: Mapping[str, Any] | None = None,
        conf: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        plain: bool = False,
        loglevel: str = "DEBUG",
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="celery-health-beat-"))
        argv = [sys.executable, "-m", "celery", "-A", app, "beat", "-l", loglevel]
        argv += ["-s", str(self.folder / "schedule"), "--pidfile="]
        if scheduler is not None:
            argv += ["-S", scheduler]
        if max_interval is not None:
            argv += ["--max-interval", str(max_interval)]
        super().__init__(
            [*argv, *options],
            name="beat",
            env=project_env(broker_url, health=health, conf=conf, env=env, plain=plain),
        )

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """Wait until the scheduler ticks. Needs DEBUG: at INFO beat says nothing after "Starting...".

        Ended before that, Celery may be in the middle of opening its schedule file, and exits with 1.
        """
        self.wait_for_log("Ticking with max interval", timeout)
        return self

    def __enter__(self) -> Self:
        super().__enter__()
        return self.wait_ready()

    def close(self) -> None:
        """Kill it, and remove its schedule file."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP answer, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


class WebServer(ManagedProcess):
    """The test project behind ``gunicorn`` (threads), ``uvicorn`` (ASGI) or ``runserver``."""

    def __init__(
        self,
        broker_url: str,
        *,
        server: str = "gunicorn",
        workers: int = 1,
        threads: int = 4,
        options: Sequence[str] = (),
        health: Mapping[str, Any] | None = None,
        conf: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        plain: bool = False,
    ) -> None:
        self.port = 0
        argv = [sys.executable, "-m"]
        if server == "gunicorn":
            argv += ["gunicorn", "tests.project.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"]
            argv += ["--workers", str(workers), "--threads", str(threads)]
            self._announcement = r"Listening at: http://127\.0\.0\.1:(\d+)"
        elif server == "uvicorn":
            argv += ["uvicorn", "tests.project.asgi:application", "--host", "127.0.0.1", "--port", "0"]
            self._announcement = r"Uvicorn running on http://127\.0\.0\.1:(\d+)"
        elif server == "runserver":
            argv += ["django", "runserver", f"127.0.0.1:{free_port()}", "--noreload", "--skip-checks"]
            self._announcement = r"Starting development server at http://127\.0\.0\.1:(\d+)"
        else:
            raise ValueError(f"No server {server!r}: choose gunicorn, uvicorn or runserver.")
        super().__init__(
            [*argv, *options],
            name=f"web ({server})",
            env=project_env(broker_url, health=health, conf=conf, env=env, plain=plain),
        )

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """Wait until it accepts connections."""

        def announced() -> bool:
            found = re.search(self._announcement, self.log)
            if found:
                self.port = int(found.group(1))
                with socket.socket() as probe:
                    probe.settimeout(1)
                    return probe.connect_ex(("127.0.0.1", self.port)) == 0
            return False

        self.wait_until(announced, timeout)
        return self

    def __enter__(self) -> Self:
        super().__enter__()
        return self.wait_ready()

    @property
    def url(self) -> str:
        """Return ``http://host:port``."""
        return f"http://127.0.0.1:{self.port}"

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30.0,
    ) -> Response:
        """Make one request on a connection of its own; follow no redirect, raise for no status."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            return Response(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=content,
                seconds=time.monotonic() - started,
            )
        finally:
            connection.close()
