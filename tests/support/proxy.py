"""A TCP proxy that misbehaves on demand: what real networks do to a broker connection."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65536


@dataclass(eq=False)
class _Flow:
    """One client's connection and its twin to the server."""

    client: socket.socket
    server: socket.socket
    forgotten: bool = False
    """A black hole for ever, whatever the proxy's mode: the firewall has lost this flow."""
    threads: list[threading.Thread] = field(default_factory=list)

    def close(self, *, reset: bool) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:  # RST instead of FIN
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Forward TCP to `port` of `host`, in threads; every method below changes the behaviour at once.

    With a `certificate` (key and certificate file) clients must speak TLS, and the server must not.
    `connections` counts accepted connections, `replies_dropped` what `drop_replies` took.
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.target = (host, port)
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate[1], certificate[0])
        self.connections = 0
        self.replies_dropped = 0
        self._lock = threading.Lock()
        self._flows: list[_Flow] = []
        self._closed = False
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._reset_mode()
        self.port = 0
        self._listen()

    def url(self, url: str) -> str:
        """Return `url` with this proxy's address in place of the server's."""
        parts = urlsplit(url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}"))

    # Behaviour

    def forward(self) -> None:
        """Behave: pass everything on, and accept again after `refuse`."""
        self._reset_mode()
        if self._listener is None:
            self._listen()

    def refuse(self) -> None:
        """Cut what is connected and refuse new connections, as a server that is down does."""
        self._stop_listening()
        self.cut()

    def black_hole(self) -> None:
        """Swallow every byte in both directions, of new connections too; close nothing."""
        self._swallow_requests = self._swallow_replies = True

    def swallow(self, *, requests: bool = False, replies: bool = False) -> None:
        """Swallow one direction only."""
        self._swallow_requests, self._swallow_replies = requests, replies

    def forget_flows(self) -> None:
        """Make a black hole of the connections there are; new ones work. What a NAT timeout does."""
        with self._lock:
            for flow in self._flows:
                flow.forgotten = True

    def delay(self, seconds: float) -> None:
        """Hold back every piece of every reply for `seconds`."""
        self._delay_seconds = seconds

    def drop_replies(self, fraction: float, *, seed: int = 1) -> None:
        """Lose that part of the replies: the server has done its work, the client sees a cut connection."""
        self._random = random.Random(seed)
        self._drop_fraction = fraction

    def cut(self) -> None:
        """Reset every connection there is; new ones are accepted as before."""
        with self._lock:
            flows, self._flows = self._flows, []
        for flow in flows:
            flow.close(reset=True)

    def close(self) -> None:
        """End everything. Safe to call again."""
        self._closed = True
        self._stop_listening()
        with self._lock:
            flows, self._flows = self._flows, []
        for flow in flows:
            flow.close(reset=False)
            for thread in flow.threads:
                thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Inside

    def _reset_mode(self) -> None:
        self._swallow_requests = self._swallow_replies = False
        self._delay_seconds = 0.0
        self._drop_fraction = 0.0
        self._random = random.Random(1)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._acceptor.start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # close() alone leaves the thread in accept(), and the port open with it.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        assert self._acceptor is not None
        self._acceptor.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                if self._tls is not None and not (self._swallow_requests or self._swallow_replies):
                    client = self._tls.wrap_socket(client, server_side=True)
                server = socket.create_connection(self.target, timeout=5)
            except OSError:  # the server is down, or the client's TLS did not suit
                with contextlib.suppress(OSError):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            flow = _Flow(client, server)
            with self._lock:
                self.connections += 1
                self._flows.append(flow)
            flow.threads = [
                threading.Thread(target=self._pump, args=(flow, client, server, False), daemon=True),
                threading.Thread(target=self._pump, args=(flow, server, client, True), daemon=True),
            ]
            for thread in flow.threads:
                thread.start()

    def _swallows(self, flow: _Flow, is_reply: bool) -> bool:
        return flow.forgotten or (self._swallow_replies if is_reply else self._swallow_requests)

    def _pump(self, flow: _Flow, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        while True:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            if self._swallows(flow, is_reply):
                if data:
                    continue
                return  # the FIN is swallowed too: the other side learns nothing
            if is_reply and data and self._delay_seconds:
                time.sleep(self._delay_seconds)
            if is_reply and data and self._drop_fraction and self._random.random() < self._drop_fraction:
                self.replies_dropped += 1
                data = b""
            if not data:
                self._end(flow)
                return
            try:
                sink.sendall(data)
            except OSError:
                self._end(flow)
                return

    def _end(self, flow: _Flow) -> None:
        with self._lock:
            if flow in self._flows:
                self._flows.remove(flow)
        flow.close(reset=False)
