"""Settings that undo each other do what the doctor says, in a real worker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support import Worker, eventually

pytestmark = [pytest.mark.redis, pytest.mark.slow]

PROJECT = """
    import os, pathlib, time
    from celery import Celery

    app = Celery("undone", broker=os.environ["BROKER_URL"])
    app.conf.worker_concurrency = 1

    def note(name):
        with open(pathlib.Path(__file__).parent / "notes", "a") as file:
            file.write(f"{name}\\n")

    @app.task(acks_late=True, acks_on_failure_or_timeout=False, time_limit=1)
    def slow():
        note("slow")
        time.sleep(60)

    @app.task(autoretry_for=(OSError,), default_retry_delay=2, max_retries=1)
    def flaky(name):
        note(name)
        raise OSError

    @app.task(reject_on_worker_lost=True)
    def killed():
        note("killed")
        os.kill(os.getpid(), 9)
"""


def test_undone__as_the_doctor_says(
    redis_url: str, worker_factory: Callable[..., Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "undone_project.py").write_text(dedent(PROJECT))
    monkeypatch.setenv("BROKER_URL", redis_url)
    monkeypatch.syspath_prepend(str(tmp_path))
    import undone_project

    def runs(name: str) -> int:
        notes = tmp_path / "notes"
        return notes.read_text().split().count(name) if notes.exists() else 0

    env = {"PYTHONPATH": str(tmp_path), "BROKER_URL": redis_url}
    worker_factory(redis_url, app="undone_project", pool="prefork", env=env, plain=True)
    tasks = undone_project
    tasks.killed.delay()
    tasks.flaky.apply_async(("short",), expires=1)
    tasks.flaky.apply_async(("long",), expires=60)
    eventually(lambda: runs("long") == 2, 30.0)
    tasks.slow.delay()
    eventually(lambda: runs("slow") >= 3, 30.0)

    assert runs("short") == 1  # its retry was due before that of the other
    assert runs("killed") == 1
