"""Imports come before deadlines, and what is late meanwhile is not known: nobody is called away for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_health.conf import Settings
from celery_health.deadline import Deadline
from celery_health.exceptions import LateBrokerError, LateError
from celery_health.health import judge
from celery_health.health.gaps import notes_of
from celery_health.health.headline import reason
from celery_health.reading import check_broker, get_reading
from celery_health.reading.preparation import Preparation
from celery_health.reading.reader import Reader
from celery_health.records import CheckStatus, Snapshot, Status
from tests.support import ROOT, RedisServer, WebServer, project_env

# Python 3.12 warns of every fork of a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

#: Stands for a slow disk or a busy machine: Celery's way to a Redis takes longer to import than DEADLINE.
SLOW_IMPORT = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "kombu.transport.redis":
            time.sleep(float({seconds!r}))

sys.meta_path.insert(0, Slow())
"""


def test_preparation__tells_since_when_and_ends() -> None:
    gate, done = threading.Event(), []

    def work() -> None:
        gate.wait(10)
        done.append(1)
        raise ImportError("raised where it is tried again")

    preparation = Preparation(work, name="test")
    for _ in range(2):
        with pytest.raises(LateError, match=r"This process is still importing \(for 0\.\d s\)\."):
            preparation.wait(Deadline.after(0.01))
    assert not preparation.is_done
    gate.set()
    preparation.wait(Deadline.after(10))
    preparation.wait(Deadline.after(0))

    assert done == [1]


class Importing:
    """A process whose imports last until `gate` opens: a double, for no import lasts on demand."""

    def __init__(self, reader: Reader) -> None:
        self.gate = threading.Event()
        self._import = reader._preparation._function
        reader._preparation = Preparation(self._late, name="test-imports")

    def _late(self) -> None:
        self.gate.wait(30)
        self._import()


