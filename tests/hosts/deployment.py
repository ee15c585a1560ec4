"""One application that runs: its settings module, its database, its Redis, its workers and beat."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis

from tests.hosts.application import Application
from tests.hosts.install import alone, cache_of, clean_environment, install, install_ours
from tests.support import ManagedProcess, RedisServer
from tests.support.postgres import PostgresServer

#: Added to each application's settings as an operator does it: see docs/how-to.
INSTALLED = """
INSTALLED_APPS = [*INSTALLED_APPS, "celery_health"]
MIDDLEWARE = ["celery_health.middleware.ProbeMiddleware", *MIDDLEWARE]
CELERY_HEALTH = {"LIMITS": {"unconsumed_seconds": 3}}  # the minute that it is would make the tests long
"""
#: The last that a worker says at its start; an application may have it log less than Celery does.
_READY = re.compile(r" ready\.|mingle: (all alone|sync complete)")
#: What a process of the application's has: `app` is its Celery app, with all tasks.
_SETUP = (
    "import django; django.setup(); from celery_health.celery_app import find_app; app = find_app(); "
    "app.loader.import_default_modules(); app.finalize()"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the doctor said."""

    findings: Sequence[dict[str, Any]]
    notes: Sequence[str]

    @property
    def ids(self) -> list[str]:
        """Return ``code:kind:subject`` of each finding, in the order in which they are printed."""
        return [id_of(finding) for finding in self.findings]

    def __str__(self) -> str:
        lines = [f"{f['code']}  {f['message']}\n      Fix: {f['fix']}" for f in self.findings]
        return "\n".join([*lines, *(f"Note  {note}" for note in self.notes)]) or "nothing"


def id_of(finding: Mapping[str, Any]) -> str:
    """Return ``code:kind:subject``."""
    return f"{finding['code']}:{finding['subject']['kind']}:{finding['subject']['name']}"


