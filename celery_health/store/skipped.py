"""How many entries of the store this process could not read: counted for its metrics, whoever read them."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

_counted: dict[str, int] = {}
_lock = threading.Lock()


def count(where: str, amount: int = 1) -> None:
    """Count entries left out at `where`, a fixed place."""
    with _lock:
        _counted[where] = _counted.get(where, 0) + amount


def counted() -> Mapping[str, int]:
    """Return how many were left out since this process began, by place."""
    with _lock:
        return dict(_counted)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