@pytest.fixture
def reader(
    make_app: Callable[..., Celery], own_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> Any:
    made = Reader(make_app(own_redis().url), Settings(deadline=2.0))
    monkeypatch.setattr("celery_health.reading.get_reader", lambda: made)
    yield made
    made.close()


def statuses(snapshot: Snapshot) -> dict[str, CheckStatus]:
    return {check.id: check.status for check in judge(snapshot, Settings()).checks}


@pytest.mark.redis
def test_reading__while_importing_nothing_is_known_and_nobody_away(reader: Reader) -> None:
    importing = Importing(reader)
    snapshot, _ = get_reading(Deadline.after(0.1))
    report = judge(snapshot, Settings())

    assert (snapshot.broker.reachable, snapshot.store.reachable) == (None, None)
    assert snapshot.broker.late == "This process is still importing (for 0.1 s)."
    # No green, since nothing was looked at; no fault either.
    assert report.status is Status.DEGRADED
    found = {check.status for check in report.checks}
    assert found <= {CheckStatus.UNKNOWN, CheckStatus.UNSUPPORTED, CheckStatus.OFF}
    assert statuses(snapshot)["broker.reachable"] is CheckStatus.UNKNOWN
    assert "away" not in " ".join(check.message for check in report.checks)
    with pytest.raises(LateBrokerError, match="still importing"):
        check_broker(Deadline.after(0.05))

    importing.gate.set()
    snapshot, _ = get_reading(Deadline.after(20))
    assert (snapshot.broker.reachable, snapshot.store.reachable) == (True, True)
    check_broker(Deadline.after(20))


@pytest.mark.redis
def test_reading__while_task_modules_are_imported_nobody_is_a_stranger(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader.topology, "get", lambda wait_seconds: None)
    monkeypatch.setattr(type(reader.topology), "importing_seconds", 3.0)
    snapshot, _ = get_reading(Deadline.after(20))
    why = "This process is still importing the project's task modules (for 3.0 s)."

    assert (snapshot.broker.reachable, snapshot.store.reachable) == (True, True)
    assert (snapshot.importing, snapshot.inspection.error) == (why, why)
    found = statuses(snapshot)
    assert found["workers.alive"] is CheckStatus.UNKNOWN
    assert found["queues.consumed"] is CheckStatus.UNKNOWN


@pytest.mark.redis
@pytest.mark.parametrize("source", ["import no_such_module", "import sys; sys.exit(0)"])
def test_reading__task_modules_that_cannot_be_imported_are_no_green(
    reader: Reader, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks_that_fail.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    reader.app.conf.imports = ["tasks_that_fail"]
    snapshot, _ = get_reading(Deadline.after(20))
    none_needed = judge(snapshot, Settings(min_workers=0))

    why = snapshot.tasks_error
    assert why is not None
    assert why.startswith("The project's task modules cannot be imported here (")
    assert ("no_such_module" if "no_such" in source else "tasks_that_fail cannot be imported: it ends") in why
    assert statuses(snapshot)["queues.consumed"] is CheckStatus.UNKNOWN
    assert none_needed.status is Status.DEGRADED
    assert reason(none_needed) == f"what should be is not known. {why}"
    assert why in " ".join(notes_of(none_needed))
    # That nobody is there is proven all the same.
    assert judge(snapshot, Settings()).status is Status.UNHEALTHY


def test_preparation__starts_again_in_a_child_that_was_forked_meanwhile() -> None:
    started, gate = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        gate.wait(10)

    preparation = Preparation(work, name="test")
    with pytest.raises(LateError):
        preparation.wait(Deadline.after(0.01))
    assert started.wait(10)
    child = os.fork()
    if child == 0:
        gate.set()
        try:
            preparation.wait(Deadline.after(5))
        finally:
            os._exit(0 if preparation.is_done else 1)
    gate.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# In processes of their own ------------------------------------------------------------------------------

ASK = """
import json, sys
import django
django.setup()
from celery_health.health import get_report
from celery_health.reading import prepare
prepare()
before = set(sys.modules)
report = get_report(is_one_shot=True)
assert report.snapshot.broker.reachable, report.snapshot.broker
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.mark.live
def test_prepare__leaves_nothing_to_import_for_a_reading(broker_url: str) -> None:
    env = {**os.environ, **project_env(broker_url)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def slow_import(folder: Path, seconds: float) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(SLOW_IMPORT.format(seconds=seconds))
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.live
def test_command__imports_first_and_then_asks(redis_url: str, tmp_path: Path) -> None:
    env = {**os.environ, **project_env(redis_url), **slow_import(tmp_path, 1.5)}
    done = subprocess.run(
        [sys.executable, "-m", "django", "celery_health", "--json", "--timeout", "1"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    checks = {check["id"]: check["status"] for check in json.loads(done.stdout)["checks"]}

    # It is unhealthy: no worker is there, which only a broker that answers can tell.
    assert done.returncode == 1, done.stderr
    assert (checks["broker.reachable"], checks["store.reachable"]) == ("pass", "pass")
    assert checks["workers.alive"] == "fail"


@pytest.mark.live
def test_http__answers_in_time_and_says_that_it_imports(redis_url: str, tmp_path: Path) -> None:
    env = slow_import(tmp_path, 4)
    with WebServer(redis_url, env=env, health={"DEADLINE": 1}) as server:
        answer = server.request("/api/celery/health/")
        ready = server.request("/api/celery/ready/")
        server.wait_until(
            lambda: server.request("/api/celery/health/").json()["checks"][0]["status"] == "pass", 30
        )
    body = answer.json()
    checks = {check["id"]: check for check in body["checks"]}

    assert (answer.status, body["status"]) == (200, "degraded")
    assert checks["broker.reachable"]["status"] == checks["store.reachable"]["status"] == "unknown"
    assert "This process is still importing (for " in checks["broker.reachable"]["message"]
    assert (ready.status, ready.json()["status"]) == (200, "ready")
