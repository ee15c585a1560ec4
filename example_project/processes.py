"""Processes that end with us: each in a group of its own, logged to a file, killed even if we are."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, Self

#: Holds the other end of a pipe; when that closes, however we ended, it kills and removes what is left.
_GUARD: Final = """
import os, shutil, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
left = set()
for line in sys.stdin:
    (left.add if line[0] == "+" else left.discard)(line[1:].rstrip("\\n"))
for item in sorted(left, key=lambda item: not item.isdigit()):
    try:
        os.killpg(int(item), signal.SIGKILL) if item.isdigit() else shutil.rmtree(item, ignore_errors=True)
    except OSError:
        pass
"""
STOP_SECONDS: Final = 8.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_held = 0
_pending: list[int] = []


class Stopped(BaseException):
    """Somebody asked us to end, by the signal in ``args[0]``."""


def stop_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP raise `Stopped`: once, for what follows is cleaning up."""

    def stop(number: int, frame: FrameType | None) -> None:
        if _held:
            _pending.append(number)
            return
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for each in _SIGNALS:
        signal.signal(each, stop)


@contextlib.contextmanager
def holding_signals() -> Iterator[None]:
    """Keep `Stopped` back while a process is born that nobody would know to end."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _pending and not _held:
            signal.raise_signal(_pending.pop())


class Processes:
    """A set of named processes and one temporary folder; leaving the context ends and removes all."""

    def __init__(self, *, cwd: Path, env: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="celery-health-demo-"))
        self.env = dict(env)
        self._cwd = cwd
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.watch(str(self.folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._guard.communicate(f"-{self.folder}\n")

    def watch(self, item: str) -> None:
        """Have a process group (its number) or a folder (its path) ended if we die."""
        self._tell_guard(f"+{item}\n")

    def unwatch(self, item: str) -> None:
        """Forget what `watch` was told: it has ended."""
        self._tell_guard(f"-{item}\n")

    def start(self, name: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `argv` under `name`, its output going to a log."""
        with holding_signals(), self._log(name).open("ab") as log:
            process = subprocess.Popen(
                argv,
                cwd=self._cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end the others in order
            )
            self._running[name] = process
            self.watch(str(process.pid))
        return process

    def stop(self, *names: str) -> None:
        """Ask the processes to end (SIGTERM), then kill what is left of their groups."""
        ending = [self._running.pop(name) for name in names]
        for process in ending:
            # To the leader alone: a Celery worker tells its pool itself, and calls it a crash if others do.
            process.terminate()
        for process in ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.unwatch(str(process.pid))

    def pid(self, name: str) -> int:
        """Return the process id of what was started under `name`."""
        return self._running[name].pid

    def ended(self) -> dict[str, int]:
        """Return the exit status of each process that ended without being asked to."""
        statuses = {name: process.poll() for name, process in self._running.items()}
        return {name: status for name, status in statuses.items() if status is not None}

    def log(self, name: str, lines: int = 15) -> str:
        """Return the last `lines` that the process wrote."""
        path = self._log(name)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.write(line)
        self._guard.stdin.flush()
