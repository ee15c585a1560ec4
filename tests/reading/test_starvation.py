"""A machine with too few processors: what is said of a Redis that answers, and of one that does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, RedisServer, Worker, project_env

pytestmark = [pytest.mark.soak, pytest.mark.live, pytest.mark.redis]

CALLS = 8
BUSY_LOOPS = 4
#: Of the broker and the store: nobody has gone.
GONE = ("cannot be reached", "cannot be read", "is away")


@pytest.fixture
def starved() -> Iterator[list[str]]:
    """Keep two processors busy, and give the words that run a program on these two."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    pinned = ["taskset", "-c", ",".join(map(str, cpus))]
    busy = [subprocess.Popen([*pinned, sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_LOOPS)]
    yield pinned
    for process in busy:
        process.kill()
        process.wait()


def ask(pinned: list[str], broker_url: str, folder: Path) -> tuple[int, Any]:
    """Return status and body of one command, of which nothing was compiled before."""
    folder.mkdir()
    env = {**os.environ, **project_env(broker_url), "PYTHONPYCACHEPREFIX": str(folder)}
    argv = [*pinned, sys.executable, "-m", "django", "celery_health", "--json"]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, json.loads(done.stdout)


def test_starved__a_redis_that_answers_is_never_gone(
    own_redis: Callable[..., RedisServer],
    worker_factory: Callable[..., Worker],
    starved: list[str],
    tmp_path: Path,
) -> None:
    server = own_redis()
    worker_factory(server.url)
    for number in range(CALLS):
        status, body = ask(starved, server.url, tmp_path / str(number))
        said = " ".join(check["message"] for check in body["checks"])
        assert status == 0, said
        assert not any(gone in said for gone in GONE), said


def test_starved__a_redis_that_hangs_is_never_well(
    own_redis: Callable[..., RedisServer], starved: list[str], tmp_path: Path
) -> None:
    server = own_redis()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        answers = [ask(starved, server.url, tmp_path / str(number)) for number in range(2)]
    finally:
        os.kill(server.pid, signal.SIGCONT)
    for _, body in answers:
        assert body["status"] != "healthy"
        assert body["checks"][0]["id"] == "broker.reachable"
        assert body["checks"][0]["status"] in ("fail", "unknown")
