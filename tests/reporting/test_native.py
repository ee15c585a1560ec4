"""Native threads where gevent or eventlet has patched all else: they end in time, and leave nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

AGENT = """
PATCH
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
PATCH
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


LOGS = """
PATCH
import contextlib, logging, sys, time
from celery_health.reporting.native import allocate_lock, start_daemon

class Slow(logging.Handler):
    written = []

    def emit(self, record):
        # Writing lets the native thread come here meanwhile.
        with contextlib.suppress(RuntimeError):
            writes.release()
        never.acquire(True, 0.3)
        self.written.append(record.getMessage())

def log():
    writes.acquire()
    logging.getLogger("celery_health").error("from the thread")

writes, never, ended = allocate_lock(), allocate_lock(), allocate_lock()
for lock in (writes, never, ended):
    lock.acquire()
logging.basicConfig(handlers=[Slow()], level=logging.INFO)
start_daemon(log, "logs", at_end=ended.release)
logging.info("from a greenlet")
until = time.monotonic() + 20
while len(Slow.written) < 2:
    assert time.monotonic() < until, "the thread waits for ever"
    time.sleep(0.01)
assert ended.acquire(True, 20)
assert Slow.written == ["from a greenlet", "from the thread"], Slow.written
"""

LAST_LOGS = """
PATCH
import logging, time
from celery_health.reporting.green_logs import LOGS
from celery_health.reporting.native import allocate_lock, start_daemon

class Raising(logging.Handler):
    written = []

    def handle(self, record):
        self.written.append((record.name, record.getMessage()))
        raise OSError("full")

def log():
    for name in ("celery_health", "celery_health.child"):
        logging.getLogger(name).error("said")

ended = allocate_lock()
ended.acquire()
logging.basicConfig(handlers=[Raising()], level=logging.INFO)
logging.getLogger("celery_health.child")
start_daemon(log, "logs", at_end=ended.release)
assert ended.acquire(True, 20)
assert Raising.written == []  # not in the thread
LOGS.drain()
assert Raising.written == [("celery_health", "said"), ("celery_health.child", "said")], Raising.written
"""

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


def run(code: str, argument: str, library: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Eventlet warns of itself.
        [sys.executable, "-W", "ignore", "-c", code.replace("PATCH", PATCHES[library]), argument],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.project.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("library", PATCHES)
def test_agent__the_process_may_exit_as_soon_as_it_has_ended(library: str, redis_url: str) -> None:
    # Several times: taking a hub down while the interpreter ends aborts it, but not at each exit.
    for _ in range(5):
        done = run(AGENT, redis_url, library)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Open files are counted in /proc.")
@pytest.mark.parametrize("library", PATCHES)
def test_threads__each_takes_its_hub_with_it(library: str, redis_url: str) -> None:
    done = run(THREADS, redis_url.partition("127.0.0.1:")[2].partition("/")[0], library)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("library", PATCHES)
def test_threads__may_log_while_a_greenlet_does(library: str) -> None:
    done = run(LOGS, "", library)
    assert (done.returncode, done.stderr) == (0, "")


def test_threads__what_they_logged_last_is_written_at_the_end_whatever_handlers_do() -> None:
    done = run(LAST_LOGS, "", "eventlet")
    assert (done.returncode, done.stderr) == (0, "")
