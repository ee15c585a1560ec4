"""The example project with all its parts, for the browser: real workers, a real beat, a real web server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, Self

from tests.page.browser import log_in
from tests.support import ROOT, Beat, ManagedProcess, RedisServer, WebServer, Worker

USER: Final = "demo"
PASSWORD: Final = "letmein"
PAGE: Final = "/api/celery/"
#: Reports soon, so that nobody need wait for long; otherwise the shop's own.
_SOON: Final = """
    from shop.settings import *
    CELERY_HEALTH |= {"HEARTBEAT_INTERVAL": 1, "FLUSH_INTERVAL": 0.5}
"""
#: What its workers are called, and what they take: as in the demo.
WORKERS: Final = {"shop@web-1": ["celery", "emails"], "slow@web-2": ["reports"]}


class Shop:
    """One example project in `folder`, on a Redis of its own unless `broker_url` names a broker.

    `settings` are lines after the shop's own. All that it started ends with the context.
    """

    def __init__(self, folder: Path, *, broker_url: str | None = None, settings: str = "") -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self._settings = settings
        self._write("page_settings", settings)
        self.redis = None if broker_url else RedisServer()
        self.broker_url = broker_url or ""
        self.workers: dict[str, Worker] = {}
        self.web: WebServer | None = None

    def __enter__(self) -> Self:
        if self.redis is not None:
            self.broker_url = self._stack.enter_context(self.redis).url
        self.manage("prepare_demo")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def env(self, module: str = "page_settings") -> dict[str, str]:
        """Return the environment of every process of the shop."""
        name = "BROKER_URL" if self.redis is None else "REDIS_URL"
        return {
            "DJANGO_SETTINGS_MODULE": module,
            "PYTHONPATH": os.pathsep.join(map(str, (self.folder, ROOT / "example_project", ROOT))),
            "BROKER_URL": "",
            "REDIS_URL": "",
            name: self.broker_url,
            "SHOP_FOLDER": str(self.folder),
            "SHOP_DATABASE": str(self.folder / "shop.sqlite3"),
            "CELERY_HEALTH_PROBE_DIR": str(self.folder),
            "DEMO_PASSWORD": PASSWORD,
        }

    # Processes

    def start_worker(self, name: str) -> Worker:
        """Start one of `WORKERS`, and wait until it consumes."""
        worker = Worker(
            self.broker_url, name=name, app="shop", concurrency=2, queues=WORKERS[name], env=self.env()
        )
        self.workers[name] = self._keep(worker).wait_ready()
        return worker

    def start_beat(self) -> Beat:
        """Start the beat."""
        return self._keep(Beat(self.broker_url, app="shop", env=self.env())).wait_ready()

    def start_web(self, settings: str = "") -> WebServer:
        """Start a web server whose settings are these lines after the shop's."""
        module = f"web_settings_{len(self.workers)}_{abs(hash(settings))}"
        self._write(module, self._settings + "\n" + dedent(settings))
        self.web = self._keep(
            WebServer(self.broker_url, server="runserver", env=self.env(module))
        ).wait_ready()
        return self.web

    def start_customers(self, every_seconds: float) -> ManagedProcess:
        """Have orders placed until the end."""
        argv = [sys.executable, "-m", "django", "place_orders", "--every", str(every_seconds)]
        return self._keep(ManagedProcess(argv, name="customers", env=self.env()))

    def _keep(self, process: Any) -> Any:
        self._stack.callback(process.close)
        return process.start()

    # What is done in it

    def manage(self, *argv: str) -> str:
        """Run ``manage.py``, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *argv],
            env={**os.environ, **self.env()}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, code: str) -> None:
        """Run code in a process of the project, as a view would."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{dedent(code)}"],
            env={**os.environ, **self.env()}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def open(self, browser: Any, path: str = PAGE) -> None:
        """Log in, and show a path of the newest web server."""
        assert self.web is not None
        log_in(browser, self.web.url, path, USER, PASSWORD)

    def _write(self, module: str, settings: str) -> None:
        (self.folder / f"{module}.py").write_text(dedent(_SOON) + dedent(settings) + "\n")
