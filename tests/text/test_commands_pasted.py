"""Commands do in a shell what they say, whatever a queue is called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from redis import Redis

from celery_health.text.commands import add_consumer_command, purge_command, worker_command
from tests.support import ROOT, Worker
from tests.support.celery import project_env
from tests.support.processes import ManagedProcess

#: Names that a shell, click or `-Q` would take for something else.
ODD = ["a,b", "-x", "it's $HOME", " padded"]


def shell(command: str, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["sh", "-c", command], env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def environment(redis_url: str) -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**project_env(redis_url), "PATH": path}


@pytest.mark.live
def test_commands__take_odd_names_by_the_letter(
    redis_url: str, redis_client: Redis, worker_factory: Callable[..., Worker]
) -> None:
    env = environment(redis_url)
    for name in (*ODD, "a", "b"):
        redis_client.lpush(name, "{}")
    for name in ODD:
        command = purge_command("tests.project", name)
        shell(command.replace(" purge ", " purge -f "), env)  # without a question

    assert [name for name in (*ODD, "a", "b") if redis_client.llen(name)] == ["a", "b"]

    worker = worker_factory(redis_url, name="odd@test", pool="solo", queues=["celery"])
    worker.wait_until(lambda: "pong" in ping(env))
    for name in ODD:
        shell(add_consumer_command("tests.project", name, "odd@test"), env)

    asked = shell("celery -A tests.project inspect -j active_queues", env)
    assert all(f'"name": "{name}"' in asked for name in ODD), asked


def ping(env: Mapping[str, str]) -> str:
    asked = subprocess.run(
        ["sh", "-c", "celery -A tests.project inspect ping"],
        env={**os.environ, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return asked.stdout


@pytest.mark.live
def test_worker_command__takes_odd_names_by_the_letter(redis_url: str) -> None:
    names = [" padded", "-x", "it's $HOME", "b"]
    command = worker_command("tests.project", names, ["a", " b"])
    options = " -n odd@test -P solo -l INFO --without-mingle --without-gossip"

    with ManagedProcess(
        ["sh", "-c", f"{command}{options}"], name=command, env=environment(redis_url), cwd=ROOT
    ) as worker:
        log = worker.wait_for_log("odd@test ready.")

    taken = [line.partition(".> ")[2] for line in log.splitlines() if " exchange=" in line]
    assert sorted(name.partition(" exchange=")[0].rstrip() for name in taken) == sorted(
        [" padded", "-x", "a", "b", "it's $HOME"]
    )
