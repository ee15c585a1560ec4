"""Import a project's task modules the way a worker does."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from celery import Celery

#: Read by celery/fixups/django.py.
_SKIP_CHECKS: Final = "CELERY_SKIP_CHECKS"

_imported: weakref.WeakSet[Celery] = weakref.WeakSet()
_lock = threading.RLock()


def import_tasks(app: Celery) -> None:
    """Import the task modules of `app` the way a worker does, once per process.

    Celery's Django fix-up would run every system check of the project first (``on_import_modules``). That is
    left out: a check of ours that comes here would be sent round again, and a web process has checked before.

    Celery takes some 0.4 ms for each task that it registers, most of it for reading its configuration; any
    process that sends one of them pays that, once. Nothing of the app is changed to have it sooner.
    """
    with _lock:
        if app in _imported:
            return
        _imported.add(app)
        try:
            with _without_checks():
                app.loader.import_default_modules()
            if not getattr(app, "finalized", False):
                app.finalize()
        except BaseException:
            _imported.discard(app)
            raise


@contextmanager
def _without_checks() -> Iterator[None]:
    before = os.environ.get(_SKIP_CHECKS)
    os.environ[_SKIP_CHECKS] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SKIP_CHECKS, None)
        else:
            os.environ[_SKIP_CHECKS] = before
