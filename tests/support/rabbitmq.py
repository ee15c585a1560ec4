"""A RabbitMQ node of our own: own name, folders, ports and epmd; no system service is touched."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import psutil

from tests.support.ports import free_port
from tests.support.processes import ManagedProcess

#: Where packages put the plain script; the one on PATH may be a wrapper that changes user and folders.
_SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server")

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
loopback_users = none
log.file = false
log.console = true
log.console.level = warning
disk_free_limit.absolute = 10MB
"""


def find_rabbitmq_server() -> str | None:
    """Return the path of the server script, None when RabbitMQ is not installed."""
    for script in _SCRIPTS:
        if os.access(script, os.X_OK):
            return script
    return shutil.which("rabbitmq-server")


def _listens(process: ManagedProcess | None, port: int) -> bool:
    """Say whether it is this process that listens on a port: a stranger there would be taken for epmd."""
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == port
            for one in psutil.Process(process.pid).net_connections(kind="tcp")
        )
    return False


class RabbitServer:
    """A broker on free ports; `start_seconds` says how long it took until it spoke AMQP."""

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        self.start_seconds: float | None = None
        self._folder = ""
        self._epmd: ManagedProcess | None = None
        self._node: ManagedProcess | None = None

    def start(self) -> Self:
        """Start epmd and the node, and wait until AMQP and the management API answer."""
        for _ in range(2):
            with contextlib.suppress(RuntimeError):  # one of them ended: another run has taken its port
                return self._start()
            self.close()
        return self._start()

    def _start(self) -> Self:
        script = find_rabbitmq_server()
        assert script is not None, "rabbitmq-server is not installed."
        started = time.monotonic()
        self._folder = tempfile.mkdtemp(prefix="celery-health-rabbitmq-")
        self.port, self.management_port, dist_port, epmd_port = (free_port() for _ in range(4))
        folder = Path(self._folder)
        (folder / "rabbitmq.conf").write_text(
            _CONFIG.format(port=self.port, management_port=self.management_port)
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        env = {
            "HOME": self._folder,  # the Erlang cookie
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": f"celery-health-test-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            # Schedulers that spin while idle take the processor from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        # Started first and in the foreground: the node would start a daemon that nobody ends.
        epmd = shutil.which("epmd")
        assert epmd is not None, "epmd (part of Erlang) is not on PATH."
        self._epmd = ManagedProcess(
            [epmd, "-port", str(epmd_port)], name="epmd", env=env, shared=self._shared
        )
        self._epmd.start()
        self._epmd.wait_until(lambda: _listens(self._epmd, epmd_port))
        self._node = ManagedProcess([script], name="rabbitmq", env=env, shared=self._shared)
        self._run_node()
        self.start_seconds = time.monotonic() - started
        return self

    def restart(self) -> None:
        """Kill the node and start it again, on the same ports and with what it has on disk."""
        assert self._node is not None
        argv, env = self._node.argv, self._node.env
        self._node.close()
        self._node = ManagedProcess(argv, name="rabbitmq", env=env, shared=self._shared)
        self._run_node()

    def _run_node(self) -> None:
        assert self._node is not None
        self._node.start()
        self._node.wait_until(self._speaks_amqp, timeout=90)
        self._node.wait_until(self._manages, timeout=30)

    def close(self) -> None:
        """End the node and its epmd, and remove their folder. Nothing in it is worth a polite end."""
        for process in (self._node, self._epmd):
            if process is not None:
                process.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def pause(self) -> None:
        """Hang: connections stay open and nothing is answered."""
        assert self._node is not None
        self._node.signal(signal.SIGSTOP, group=True)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._node is not None
        self._node.signal(signal.SIGCONT, group=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Administration, through the management API: milliseconds where rabbitmqctl takes seconds

    def url(self, vhost: str = "/", user: str = "guest", password: str = "guest") -> str:
        """Return the broker URL of a virtual host."""
        return f"amqp://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call ``/api/<path>`` as the administrator; return the decoded answer, None for an empty one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.management_port, timeout=10)
        try:
            connection.request(
                method,
                f"/api/{path}",
                body=None if body is None else json.dumps(body),
                headers={
                    "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
                    "Content-Type": "application/json",
                },
            )
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode(errors='replace')}")
        return json.loads(text) if text else None

    def add_vhost(self, name: str) -> None:
        """Create a virtual host that guest may use."""
        self.api("PUT", f"vhosts/{quote(name, safe='')}")
        self.allow("guest", name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with everything in it, connections included."""
        self.api("DELETE", f"vhosts/{quote(name, safe='')}")

    def add_user(self, name: str, password: str) -> None:
        """Create or change a user without permissions."""
        self.api("PUT", f"users/{name}", {"password": password, "tags": ""})

    def allow(
        self, user: str, vhost: str, *, configure: str = ".*", write: str = ".*", read: str = ".*"
    ) -> None:
        """Set what a user may do in a virtual host: regular expressions over names."""
        self.api(
            "PUT",
            f"permissions/{quote(vhost, safe='')}/{user}",
            {"configure": configure, "write": write, "read": read},
        )

    def close_connections(self) -> int:
        """Close every client connection, as an administrator would; return how many there were."""
        names = [row["name"] for row in self.api("GET", "connections?columns=name")]
        for name in names:
            self.api("DELETE", f"connections/{quote(name, safe='')}")
        return len(names)

    # Alarms, which only the node's own tools can set

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node."""
        assert self._node is not None
        tool = Path(str(find_rabbitmq_server())).with_name("rabbitmqctl")
        done = subprocess.run(
            [str(tool), "--quiet", *arguments],
            env={**os.environ, **self._node.env},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def set_alarm(self, of: Literal["memory", "disk"]) -> None:
        """Set an alarm as the node does when it runs short."""
        self.ctl("eval", f"rabbit_alarm:set_alarm({{{{resource_limit, {of}, node()}}, []}}).")

    def clear_alarm(self, of: Literal["memory", "disk"]) -> None:
        """Clear it."""
        self.ctl("eval", f"rabbit_alarm:clear_alarm({{resource_limit, {of}, node()}}).")

    def blocked(self) -> int:
        """Return how many connections it has blocked: those that have published."""
        return self.ctl("list_connections", "state").split().count("blocked")

    # Readiness

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(1))
        except OSError:
            return False

    def _manages(self) -> bool:
        try:
            return bool(self.api("GET", "overview"))
        except (OSError, RuntimeError, http.client.HTTPException):
            return False