class Deployment:
    """An application in a folder of its own, which is gone with it."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.programs = install(application)
        self.folder = Path(tempfile.mkdtemp(prefix="celery-health-host-"))
        self.folder.chmod(0o711)  # PostgreSQL runs as another user
        self.state = self.folder / "state"
        self.processes: list[ManagedProcess] = []
        self.postgres: PostgresServer | None = None
        self.redis = RedisServer()

    # Life

    def open(self) -> Self:
        """Install celery_health, start the servers, and configure the application as it is sound."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> Self:
        return self.open()

    def _open(self) -> None:
        install_ours(self.folder / "site")
        self.redis.start()
        kept = cache_of(self.application) / "state"
        with alone(kept.parent):
            if not kept.exists():
                self._prepare(kept)
            shutil.copytree(kept, self.state, dirs_exist_ok=True)
        self._start_postgres()
        self.configure()

    def _prepare(self, kept: Path) -> None:
        """Have the application make its database, and keep it for the runs to come."""
        self.state.mkdir()
        self._start_postgres()
        self.configure(plain=True)
        for command in self.application.prepare:
            self.run(command, timeout=1800)
        if self.postgres is not None:
            self.postgres.stop()
        shutil.copytree(self.state, kept)

    def _start_postgres(self) -> None:
        if self.application.postgres:
            self.postgres = PostgresServer(self.state / "postgres")
            self.postgres.shared = True
            if self.postgres.data.exists():
                self.postgres.give()
            self.postgres.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End all that runs, and remove the folder."""
        self.stop()
        if self.postgres is not None:
            self.postgres.close()
        self.redis.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Settings

    def configure(self, extra: str = "", *, plain: bool = False) -> None:
        """Write the operator's settings module, with `extra` at its end; `plain` is without celery_health."""
        self.extra = extra
        text = self.application.settings + self.application.pasted + ("" if plain else INSTALLED) + extra
        path = self.folder / f"{self.application.settings_module}.py"
        path.write_text(text)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of each of its processes."""
        values = {
            "folder": str(self.state),
            "redis": self.redis.url.rpartition("/")[0],
            "postgres": str(self.postgres.port if self.postgres else ""),
        }
        own = {name: text.format(**values) for name, text in self.application.env.items()}
        return {
            **clean_environment(),
            "DJANGO_SETTINGS_MODULE": self.application.settings_module,
            "PYTHONPATH": f"{self.folder}:{self.folder / 'site'}",
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            **own,
        }

    # Processes

    def run(self, command: str, *, timeout: float = 120.0, statuses: Sequence[int] = (0,)) -> str:
        """Run a command as an operator would, and return what it printed to standard output."""
        done = subprocess.run(
            shlex.split(command),
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        ok = done.returncode in statuses and (done.stdout or done.returncode == 0)
        assert ok, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        return done.stdout

    def start(self, commands: Sequence[str], *, wait: bool = True) -> None:
        """Start workers, and then beats, by their commands, and wait until the workers are ready."""
        started = [
            ManagedProcess(
                shlex.split(command), name=f"worker or beat: {command}", env=self.env, cwd=self.folder
            )
            for command in commands
        ]
        for process in started:
            process.env = self.env
            process.start()
            self.processes.append(process)
        workers = sum(" worker " in command for command in commands)
        for process in started[:workers] if wait else ():
            process.wait_until(lambda process=process: _READY.search(process.log), 120)

    def stop(self) -> None:
        """End all workers and beats, at once: nothing runs in them."""
        for process in self.processes:
            process.close()
        self.processes.clear()

    def forget(self) -> None:
        """Empty the broker, the store, the results, and the table that beat copies the schedule to."""
        with redis.Redis(port=self.redis.port) as client:
            client.flushall()
        if self.postgres is not None:
            self.postgres.execute("DELETE FROM django_celery_beat_periodictask")

    @property
    def all_commands(self) -> list[str]:
        """Return the commands of all its processes, as its documentation has them."""
        return [*self.application.workers, *([self.application.beat] if self.application.beat else [])]

    @property
    def few_commands(self) -> list[str]:
        """Return the commands of as few processes as do all: one without a beat needs one for an entry."""
        application = self.application
        beat = application.beat or f"{application.workers[0].partition(' worker')[0]} beat --pidfile= -l INFO"
        scheduled = application.beat is not None or "CELERY_BEAT_SCHEDULE" in self.extra
        return [*(application.few_workers or application.workers), *([beat] if scheduled else [])]

    def send(self, task: str) -> None:
        """Have a web process send a task."""
        self.run(f"python -c {shlex.quote(f'{_SETUP}; app.send_task({task!r})')}")

    def counts(self) -> tuple[int, int]:
        """Return how many tasks and entries of a schedule it has."""
        count = "len([n for n in app.tasks if not n.startswith('celery.')])"
        printed = self.run(
            f"python -c {shlex.quote(f'{_SETUP}; print({count}, len(app.conf.beat_schedule))')}"
        )
        tasks, entries = printed.split()[-2:]
        return int(tasks), int(entries)

    # What is said

    def verdict(self) -> dict[str, Any]:
        """Return the body of ``health/``, by the command."""
        printed = self.run(f"{self.application.manage} celery_health --json", statuses=(0, 1))
        body: dict[str, Any] = json.loads(printed)
        return body

    def verdict_if(self, status: str) -> dict[str, Any]:
        """Return the verdict; it is an AssertionError where its status is another."""
        body = self.verdict()
        wrong = [check for check in body["checks"] if check["status"] not in ("pass", "off")]
        assert body["status"] == status, (body["status"], wrong)
        return body

    def doctor(self, *options: str) -> Found:
        """Return what the doctor finds."""
        command = " ".join((self.application.manage, "celery_health doctor --json", *options))
        body = json.loads(self.run(command, statuses=(0, 1, 2)))
        return Found(findings=body["findings"], notes=body["notes"])

    def seconds_of_check(self, rounds: int = 3) -> tuple[float, float]:
        """Return how long a ``check`` takes without celery_health, and with it: medians, taken in turns."""
        took: dict[bool, list[float]] = {True: [], False: []}
        for plain in (True, False) * rounds:
            self.configure(self.extra, plain=plain)
            started = time.monotonic()
            self.run(f"{self.application.manage} check")
            took[plain].append(time.monotonic() - started)
        return statistics.median(took[True]), statistics.median(took[False])
