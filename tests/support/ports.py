"""Ports for servers that tests start."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice

# Below the ephemeral range of Linux and macOS, so that no outgoing connection takes one in between.
_LOWEST, _HIGHEST = 20000, 32000
#: The range is shared out among so many processes of a parallel run: a server may take seconds from being
#: given its port to listening on it, and nobody else may be given it meanwhile.
_SHARES = 16
_random = random.SystemRandom()


def share_of(worker: str) -> range:
    """Return the ports of one process of a parallel run, named as xdist does: ``gw3``."""
    size = (_HIGHEST - _LOWEST) // _SHARES
    number = int(worker.removeprefix("gw") or 0) % _SHARES
    return range(_LOWEST + number * size, _LOWEST + (number + 1) * size)


@cache
def _turns(worker: str) -> Iterator[int]:
    """Yield the ports of this process, each once before any comes again."""

    def turns() -> Iterator[int]:
        while True:
            ports = list(share_of(worker))
            _random.shuffle(ports)
            yield from ports

    return turns()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on now, and that this run gives to nobody else.

    Another run on this machine may take it before it is used: start again when the server says so.
    """
    for port in islice(_turns(os.environ.get("PYTEST_XDIST_WORKER", "")), 100):
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
