"""A small web server for one WSGI application: threads, time limits, and an end that loses no answer."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from types import FrameType
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

#: How long one who connects may take to say what it wants, or to take the answer.
CLIENT_SECONDS: Final = 5.0
#: Requests at once; more are turned away rather than held: scrapers come by the ones and twos.
MAX_REQUESTS: Final = 32


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request. `server_close` waits for the requests under way."""

    request_queue_size = 64

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._places = threading.BoundedSemaphore(MAX_REQUESTS)
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind without asking a name server for the host's name, which WSGIServer does, for seconds maybe."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        host, port = self.socket.getsockname()[:2]
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(host), port
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if one is free."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a scraper that hung up is no error of ours, and the application catches its own."""


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: there is one every few seconds."""


def open_server(host: str, port: int, application: Callable[..., Any]) -> Server:
    """Return a server that listens at `host` and `port` (0: any that is free); IPv6 where the host is.

    Raises:
        OSError: the address is taken, not allowed, or not one of this machine.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    kind = type("Server", (Server,), {"address_family": family})
    server: Server = make_server(host, port, application, server_class=kind, handler_class=_Handler)
    return server


def serve(server: Server) -> None:
    """Answer until SIGTERM or Ctrl-C, then finish what is under way."""
    with server, _until_told(server):
        server.serve_forever(poll_interval=0.1)


@contextmanager
def _until_told(server: Server) -> Iterator[None]:
    """Have SIGTERM end the server politely; only the main thread may say so."""

    def stop(number: int, frame: FrameType | None) -> None:
        # From a thread: shutdown() waits for the loop, which is what this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
