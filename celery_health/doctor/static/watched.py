"""Which apps other processes of the project watch, as its sources say: values of ``CELERY_APP``.

A process of its own for a second app has settings of its own. They are read, not imported: of a process, one
settings module is all that may be there.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from celery import _state
from django.conf import settings as django_settings

from celery_health.celery_app import is_named
from celery_health.topology import is_own_path

if TYPE_CHECKING:
    from celery import Celery

    from celery_health.conf import Settings

_KEY: Final = "CELERY_APP"
_INSTALLED: Final = re.compile(r"^INSTALLED_APPS\b.*=", re.MULTILINE)
_CELERY: Final = re.compile("celery", re.IGNORECASE)
#: More is not read: then nobody knows what the rest says.
_MOST_FILES: Final = 3000
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "migrations", "locale", "static", "templates"})
#: Parts of the names of modules that only tests import.
_TESTS: Final = frozenset({"test", "tests", "testing", "conftest"})


class Watched(NamedTuple):
    """What the sources say of which app is watched."""

    values: frozenset[str]
    """Values of ``CELERY_APP``, and texts that may be one: ``proj.celery:app``."""
    is_computed: bool
    """One is known at runtime alone, or not all was read: it may be any app."""
    has_default: bool
    """There are settings without it: their process watches the default app."""

    def has(self, app: Celery, argument: str | None, settings: Settings) -> bool:
        """Say whether a process of the project watches `app`, or may do so."""
        if self.is_computed:
            return True
        is_default = app is _state.default_app  # type: ignore[attr-defined]
        if self.has_default and is_default and settings.celery_app is not None:
            return True
        dotted = (argument or "").replace(":", ".")
        return any(value in (argument, dotted) or is_named(app, value) for value in self.values)


def is_tests(module: str) -> bool:
    """Say whether a module is there for tests alone, by its name."""
    parts = module.split(".")
    return not _TESTS.isdisjoint(parts) or any(part.startswith("test_") for part in parts)


def watched_apps(packages: Iterable[str]) -> Watched:
    """Read the sources of the project's settings and of some imported packages."""
    values, is_computed, has_default = set[str](), False, False
    for number, path in enumerate(_sources(packages)):
        if number == _MOST_FILES:
            is_computed = True
            break
        with suppress(OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            text = path.read_text(encoding="utf-8", errors="replace")
            if _KEY not in text and _INSTALLED.search(text):
                has_default = True
            if _CELERY.search(text):
                for value in _values(ast.parse(text)):
                    is_computed |= value is None
                    values.add(value or "")
    return Watched(frozenset(values - {""}), is_computed, has_default)


def _sources(packages: Iterable[str]) -> Iterator[Path]:
    """Yield the files: settings and what lies beside them first."""
    settings: str = getattr(django_settings, "SETTINGS_MODULE", None) or ""
    seen = set[str]()
    file = getattr(sys.modules.get(settings), "__file__", None)
    if file is not None and "." not in settings and is_own_path(file) and not is_tests(settings):
        # Anything may lie beside a module that stands in no package: its neighbours are enough.
        yield from sorted(Path(file).parent.glob("*.py"))
    for package in dict.fromkeys(name.partition(".")[0] for name in (settings, *packages)):
        if package and not is_tests(package):
            for folder in list(getattr(sys.modules.get(package), "__path__", ())):
                if folder not in seen and is_own_path(f"{folder}{os.sep}"):
                    seen.add(folder)
                    yield from _below(str(folder))


def _below(top: str) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(
            one
            for one in folders
            if one not in _SKIPPED
            and not one.startswith(".")
            and not is_tests(one)
            and is_own_path(f"{one}{os.sep}")
        )
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        for name in sorted(files):
            if name.endswith(".py") and not is_tests(name.removesuffix(".py")):
                yield Path(folder, name)


def _values(tree: ast.Module) -> Iterator[str | None]:
    """Yield what ``CELERY_APP`` is set to, None where it is computed; and texts like ``module:attribute``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == _KEY:
                    yield from _value(value)
        elif _is_item(node):
            yield from _value(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, colon, attribute = node.value.partition(":")
            if colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split(".")):
                yield node.value


def _is_item(node: ast.AST) -> TypeGuard[ast.keyword | ast.Assign]:
    """Say whether this is ``dict(CELERY_APP=...)`` or ``CELERY_HEALTH["CELERY_APP"] = ...``."""
    if isinstance(node, ast.keyword):
        return node.arg == _KEY
    keys = [one.slice for one in getattr(node, "targets", ()) if isinstance(one, ast.Subscript)]
    return isinstance(node, ast.Assign) and any(
        isinstance(key, ast.Constant) and key.value == _KEY for key in keys
    )


def _value(node: ast.expr) -> Iterator[str | None]:
    if not isinstance(node, ast.Constant):
        yield None
    elif isinstance(node.value, str):
        yield node.value
