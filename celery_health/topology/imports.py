"""Import a project's task modules the way a worker does, and tell its own tasks from other people's."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from celery_health.celery_app import settings_package

if TYPE_CHECKING:
    from celery import Celery

#: Where installed packages and Python's own lie: a task from there is somebody else's.
_LIBRARIES: Final = tuple(
    {sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib", "stdlib", "platstdlib")}
)
#: Folders of installed packages of another prefix: Debian's, a user's.
_LIBRARY_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
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


def own_tasks(app: Celery) -> list[str]:
    """Return the names of the tasks that the project itself defines: not Celery's, not a library's."""
    project = settings_package()
    return sorted(name for name, task in app.tasks.items() if is_own_module(type(task).__module__, project))


def is_own_module(module: str, project: str | None = None) -> bool:
    """Say whether an imported module is the project's: not Celery's, not an installed package's."""
    top = module.partition(".")[0]
    if top == "celery":
        return False
    path = getattr(sys.modules.get(module), "__file__", None)
    # The project itself may be installed as a package, and stays its own.
    return top == project or path is None or is_own_path(path)


@lru_cache(maxsize=1024)  # asked once per task: there are few modules with many tasks
def is_own_path(path: str) -> bool:
    """Say whether a file lies outside the folders of Python and of installed packages."""
    return not path.startswith(_LIBRARIES) and _LIBRARY_FOLDERS.isdisjoint(Path(path).parts)
