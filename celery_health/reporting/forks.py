"""Forks and threads: no process is forked while a thread of ours imports.

A fork copies the locks of the interpreter's modules as they are, without the thread that holds them. Were it
to happen while the agent imports its client, the child could never import that module again: it would hang,
in code that is not ours (``importlib._bootstrap._ModuleLock``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery_health.reporting.native import allocate_lock

#: What a fork waits at most. Should the thread wait in turn for what the forking one holds, both go on.
MAX_WAIT_SECONDS: Final = 2.0

_importing = allocate_lock()
_is_held = False


@contextmanager
def importing() -> Iterator[None]:
    """Keep this process from being forked meanwhile. For threads of ours, and for what ends soon."""
    lock = _importing
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _before() -> None:
    global _is_held
    _is_held = _importing.acquire(True, MAX_WAIT_SECONDS)


def _after_in_parent() -> None:
    global _is_held
    if _is_held:
        _is_held = False
        _importing.release()


def _after_in_child() -> None:
    global _importing, _is_held
    _importing, _is_held = allocate_lock(), False


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
