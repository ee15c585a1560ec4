"""What the project's modules show: names taken twice, task modules that nobody imports, what they use."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

import celery
from celery import _state
from celery.local import Proxy
from celery.result import AsyncResult
from django.apps import apps

from celery_health.doctor.facts import CodeFacts, TakenName, UnimportedTasks
from celery_health.doctor.static.source import tasks_in_file
from celery_health.topology import (
    Owner,
    Ownership,
    configured_schedule,
    is_own_path,
    root_package,
    unimportable,
)

if TYPE_CHECKING:
    from celery import Celery


def code_facts(
    app: Celery,
    ownership: Ownership,
    modules: Mapping[str, ModuleType],
    paths: Iterable[str],
    unseen: str | None = None,
) -> CodeFacts:
    """Return what is seen. `modules` are own ones, `paths` dotted paths that should be tasks and are none."""
    paths = list(paths)
    return CodeFacts(
        taken=tuple(_taken_names(app)),
        imported_twice=tuple(_imported_twice(app, ownership)),
        unimported=tuple(_unimported(paths, ownership)),
        uses_chord=users_of(modules, celery.chord),
        uses_async_result=users_of(modules, AsyncResult),
        unseen=unimportable() or unseen,
        tasks_at={path: name for path in paths if (name := _task_at(path)) is not None},
    )


def what_is_missing(app: Celery, ownership: Ownership) -> list[str]:
    """Return the unknown tasks that the schedule names, and the modules with tasks that are not imported."""
    tasks = {entry.get("task") for entry in configured_schedule(app).values()}
    unknown = [task for task in tasks if isinstance(task, str) and task not in app.tasks]
    return [*unknown, *(one.module for one in _unimported((), ownership))]


def modules_of(packages: frozenset[str]) -> dict[str, ModuleType]:
    """Return the imported modules of some packages, by name."""
    tops = {package.partition(".")[0] for package in packages}
    return {
        name: module
        for name, module in list(sys.modules.items())
        # The first test is cheap, and enough for most of some thousands.
        if name.partition(".")[0] in tops
        and isinstance(module, ModuleType)
        and root_package(name) in packages
    }


# One name, two functions -------------------------------------------------------------------------------


def _taken_names(app: Celery) -> Iterator[TakenName]:
    """Yield names that several functions ask for: Celery keeps the first and drops the others.

    Every decorator leaves its function in a closure that runs when an app is finalised
    (``celery._state._on_app_finalizers``); after that, nothing else remembers the ones that lost.
    """
    functions: dict[str, list[Any]] = defaultdict(list)
    for function, name in _decorated(app):
        if not any(_is_same(function, other) for other in functions[name]):
            functions[name].append(function)
    for name, asking in sorted(functions.items()):
        task: Any = app.tasks.get(name)
        if len(asking) > 1 and task is not None:
            kept = next((f for f in asking if _runs(task, f)), None)
            lost = sorted(_place(f) for f in asking if f is not kept)
            if kept is not None:
                yield TakenName(name=name, kept=_place(kept), lost=tuple(lost))


def _decorated(app: Any) -> Iterator[tuple[Any, str]]:
    for callback in list(_state._on_app_finalizers):  # type: ignore[attr-defined]
        code, cells = getattr(callback, "__code__", None), getattr(callback, "__closure__", None)
        if code is None or not cells:
            continue
        closure = dict(zip(code.co_freevars, (cell.cell_contents for cell in cells), strict=False))
        function = closure.get("fun")
        options = closure.get("options") or closure.get("opts") or {}
        module = getattr(function, "__module__", None)
        if function is None or module is None or module.startswith("celery."):
            continue
        name = options.get("name") or app.gen_task_name(getattr(function, "__name__", ""), module)
        yield function, str(name)


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two functions are one, made again by a reload of its module."""
    if one is other:
        return True
    if _place(one) != _place(other):
        return False
    # Two results of one decorator share their code, and are two; a reload compiles it anew.
    code = getattr(one, "__code__", None)
    return code is None or code is not getattr(other, "__code__", None)


def _runs(task: Any, function: Any) -> bool:
    candidates = [getattr(task, name, None) for name in ("_decorated_fun", "_orig_run", "run", "__wrapped__")]
    return any(getattr(candidate, "__func__", candidate) is function for candidate in candidates)


def _place(function: Any) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def _imported_twice(app: Celery, ownership: Ownership) -> Iterator[tuple[str, ...]]:
    """Yield groups of modules with tasks that are one file: each has its tasks under its own name."""
    files: dict[str, set[str]] = defaultdict(set)
    for module in {type(task).__module__ for task in app.tasks.values()}:
        path = getattr(sys.modules.get(module), "__file__", None)
        if path is not None and module != "__main__" and ownership.of_module(module) is not Owner.OTHER:
            files[os.path.realpath(path)].add(module)
    yield from sorted(tuple(sorted(modules)) for modules in files.values() if len(modules) > 1)


# Task modules that nobody imports ----------------------------------------------------------------------


def _unimported(paths: Iterable[str], ownership: Ownership) -> Iterator[UnimportedTasks]:
    """Yield modules that define tasks, by their source, and are not imported, nor imported for it.

    They are ``tasks`` of each app of the project's, and whatever `paths` name. What an installed app has and
    nobody imports may be there for others.
    """
    configs = apps.get_app_configs()
    candidates = {
        f"{config.name}.tasks"
        for config in configs
        if is_own_path(str(config.path)) or ownership.of_module(config.name) is Owner.PROJECT
    }
    candidates |= {path.rpartition(".")[0] for path in paths if path.count(".") >= 1}
    for name in sorted(candidates):
        if name and name not in sys.modules and (path := file_of(name)) is not None:
            tasks = tasks_in_file(name, path)
            if tasks:
                yield UnimportedTasks(module=name, tasks=tasks)


def file_of(name: str) -> str | None:
    """Return the source file of a module; nothing is imported to find it."""
    parts = name.split(".")
    # Nearly always its package is imported, as an app's, and need not be looked for.
    package = sys.modules.get(name.rpartition(".")[0])
    search = None if package is None else list(getattr(package, "__path__", ()))
    spec = None
    for depth in range(1 if package is None else len(parts), len(parts) + 1):
        if search == []:  # no package
            return None
        try:
            spec = PathFinder.find_spec(".".join(parts[:depth]), search)
        except (ImportError, AttributeError, ValueError):
            return None
        search = [] if spec is None else list(spec.submodule_search_locations or ())
    path = None if spec is None else spec.origin
    return path if path is not None and path.endswith(".py") else None


def _task_at(path: str) -> str | None:
    """Return the real name of the task that a dotted path leads to, in what is imported already."""
    module, _, attribute = path.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None) if module else None
    # By type(), since a lazy task would evaluate itself for isinstance().
    if issubclass(type(found), Proxy):
        found = found._get_current_object()  # type: ignore[union-attr]
    if isinstance(found, type) or not isinstance(found, celery.Task):
        return None
    name: str | None = found.name
    return name if name != path else None


def users_of(modules: Mapping[str, ModuleType], wanted: Any) -> tuple[str, ...]:
    """Return the modules that have a class as a global."""
    # By id: what is compared may be a lazy object of the project's, which would evaluate itself.
    one = id(wanted)
    return tuple(
        sorted(name for name, module in modules.items() if one in map(id, list(vars(module).values())))
    )
