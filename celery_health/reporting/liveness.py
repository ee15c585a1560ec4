"""The file that says on this machine that a process lives: written by a native thread, read by the probe.

A liveness probe must not depend on the network. What stands in the file is said in `celery_health.probe`,
which reads it with little more than Python itself. Stamps are ``time.monotonic`` seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from celery_health.reporting.faults import Faults
from celery_health.reporting.native import Bell, allocate_lock, start_daemon

_PREFIX: Final = "celery-health"

#: A living process writes every second; what is this old was left by a dead one, of whatever container.
_SWEEP_AFTER_SECONDS: Final = 86400.0
_LARGEST_BYTES: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Liveness:
    """What the probe judges by."""

    state: str
    """One word, for people."""
    started: bool
    """It has imported its tasks and gone to work."""
    turning: bool
    """Its loop should turn now: not while it reconnects or drains, nor in a solo worker that is busy."""
    due: float | None
    """When its loop last turned, or had to; None before it ever did."""


def sanitise(name: str) -> str:
    """Return `name` as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9@_.-]", "_", name)[:100] or "_"


class LivenessFile:
    """The file of one process. Belongs to one thread."""

    def __init__(self, folder: str | os.PathLike[str], kind: str, name: str) -> None:
        pid = os.getpid()
        self._kind = kind
        self.path = Path(folder, f"{_PREFIX}-{kind}-{sanitise(name)}-{pid}")
        # Random and created exclusively: in a folder that all may write to, nobody puts a link in its place.
        self._draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        self._namespace = pid_namespace()
        self._head = (
            f"v1 {kind} {' '.join(name.split())} {pid} {start_ticks(pid)}\n"
            f"boot={boot_id()}\npidns={self._namespace}\n"
        )

    def write(self, liveness: Liveness) -> None:
        """Replace the file by one that says this now. A reader finds the old or the new one, whole.

        Raises:
            OSError: the folder is missing, full or not writable.
        """
        now = time.monotonic()
        due = now if liveness.due is None else liveness.due
        text = (
            f"{self._head}written={now:.3f}\nstarted={liveness.started:d}\n"
            f"turning={liveness.turning:d}\ndue={due:.3f}\nstate={liveness.state}\n"
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._draft, flags, 0o644)
        try:
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
            os.replace(self._draft, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self._draft)
            raise

    def remove(self) -> None:
        """Take the file away: the process ends as it should."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def sweep(self) -> None:
        """Remove what killed processes of this kind have left."""
        for path in self.path.parent.glob(f"{_PREFIX}-{self._kind}-*"):
            with contextlib.suppress(OSError, ValueError):
                if time.time() - path.stat().st_mtime > _SWEEP_AFTER_SECONDS or self._is_dead(path):
                    path.unlink()

    def _is_dead(self, path: Path) -> bool:
        # Containers that share a folder count their pids each for itself.
        lines = _read(path).splitlines()
        if f"pidns={self._namespace}" not in lines or not self._namespace:
            return False
        pid, ticks = (int(word) for word in lines[0].split()[-2:])
        return ticks != 0 and start_ticks(pid) != ticks


class LivenessKeeper:
    """Writes the file of one process, in a daemon thread of its own.

    Apart from the agent's: a name server that does not answer can hold a connection attempt for minutes,
    whatever its timeouts, and an outage must never make a worker look dead.
    """

    def __init__(
        self,
        file: LivenessFile,
        state: Callable[[], Liveness],
        faults: Faults,
        interval: float = 1.0,
    ) -> None:
        self._file = file
        self._state = state
        self._faults = faults
        self._interval = interval
        self._bell = Bell()
        self._ended = allocate_lock()
        self._ended.acquire()
        self._pid: int | None = None
        self._stopping = False

    def start(self) -> None:
        """Start the thread; the first file is there before this returns. Never raises."""
        self._pid = os.getpid()
        try:
            self._write()
            start_daemon(self._run, "celery_health-liveness", at_end=self._ended.release)
        except Exception as error:
            self._ended.release()
            self._faults.caught("liveness.start", error)

    def write_soon(self) -> None:
        """Have the file written at once. Never blocks, so a signal handler may call it."""
        self._bell.ring()

    def finish(self, timeout: float = 0.5) -> None:
        """Remove the file and end the thread, within `timeout` seconds."""
        if self._pid != os.getpid():
            return
        self._stopping = True
        self._bell.ring()
        if self._ended.acquire(True, max(0.0, timeout)):
            self._ended.release()
        self._file.remove()

    def _run(self) -> None:
        try:
            self._file.sweep()
        except Exception as error:
            self._faults.caught("liveness.sweep", error)
        while not self._stopping:
            self._write()
            self._bell.wait(self._interval)

    def _write(self) -> None:
        try:
            self._file.write(self._state())
        except Exception as error:  # a folder that is full or not there: the worker works on
            self._faults.caught("liveness.write", error)


def _read(path: Path) -> str:
    """Return what stands in a file that anybody may have put there: no link, no pipe, no gigabytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(path)
        return os.read(descriptor, _LARGEST_BYTES).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 when there is none, or nobody can say.

    Together with the boot it tells a process from the next one that gets its pid.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # proc(5): the second field is the name in parentheses and may hold anything; starttime is the 22nd.
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def boot_id() -> str:
    """Return what tells this boot of the machine from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Return what tells this container's pids from those of others; empty where the system does not say."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""
