"""Whose a task is, and whether somebody should consume its queue although nothing shows that it is sent.

A task is by whose module it is:

- **the project's**: of the package in which the Celery app was made, wherever that is installed; of the
  packages of the settings and of the URLs; or of a file outside the folders of installed packages;
- **an installed app's**: of an installed package that stands in ``INSTALLED_APPS``, be it a plugin, a private
  package of the company's or a library;
- **somebody else's**: Celery's, Django's, one of `LIBRARIES`, or of a package that is no app of Django's.

The first two are *own*. A queue is expected by every task of the project's. An installed app's expects one
where somebody chose it: by the task's options or by a route. Left to the default queue, it may be there for
others who do send it. Somebody else's expects one where a route sends it elsewhere than every unknown task.
Whatever is scheduled, was sent or is seen waiting needs nothing of this: it shows by itself.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings

from celery_health.celery_app import settings_package
from celery_health.topology.libraries import is_library
from celery_health.topology.routing import Resolver

if TYPE_CHECKING:
    from celery import Celery

#: Where installed packages and Python's own lie.
_LIBRARIES: Final = tuple(
    {sysconfig.get_path(kind) + os.sep for kind in ("purelib", "platlib", "stdlib", "platstdlib")}
)
#: Folders of installed packages of another prefix: Debian's, a user's.
_LIBRARY_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})
#: How a package says that other distributions have parts in it, before Python had a way of its own.
_SHARING: Final = ("extend_path", "declare_namespace")
#: A task that no route can name.
_NOBODYS: Final = "\N{REPLACEMENT CHARACTER}"


class Owner(StrEnum):
    """Whose a module is."""

    PROJECT = "project"
    INSTALLED = "installed"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """Tells whose a module or a task is, in one process as it is now."""

    project: frozenset[str] = frozenset()
    """Packages of the Celery app, of the settings and of the URLs."""
    installed: frozenset[str] = frozenset()
    """Packages of ``INSTALLED_APPS`` that lie where packages are installed."""

    def of_module(self, module: str) -> Owner:
        """Return whose a module is; one that was not imported is judged by its name."""
        root = root_package(module)
        if root in self.project:
            return Owner.PROJECT
        if is_library(module):
            return Owner.OTHER
        path = getattr(sys.modules.get(module), "__file__", None)
        if path is not None and is_own_path(path):
            return Owner.PROJECT
        if root in self.installed:
            return Owner.INSTALLED
        return Owner.PROJECT if path is None else Owner.OTHER

    def of_task(self, name: str, task: Any) -> Owner:
        """Return whose a registered task is: by its module, else by that in its name."""
        owner = self.of_module(type(task).__module__)
        if owner is Owner.OTHER:
            module = name.rpartition(".")[0]
            if module in sys.modules:
                return self.of_module(module)
        return owner

    def of_tasks(self, app: Celery) -> dict[str, Owner]:
        """Return the owner of every registered task, by name."""
        return {str(name): self.of_task(str(name), task) for name, task in app.tasks.items()}


def ownership_of(app: Celery) -> Ownership:
    """Return what tells whose is what, now that the modules of `app` are imported."""
    urls = getattr(settings, "ROOT_URLCONF", None)
    names = {settings_package() or "", urls if isinstance(urls, str) else "", *_makers(app)}
    configs = apps.get_app_configs() if apps.apps_ready else ()
    return Ownership(
        project=frozenset(root_package(name) for name in names if name and not is_library(name)),
        installed=frozenset(
            root_package(config.name)
            for config in configs
            if not is_library(config.name) and not is_own_path(str(config.path))
        ),
    )


def _makers(app: Celery) -> Iterator[str]:
    """Yield the modules that hold the app; else the name that it was given, where that is a module.

    The name proves little: ``Celery("celery")``, ``Celery("tasks")`` and ``Celery("__main__")`` are as good
    as any. Nobody but the project itself has the app as a global.
    """
    wanted, found = id(app), False
    for name, module in list(sys.modules.items()):
        if is_library(name) or not issubclass(type(module), ModuleType):
            continue
        if wanted in map(id, _values_of(module)):
            found = True
            yield name
    if not found and app.main in sys.modules:
        yield str(app.main)


def _values_of(module: ModuleType) -> list[Any]:
    try:
        # Not vars(): a module that is imported at first use would be imported by it.
        return list(object.__getattribute__(module, "__dict__").values())
    except AttributeError:  # of cffi's making
        return []


def root_package(module: str) -> str:
    """Return the outermost package of a module that belongs to one distribution alone."""
    parts = module.split(".")
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        if not _is_shared(package):
            return package
    return module


def _is_shared(package: str) -> bool:
    """Say whether several distributions may have parts in an installed package."""
    module = sys.modules.get(package)
    paths = tuple(str(path) for path in getattr(module, "__path__", ()))
    if all(is_own_path(path + os.sep) for path in paths):
        return False
    path = getattr(module, "__file__", None)
    return path is None or len(paths) > 1 or _says_shared(path)


@lru_cache(maxsize=1024)
def _says_shared(path: str) -> bool:
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:  # in an archive
        return False
    return any(word in text for word in _SHARING)


@lru_cache(maxsize=4096)  # asked once per task: there are few modules with many tasks
def is_own_path(path: str) -> bool:
    """Say whether a file lies outside the folders of Python and of installed packages."""
    return not path.startswith(_LIBRARIES) and _LIBRARY_FOLDERS.isdisjoint(Path(path).parts)


class Expectations:
    """Says which tasks expect that somebody consumes their queue, by the app's real router."""

    def __init__(self, app: Celery, resolver: Resolver) -> None:
        self._tasks: Mapping[str, Any] = app.tasks
        self._resolver = resolver
        self._default: tuple[str, ...] | None = None
        self._default_queue = str(app.conf.task_default_queue)

    def expects(self, name: str, owner: Owner) -> bool:
        """Say whether somebody should consume the queue of a registered task.

        Raises:
            Exception: whatever a router of the project raises.
        """
        if owner is Owner.PROJECT:
            return True
        if name.startswith("celery."):
            return False
        if owner is Owner.INSTALLED and _chooses(self._tasks[name]):
            return True
        return self._resolver.routed(name).queues != self._unknown_goes_to()

    def _unknown_goes_to(self) -> tuple[str, ...]:
        if self._default is None:
            try:
                self._default = self._resolver.routed(_NOBODYS).queues
            except Exception:  # a router that cannot do with a name it does not know
                self._default = (self._default_queue,)
        return self._default


def _chooses(task: Any) -> bool:
    """Say whether a task's own options name where it goes."""
    return any(getattr(task, option, None) is not None for option in ("queue", "exchange"))
