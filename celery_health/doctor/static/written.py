"""Who wrote a setting: the project itself, or a package that it installed and cannot change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from celery_health.topology.ownership import is_own_path

_ROUTES: Final = ("CELERY_TASK_ROUTES", "CELERY_ROUTES", "task_routes")


def is_released_route(key: str) -> bool:
    """Say whether a key of ``task_routes`` stands in an installed package alone, as it was released.

    Settings of a project often begin with ``from shop.settings import *``: what such a package routes and
    does not have is not the project's to remove. Where the key stands in no file, nobody knows.
    """
    own = [is_own_path(path) for path, text in _files() if f'"{key}"' in text or f"'{key}'" in text]
    return bool(own) and not any(own)


def _files() -> Iterator[tuple[str, str]]:
    """Yield path and text of each imported module in which routes are written down."""
    for module in list(sys.modules.values()):
        # Asked for its type, and not by vars(): cffi's libraries say that they are modules and have no dict,
        # and a module that is imported at first use would be imported.
        if not issubclass(type(module), ModuleType):
            continue
        names = object.__getattribute__(module, "__dict__")
        path = names.get("__file__")
        if isinstance(path, str) and path.endswith(".py") and any(name in names for name in _ROUTES):
            try:
                yield path, Path(path).read_text(errors="replace")
            except OSError:
                continue
