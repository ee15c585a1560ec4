"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

# Below the ephemeral range of Linux and macOS, so that no outgoing connection takes one in between.
_LOWEST, _HIGHEST = 20000, 32000
_random = random.SystemRandom()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on now.

    Another process may take it before it is used: start again with another one when the server says so.
    """
    for _ in range(100):
        port = _random.randrange(_LOWEST, _HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port on {host} between {_LOWEST} and {_HIGHEST}.")


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a connection to `port` is accepted."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


@contextmanager
def unanswered_port() -> Iterator[int]:
    """Give a port whose handshake is never answered: what a firewall that drops packets looks like.

    A listener with a full backlog makes Linux drop further SYNs silently.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        try:
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            yield port
        finally:
            for filler in fillers:
                filler.close()
