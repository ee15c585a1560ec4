"""Native threads in a process that gevent has patched: they end before it does, and leave nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

AGENT = """
from gevent import monkey; monkey.patch_all()
import sys, time
from celery import Celery
from celery_health.conf import Settings
from celery_health.store import open_store
from celery_health.reporting.agent import Agent
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals

app, totals = Celery(broker=sys.argv[1]), Totals()
agent = Agent(
    kind="producer", name=None, totals=totals, faults=Faults(totals), flush_interval=0.02,
    open_store=lambda: open_store(app, Settings(app_id="exits")),
)
agent.start()
for _ in range(10):
    totals.series("task", "queue").succeeded()
    time.sleep(0.02)
assert agent.finish(20)
"""

THREADS = """
from gevent import monkey; monkey.patch_all()
import os, socket, sys, time
from celery_health.reporting.native import start_daemon

def connect():
    # Through gevent's socket, which makes a hub of this thread's own.
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
        pass

def run_one():
    ended = []
    start_daemon(connect, "one", at_end=lambda: ended.append(True))
    while not ended:
        time.sleep(0.001)

run_one()
before = len(os.listdir("/proc/self/fd"))
for _ in range(20):
    run_one()
assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
"""


def run(code: str, argument: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, argument],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.project.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_agent__under_gevent_the_process_may_exit_as_soon_as_it_has_ended(redis_url: str) -> None:
    # Several times: taking a hub down while the interpreter ends aborts it, but not at each exit.
    for _ in range(5):
        done = run(AGENT, redis_url)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Open files are counted in /proc.")
def test_threads__under_gevent_each_takes_its_hub_with_it(redis_url: str) -> None:
    done = run(THREADS, redis_url.partition("127.0.0.1:")[2].partition("/")[0])
    assert (done.returncode, done.stderr) == (0, "")
