"""A process that was forked while a thread of ours imported: the child has the locks, and not the thread.

A module that is half imported stays locked in the child for ever, for the project's own code too
(``importlib._bootstrap._ModuleLock``). There it is forgotten, so that whoever wants it imports it from the
start.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import _bootstrap

_importers: set[int] = set()


@contextmanager
def importing() -> Iterator[None]:
    """Have what this thread imports meanwhile be imported anew by a child that is forked without it."""
    me = threading.get_ident()
    if me in _importers:
        yield
        return
    _importers.add(me)
    try:
        yield
    finally:
        _importers.discard(me)


def _after_in_child() -> None:
    gone = _importers - {threading.get_ident()}
    _importers.difference_update(gone)
    locks = getattr(_bootstrap, "_module_locks", {})
    for name, reference in list(locks.items()) if gone else ():
        if getattr(reference(), "owner", None) in gone:
            locks.pop(name, None)
            sys.modules.pop(name, None)


os.register_at_fork(after_in_child=_after_in_child)
