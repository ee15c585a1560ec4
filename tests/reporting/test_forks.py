"""Forking while the agent's thread imports: the child must not inherit a module's lock."""

from __future__ import annotations

import os
import threading
import time

import pytest

from celery_health.reporting import forks

# Python 3.12 warns of every fork of a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def fork() -> float:
    """Fork, have the child import as our threads do, and return how long the fork itself took."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with forks.importing():
            os._exit(7)
    took = time.monotonic() - started
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    return took


def test_fork__waits_while_a_thread_of_ours_imports() -> None:
    imports, may_end = threading.Event(), threading.Event()

    def importer() -> None:
        with forks.importing():
            imports.set()
            may_end.wait(10)

    thread = threading.Thread(target=importer)
    thread.start()
    assert imports.wait(5)
    timer = threading.Timer(0.3, may_end.set)
    timer.start()
    assert 0.2 < fork() < forks.MAX_WAIT_SECONDS
    thread.join()
    timer.join()
    # Nothing is held any more, in this process as in the child.
    assert fork() < 0.2


def test_fork__does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "MAX_WAIT_SECONDS", 0.2)
    with forks.importing():
        # By the thread that imports, even: a module may fork when it is imported.
        assert 0.1 < fork() < 5
    assert fork() < 0.2
