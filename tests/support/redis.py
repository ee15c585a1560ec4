"""Real Redis servers: the example project's, guarded against a test run that dies, and a sentinel."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

from embedded import RedisServer as EmbeddedRedis
from embedded import find_redis_server
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess, guard, unguard


class RedisServer(EmbeddedRedis):
    """The embedded server; it ends with the test run even if that is killed."""

    _guarded: int | None = None

    def start(self, timeout_seconds: float = 20.0) -> Self:
        """Start the server and return when it answers; see the base class."""
        super().start(timeout_seconds)
        if self.pid is not None and self.pid != self._guarded:
            self._guarded = self.pid
            guard(self.pid)
        return self

    def _end(self, with_signal: signal.Signals) -> None:
        super()._end(with_signal)
        if self._guarded is not None:
            unguard(self._guarded)
            self._guarded = None

    @property
    def unix_socket(self) -> Path:
        """Return the path of its socket file."""
        assert self.folder is not None
        return self.folder / "redis.sock"


class Sentinel:
    """A sentinel that watches one Redis server under the name ``main``."""

    master_name = "main"

    def __init__(self, master: EmbeddedRedis) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="celery-health-sentinel-"))
        config = self._folder / "sentinel.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f'dir "{self._folder}"',
            f"sentinel monitor {self.master_name} 127.0.0.1 {master.port} 1",
        ]
        if master.password:
            lines.append(f"sentinel auth-pass {self.master_name} {master.password}")
        config.write_text("\n".join(lines) + "\n")
        self.process = ManagedProcess([str(find_redis_server()), str(config), "--sentinel"], name="sentinel")

    @property
    def url(self) -> str:
        """Return the broker URL, without the master's password."""
        return f"sentinel://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.process.start()
        self.process.wait_for_log("+monitor")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.close()
        shutil.rmtree(self._folder, ignore_errors=True)
