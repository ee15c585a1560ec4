"""A Redis server of one's own: started on a free port, ended without a trace. For the demo and the tests.

It needs the standard library only, and nothing of Django or celery_health.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import redis_program

HOST: Final = "127.0.0.1"
#: What a server says that is up but wants another password than ours, or lets us do little.
_ALIVE: Final = (b"+PONG", b"-NOAUTH", b"-WRONGPASS", b"-NOPERM")


class RedisNotFoundError(RuntimeError):
    """There is no Redis server on this machine; the message says how to get one."""


class RedisStartError(RuntimeError):
    """The Redis server ended, or did not answer in time; the message carries the end of its log."""


def find_redis_server() -> Path:
    """Return a Redis (or Valkey) server: the first on PATH, else the one in `.venv`.

    Raises:
        RedisNotFoundError: there is none.
    """
    found = redis_program.find()
    if found is None:
        raise RedisNotFoundError(redis_program.HOW_TO_GET_ONE)
    return found


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One Redis server on the loopback interface, with a temporary folder of its own.

    `password` is the default user's. `acl` holds more users, each as the words after ``user`` in redis.conf
    (``"shop on >secret ~shop:* &* +@all"``). `args` go to the server's command line and win over the
    defaults, which keep nothing on disk: ``args=("--save", "1 1")``.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        password: str | None = None,
        acl: Iterable[str] = (),
        args: Sequence[str] = (),
        executable: str | os.PathLike[str] | None = None,
    ) -> None:
        self.host = HOST
        self.port = port or 0
        """0 until the first start, if none was given; it then stays the same."""
        self.password = password
        self.acl = tuple(acl)
        self.args = tuple(args)
        self.folder: Path | None = None
        """Configuration, log and data; None before start() and after stop()."""
        self._executable = executable
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RedisServer {self.host}:{self.port} {'up' if self.running else 'down'}>"

    @property
    def running(self) -> bool:
        """Say whether the process exists; a paused one does."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Return the process id, None while it does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def url(self) -> str:
        """Return the URL of database 0, the password included."""
        return self.url_for()

    def url_for(self, *, db: int = 0, user: str = "", password: str | None = None) -> str:
        """Return the URL of `db` for `user`, the default user with the server's password if none is given."""
        secret = self.password if password is None else password
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}@" if secret else ""
        return f"redis://{login}{self.host}:{self.port}/{db}"

    def start(self, timeout_seconds: float = 20.0) -> Self:
        """Start the server and return when it answers; do nothing if it runs.

        Raises:
            RedisNotFoundError: see `find_redis_server`.
            RedisStartError: it ended, or did not answer within `timeout_seconds`.
        """
        if self.running:
            return self
        executable = str(self._executable or find_redis_server())
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="celery-health-redis-"))
            atexit.register(self._stop_at_exit)
        # Another process may take the port between our choice and the server's bind: choose again.
        chosen = self.port == 0
        for attempt in range(3):
            if chosen:
                self.port = free_port()
            try:
                self._launch(executable, timeout_seconds)
            except RedisStartError as error:
                if chosen and attempt < 2 and "in use" in str(error):
                    continue
                self.stop()
                raise
            except BaseException:  # Ctrl-C while it starts
                self.stop()
                raise
            break
        return self

    def stop(self) -> None:
        """End the server and remove its folder; do nothing if that has been done."""
        self._end(signal.SIGTERM)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        atexit.unregister(self._stop_at_exit)

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): it keeps its connections, takes new ones, and answers nobody."""
        self._running_process().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._running_process().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server by SIGKILL and keep its folder: start() brings it back on the same port."""
        self._end(signal.SIGKILL)

    def restart(self, timeout_seconds: float = 20.0) -> Self:
        """End the server politely and start it again, on the same port and folder."""
        self._end(signal.SIGTERM)
        return self.start(timeout_seconds)

    def ping(self, timeout_seconds: float = 1.0) -> bool:
        """Say whether the server answers within `timeout_seconds`, be it that it wants a password."""
        return _answers(socket.AF_INET, (self.host, self.port), timeout_seconds)

    def _launch(self, executable: str, timeout_seconds: float) -> None:
        assert self.folder is not None
        config = self.folder / "redis.conf"
        config.touch(mode=0o600)
        config.write_text("\n".join(self._config_lines()) + "\n")
        with (self.folder / "stderr.log").open("ab") as stderr:
            self._process = subprocess.Popen(
                [executable, str(config), *self.args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends us in order
            )
        # Asked by its own socket file: a stranger may be the one who answers on the port.
        own_socket = str(self.folder / "redis.sock")
        expires_at = time.monotonic() + timeout_seconds
        while not _answers(socket.AF_UNIX, own_socket, 0.5):
            status = self._process.poll()
            if status is not None:
                raise RedisStartError(f"{executable} ended with status {status}: {self.log()}")
            if time.monotonic() > expires_at:
                raise RedisStartError(f"{executable} did not answer in {timeout_seconds:g} s: {self.log()}")
            time.sleep(0.01)

    def _config_lines(self) -> list[str]:
        lines = [
            f"bind {self.host}",
            f"port {self.port}",
            "daemonize no",
            f'dir "{self.folder}"',
            f'logfile "{self.folder}/redis.log"',
            f'unixsocket "{self.folder}/redis.sock"',
            'save ""',
            "appendonly no",
        ]
        if self.password:
            lines.append(f'requirepass "{_escaped(self.password)}"')
        return lines + [f"user {user}" for user in self.acl]

    def log(self, lines: int = 5) -> str:
        """Return the last `lines` of what the server wrote."""
        written: list[str] = []
        for name in ("redis.log", "stderr.log"):
            path = self.folder / name if self.folder else None
            if path is not None and path.exists():
                written += path.read_text(errors="replace").splitlines()
        return "\n".join(written[-lines:]) or "it wrote nothing"

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise RuntimeError(f"{self!r} does not run: call start() first.")
        return self._process

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(with_signal)
        process.send_signal(signal.SIGCONT)  # a paused one would not see SIGTERM
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _stop_at_exit(self) -> None:
        # A forked child inherits this handler and must not take its parent's server along.
        if os.getpid() == self._owner:
            self.stop()


def _answers(family: socket.AddressFamily, address: str | tuple[str, int], timeout_seconds: float) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_seconds)
            connection.connect(address)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(_ALIVE)
    except OSError:
        return False


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
