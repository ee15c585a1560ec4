"""The example project as tests change it: a settings module on top of its own, and processes under that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.support import ROOT, Beat, Worker, eventually

#: Reports twice a second, so that a test need not wait.
_QUICK = 'CELERY_HEALTH |= {"HEARTBEAT_INTERVAL": 0.5, "FLUSH_INTERVAL": 0.25}\n'


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one run of the doctor ended."""

    status: int
    body: dict[str, Any]

    @property
    def found(self) -> list[str]:
        """Return ``code:kind:name`` of every finding, sorted."""
        subjects = [(one["code"], one["subject"]) for one in self.body["findings"]]
        return sorted(f"{code}:{subject['kind']}:{subject['name']}" for code, subject in subjects)

    def finding(self, code: str) -> dict[str, Any]:
        """Return the one finding of a code."""
        (finding,) = [one for one in self.body["findings"] if one["code"] == code]
        return dict(finding)


@dataclass
class Shop:
    """One variant of the example project, on one broker."""

    folder: Path
    broker_url: str
    start_worker: Callable[..., Worker]
    start_beat: Callable[..., Beat]
    more_env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.change("")

    def change(self, settings: str, **modules: str) -> None:
        """Write the variant: lines of settings after the shop's own, and modules beside it."""
        own = f"from shop.settings import *\n{_QUICK}{dedent(settings)}"
        for name, source in {
            "variant": own,
            **{name: dedent(text) for name, text in modules.items()},
        }.items():
            (self.folder / f"{name}.py").write_text(source)

    @property
    def env(self) -> Mapping[str, str]:
        """Return the environment of every process of the variant."""
        paths = [self.folder, ROOT / "example_project", ROOT]
        return {
            "DJANGO_SETTINGS_MODULE": "variant",
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",  # it is written anew within a second
            "BROKER_URL": self.broker_url,
            "SHOP_DATABASE": str(self.folder / "shop.sqlite3"),
            **self.more_env,
        }

    # Processes

    def worker(self, **options: Any) -> Worker:
        """Start a worker and wait until it consumes."""
        return self.start_worker(self.broker_url, app="shop", pool="solo", env=self.env, **options)

    def beat(self) -> Beat:
        """Start a beat."""
        return self.start_beat(self.broker_url, app="shop", env=self.env, max_interval=1)

    def run(self, code: str) -> None:
        """Run code in a process of the project, as a view would."""
        subprocess.run(
            [sys.executable, "-c", f"import django; django.setup()\n{dedent(code)}"],
            env={**os.environ, **self.env},
            check=True,
            timeout=60,
        )

    def manage(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py``; a warning of Python's on the way is an error."""
        return subprocess.run(
            [sys.executable, "-m", "django", *argv],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    # The doctor

    def doctor(self, *options: str) -> Answer:
        """Ask the doctor once."""
        done = self.manage("celery_health", "doctor", "--json", *options)
        assert done.stdout, done.stderr
        return Answer(status=done.returncode, body=json.loads(done.stdout))

    def doctor_finds(self, found: Sequence[str], timeout: float = 30.0) -> Answer:
        """Ask until exactly this is found: what workers and beats report takes a moment to arrive."""

        def ask() -> Answer:
            answer = self.doctor()
            assert answer.found == sorted(found), (answer.found, answer.body["notes"])
            return answer

        return eventually(ask, timeout, interval=0.2)
