"""Subprocesses that leave nothing behind, whatever way the test run ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.polling import eventually, pause_after

ROOT = Path(__file__).resolve().parents[2]

#: Every process this run started and has not closed: for the logs of a failed test, and for the end.
RUNNING: list[ManagedProcess] = []

#: The name of every process that this run started.
STARTED: list[str] = []

# The guard reads "+<group>" and "-<group>" from a pipe that only this process holds. When the pipe ends,
# however this process ended, it kills the groups that are left.
_GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""
_guard: subprocess.Popen[str] | None = None


def _tell_guard(line: str) -> None:
    global _guard
    if _guard is None:
        _guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    assert _guard.stdin is not None
    _guard.stdin.write(line + "\n")
    _guard.stdin.flush()


def guard(group: int) -> None:
    """Have the process group killed when this process ends in whatever way."""
    _tell_guard(f"+{group}")


def unguard(group: int) -> None:
    """Forget the group: it has ended, and its number may be given to another."""
    _tell_guard(f"-{group}")


def _close_guard() -> None:
    global _guard
    if _guard is not None:
        assert _guard.stdin is not None
        _guard.stdin.close()
        _guard.wait()
        _guard = None


class ManagedProcess:
    """One process in a group of its own, its output in a log that a failed test shows."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        shared: bool = False,
    ) -> None:
        self.argv = list(argv)
        self.name = name
        self.env = {**os.environ, **(env or {})}
        self.cwd = cwd
        #: It serves the whole run: a test that sees it start need not end it.
        self.shared = shared
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_path = ""

    # Life

    def start(self) -> Self:
        """Start the process; `wait_ready` of a subclass says when it answers."""
        assert self._popen is None, f"{self.name} was started before."
        descriptor, self._log_path = tempfile.mkstemp(prefix="celery-health-test-", suffix=".log")
        try:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        guard(self.pid)
        RUNNING.append(self)
        STARTED.append(self.name)
        return self

    @property
    def pid(self) -> int:
        """Return the id of the process, which is also its group's."""
        assert self._popen is not None, f"{self.name} was never started."
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Say whether the process has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Return the exit status; negative for a signal, None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the process, or to its whole group."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def pause(self, *, group: bool = False) -> None:
        """Stop the process (SIGSTOP): it keeps its sockets and answers nothing."""
        self.signal(signal.SIGSTOP, group=group)

    def resume(self, *, group: bool = False) -> None:
        """Let a paused process go on."""
        self.signal(signal.SIGCONT, group=group)

    def wait(self, timeout: float = 10.0) -> int:
        """Return the exit status of a process that is about to end.

        Raises:
            AssertionError: it still runs after `timeout` seconds.
        """
        assert self._popen is not None
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout:g} s.") from None

    def kill(self) -> None:
        """Kill the one process, as an out-of-memory killer would; `close` ends what it leaves."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, timeout: float = 20.0) -> int:
        """End the process politely (SIGTERM), then close; return the exit status.

        Raises:
            AssertionError: it still ran after `timeout` seconds (it is killed all the same).
        """
        try:
            self.resume()
            self.signal(signal.SIGTERM)
            return self.wait(timeout)
        finally:
            self.close()

    def close(self) -> None:
        """Kill whatever is left of the group, and forget it. Safe to call again."""
        if self._popen is None or self not in RUNNING:
            return
        self.signal(signal.SIGKILL, group=True)
        self._popen.wait(10)
        RUNNING.remove(self)
        unguard(self.pid)
        self._last_log = self.log
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._log_path)

    def __enter__(self) -> Self:
        return self if self._popen is not None else self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # What it says

    @property
    def log(self) -> str:
        """Return what the process wrote so far, both streams."""
        try:
            return Path(self._log_path).read_text(errors="replace")
        except (FileNotFoundError, IsADirectoryError):
            return getattr(self, "_last_log", "")

    def wait_for_log(self, text: str, timeout: float = 30.0) -> str:
        """Return the log once it holds `text`.

        Raises:
            AssertionError: the process ended, or did not write it in time; the message shows the log's end.
        """
        started = time.monotonic()
        while True:
            ended = not self.running
            log = self.log
            if text in log:
                return log
            waited = time.monotonic() - started
            if ended or waited > timeout:
                why = (
                    f"ended with status {self.returncode}"
                    if ended
                    else f"said nothing of it for {timeout:g} s"
                )
                raise AssertionError(f"{self.name} {why}: {text!r}. Its log ends:\n{log[-4000:]}")
            time.sleep(pause_after(waited, 0.02))

    def wait_until(self, answers: object, timeout: float = 30.0) -> None:
        """Wait until `answers()` is true; fail at once, with the log, when the process ends before."""
        assert callable(answers)

        def ready() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with status {self.returncode}:\n{self.log[-4000:]}")
            return bool(answers())

        eventually(ready, timeout, interval=0.02, what=f"{self.name} answers")


@atexit.register
def close_all() -> None:
    """End everything that is still there, newest first."""
    for process in reversed(list(RUNNING)):
        process.close()
    _close_guard()
