"""Who wrote a setting: the project itself, or a package that it installed and cannot change."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from celery_health.topology.ownership import is_own_path

_ROUTES: Final = frozenset({"CELERY_TASK_ROUTES", "CELERY_ROUTES", "task_routes"})


def released_routes(keys: Collection[str]) -> frozenset[str]:
    """Return those of some keys of ``task_routes`` that stand in installed packages alone, as released.

    Settings of a project often begin with ``from shop.settings import *``: what such a package routes and
    does not have is not the project's to remove. Where a key stands in no file, nobody knows.
    """
    released, own = set[str](), set[str]()
    for path, text in _files() if keys else ():
        written = {key for key in keys if f'"{key}"' in text or f"'{key}'" in text}
        (own if is_own_path(path) else released).update(written)
    return frozenset(released - own)


def _files() -> Iterator[tuple[str, str]]:
    """Yield path and text of each imported module in which routes are written down."""
    for module in list(sys.modules.values()):
        # Asked for its type, and not by vars(): cffi's libraries say that they are modules and have no dict,
        # and a module that is imported at first use would be imported.
        if not issubclass(type(module), ModuleType):
            continue
        names = object.__getattribute__(module, "__dict__")
        if not names.keys() & _ROUTES:
            continue
        path = names.get("__file__")
        if isinstance(path, str) and path.endswith(".py"):
            try:
                yield path, Path(path).read_text(errors="replace")
            except OSError:
                continue
