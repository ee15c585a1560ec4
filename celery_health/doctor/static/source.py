"""Which tasks a source file defines, without importing it."""

from __future__ import annotations

import ast


def tasks_in_file(module: str, path: str) -> tuple[str, ...]:
    """Return the names that the tasks of a file would have, in order; empty when it defines none.

    A task is a function under ``shared_task`` or ``<app>.task``, where the file takes that name from a module
    with ``celery`` in its own: other queues have decorators called ``task`` too.
    """
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ()
    from_celery = _names_from_celery(tree)
    if not from_celery:
        return ()
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                name = _task_name(decorator, from_celery)
                if name is not None:
                    found.append(name or f"{module}.{node.name}")
                    break
    return tuple(found)


def _names_from_celery(tree: ast.Module) -> frozenset[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and "celery" in (node.module or ""):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # from proj import celery_app
            names |= {alias.asname or alias.name for alias in node.names if "celery" in alias.name}
        elif isinstance(node, ast.Import):
            names |= {
                (alias.asname or alias.name).partition(".")[0]
                for alias in node.names
                if "celery" in alias.name
            }
    return frozenset(names)


def _task_name(decorator: ast.expr, from_celery: frozenset[str]) -> str | None:
    """Return the explicit name that a task's decorator gives, "" for none; None when it makes no task."""
    call = decorator if isinstance(decorator, ast.Call) else None
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Name):
        if target.id not in from_celery or "task" not in target.id:
            return None
    elif isinstance(target, ast.Attribute):
        base = target.value
        if target.attr not in ("task", "shared_task") or not isinstance(base, ast.Name):
            return None
        if base.id not in from_celery:
            return None
    else:
        return None
    for keyword in call.keywords if call is not None else []:
        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return ""
