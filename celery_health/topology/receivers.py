"""Import what receivers of a worker's signals import: they are called in no other process, and not here."""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Iterable, Iterator
from dis import get_instructions
from importlib.util import find_spec, resolve_name
from types import CodeType
from typing import Any, Final

from celery import signals

from celery_health.project_code import importing_project
from celery_health.topology.forks import importing
from celery_health.topology.libraries import is_library
from celery_health.topology.ownership import Ownership, is_own_path, root_package

#: Functions that import what they are given.
_IMPORTERS: Final = ("import_module", "import_string")
#: Sent while a worker starts.
_SIGNALS: Final = (
    signals.celeryd_init,
    signals.worker_init,
    signals.celeryd_after_setup,
    signals.worker_ready,
    signals.worker_process_init,
)


def import_as_receivers_do() -> None:
    """Import the modules of the project that its receivers import; none of them is called.

    What they call in turn is not followed. A module that cannot be imported here is no error.
    """
    with importing():
        for name in _unimported():
            try:
                with importing_project():
                    importlib.import_module(name)
            except Exception:  # a receiver may catch that, too
                continue


def unimported_by_receivers(ownership: Ownership, packages: Iterable[str]) -> list[str]:
    """Return what receivers import and is not imported here, of the project's modules and of `packages`."""
    tops = {package.partition(".")[0] for package in packages}
    return [
        name
        for name in _unimported()
        if name.partition(".")[0] in tops or root_package(name) in ownership.project or _is_own(name)
    ]


def _unimported() -> list[str]:
    """Return what receivers import and is not imported here, sorted.

    What stands in a string is no import, but for the argument of ``import_module`` and ``import_string``: it
    may as well be a program that is started.
    """
    named = {name for receiver in _receivers() for name in _named_by(receiver)}
    return sorted(name for name in named if name not in sys.modules and not _is_attribute(name))


def _is_attribute(name: str) -> bool:
    """Say whether a module that is imported has an attribute of this name: then that is meant."""
    module, _, attribute = name.rpartition(".")
    return module in sys.modules and attribute in vars(sys.modules[module])


def _receivers() -> Iterator[Any]:
    """Yield the functions that are connected, of packages that are no known library's."""
    for signal in _SIGNALS:
        for _, receiver in list(signal.receivers or ()):
            function = receiver() if isinstance(receiver, weakref.ReferenceType) else receiver
            function = getattr(function, "__func__", function)
            if hasattr(function, "__code__") and not is_library(str(function.__module__)):
                yield function


def _named_by(function: Any) -> Iterator[str]:
    """Yield the modules of the project that a function imports."""
    package = getattr(sys.modules.get(function.__module__), "__package__", None) or ""
    root = root_package(str(function.__module__))
    for name in _names_in(function.__code__, package):
        if root_package(name) == root or _is_own(name):
            yield name


def _is_own(name: str) -> bool:
    try:
        spec = find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and is_own_path(spec.origin)


def _names_in(code: CodeType, package: str) -> Iterator[str]:
    level, base, called = 0, "", ""
    for step in get_instructions(code):
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and isinstance(step.argval, int):
            level = step.argval
        elif step.opname == "LOAD_CONST" and called in _IMPORTERS and _is_dotted(step.argval):
            yield step.argval
        elif step.opname == "IMPORT_NAME":
            base = _absolute(str(step.argval), level, package)
            if base:
                yield base
        elif step.opname == "IMPORT_FROM" and base:
            yield f"{base}.{step.argval}"
        if step.opname not in ("PUSH_NULL", "CACHE", "EXTENDED_ARG"):
            called = str(step.argval) if step.opname.startswith("LOAD_") else ""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant, package)


def _is_dotted(text: object) -> bool:
    return isinstance(text, str) and "." in text and all(part.isidentifier() for part in text.split("."))


def _absolute(name: str, level: int, package: str) -> str:
    try:
        return resolve_name("." * level + name, package) if level else name
    except ImportError:
        return ""
