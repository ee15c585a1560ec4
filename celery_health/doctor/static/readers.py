"""Who reads a name: found in the source of what is imported, and of the project's own files beside that.

A name that some library reads is no slip, however near it is to one of Celery's. All source is looked
through for that, which takes a tenth of a second: asked of names that look wrong alone.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Final

from celery_health.topology.ownership import is_own_path

#: Packages that read the names of their own options, and no others.
_CELERYS: Final = ("celery", "kombu", "billiard", "celery_health", "django")
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "migrations", "site-packages", "static", "media"})
#: Files of one folder of the project; of more, those that are imported are looked at.
_MOST_FILES: Final = 5000


def unread(names: Collection[str]) -> frozenset[str]:
    """Return those of `names` that no source reads, as far as source shows."""
    left = set(names)
    for path in _paths() if left else ():
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        near = {name for name in left if name in text}
        if near:
            left -= read_in(text, near)
        if not left:
            break
    return frozenset(left)


def read_in(source: str, names: Collection[str]) -> frozenset[str]:
    """Return those of `names` that a source reads; all, where it is no Python that can be told."""
    try:
        tree = ast.parse(source)
        return frozenset(_read(tree, frozenset(names), _stored(tree)))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(names)


def _stored(tree: ast.AST) -> frozenset[str]:
    nodes = ast.walk(tree)
    return frozenset(one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _read(node: ast.AST, names: frozenset[str], stored: frozenset[str]) -> Iterator[str]:
    """Yield the names that are read at a node, or below. Those in lower case may be anybody's variables."""
    match node:
        # What a name is set to may say it again: ``CELERY_BROKER = env("CELERY_BROKER")``.
        case ast.Assign(targets=targets):
            names -= {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            names -= {name}
        case ast.Name(id=name, ctx=ast.Load()) if name in names and (name.isupper() or name in stored):
            yield name
        case ast.Attribute(attr=name, ctx=ast.Load(), value=of) if name in names and _may_read(name, of):
            yield name
        case ast.Call(func=called, args=args):
            yield from (text for text in _texts(args) if text in names and _may_read(text, called))
        case ast.Subscript(slice=ast.Constant(value=text), ctx=ast.Load(), value=of) if text in names:
            yield from [text] if _may_read(text, of) else []
        case ast.ImportFrom(names=imported):
            yield from (one.name for one in imported if one.name in names)
    for child in ast.iter_child_nodes(node):
        yield from _read(child, names, stored)


def _may_read(name: str, of: ast.expr) -> bool:
    """Say whether a name is taken from what may be settings: one in upper case is, wherever it comes from."""
    if name.isupper():
        return True
    return any(isinstance(one, ast.Name | ast.Attribute) and _is_conf(one) for one in ast.walk(of))


def _is_conf(node: ast.Name | ast.Attribute) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr
    return "conf" in name.lower() or "settings" in name.lower()


def _texts(args: list[ast.expr]) -> Iterator[str]:
    return (one.value for one in args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _paths() -> Iterator[str]:
    """Yield the files of the modules that are imported, and those of the project's packages."""
    seen, folders = set[str](), set[str]()
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in _CELERYS or top in sys.stdlib_module_names or not issubclass(type(module), ModuleType):
            continue
        path = object.__getattribute__(module, "__dict__").get("__file__")
        if not isinstance(path, str) or not path.endswith(".py") or path in seen:
            continue
        seen.add(path)
        if is_own_path(path) and "." not in name and os.path.basename(path) == "__init__.py":
            folders.add(os.path.dirname(path))
        yield path
    for folder in sorted(folders):
        yield from (path for path in islice(_files(folder), _MOST_FILES) if path not in seen)


def _files(folder: str) -> Iterator[str]:
    for here, below, files in os.walk(folder):
        below[:] = [name for name in below if name not in _SKIPPED and not name.startswith(".")]
        yield from (os.path.join(here, name) for name in files if name.endswith(".py"))
