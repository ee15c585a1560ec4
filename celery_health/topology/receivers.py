"""Import what receivers of a worker's signals import: they are called in no other process, and not here."""

from __future__ import annotations

import importlib
import sys
import weakref
from collections.abc import Iterator
from dis import get_instructions
from importlib.util import find_spec, resolve_name
from types import CodeType
from typing import Any, Final

from celery import signals

from celery_health.topology.libraries import is_library
from celery_health.topology.ownership import is_own_path, root_package

#: Sent while a worker starts.
_SIGNALS: Final = (
    signals.celeryd_init,
    signals.worker_init,
    signals.celeryd_after_setup,
    signals.worker_ready,
    signals.worker_process_init,
)


def import_as_receivers_do() -> None:
    """Import the modules of the project that its receivers name; none of them is called.

    What they call in turn is not followed. A module that cannot be imported here is no error.
    """
    for name in sorted({name for receiver in _receivers() for name in _named_by(receiver)}):
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception:  # a receiver may catch that, too
                continue


def _receivers() -> Iterator[Any]:
    """Yield the functions that are connected, of packages that are no known library's."""
    for signal in _SIGNALS:
        for _, receiver in list(signal.receivers or ()):
            function = receiver() if isinstance(receiver, weakref.ReferenceType) else receiver
            function = getattr(function, "__func__", function)
            if hasattr(function, "__code__") and not is_library(str(function.__module__)):
                yield function


def _named_by(function: Any) -> Iterator[str]:
    """Yield the modules of the project that a function imports, by a statement or by name."""
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
    level, base = 0, ""
    for step in get_instructions(code):
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and isinstance(step.argval, int):
            level = step.argval
        elif step.opname == "LOAD_CONST" and isinstance(step.argval, str) and _is_dotted(step.argval):
            yield step.argval
        elif step.opname == "IMPORT_NAME":
            base = _absolute(str(step.argval), level, package)
            if base:
                yield base
        elif step.opname == "IMPORT_FROM" and base:
            yield f"{base}.{step.argval}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant, package)


def _is_dotted(text: str) -> bool:
    return "." in text and all(part.isidentifier() for part in text.split("."))


def _absolute(name: str, level: int, package: str) -> str:
    try:
        return resolve_name("." * level + name, package) if level else name
    except ImportError:
        return ""
