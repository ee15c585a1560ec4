"""Which Celery apps this process has, and which of them ``celery.current_app`` is in a new thread.

Celery keeps the current app for each thread. A new one begins with the default app (``celery/_state.py``):
the first that Django's fix-up saw, unless something touched ``current_app`` before that. Then it is one of
Celery's own making, which reads no settings of the project's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from celery import Celery, Task, _state, current_app, signals
from celery.local import PromiseProxy
from celery.utils.functional import maybe_list
from django.conf import settings as django_settings

from celery_health.celery_app import app_name, held_at, imported_before, is_fallback, settings_package
from celery_health.connections.addresses import place_of, written_to
from celery_health.doctor.identity import IdentityFacts, OtherApp, ThreadApp
from celery_health.doctor.static.modules import file_of, users_of
from celery_health.doctor.static.watched import is_tests, watched_apps
from celery_health.topology import Resolver, is_library
from celery_health.worker.fingerprints import routing

if TYPE_CHECKING:
    from celery_health.conf import Settings
    from celery_health.doctor.facts import TaskFacts

_TASK_MAKER: Final = "celery.app"


def identity_facts(
    app: Celery, settings: Settings, tasks: Mapping[str, TaskFacts], modules: Mapping[str, ModuleType]
) -> IdentityFacts:
    """Return the apps of this process. `modules` are own ones; nothing is imported, no task is made."""
    holder = held_at(app)
    module, attribute = holder or (None, "app")
    others = list(_others(app, settings, modules))
    if any(facts.has_work for _, facts in others):
        watched = watched_apps(modules)
        others = [
            (other, replace(facts, is_watched=watched.has(other, facts.argument, settings)))
            for other, facts in others
        ]
    # Another process watches it: shared tasks are that one's.
    is_meant = any(facts.is_watched and other is _state.default_app for other, facts in others)  # type: ignore[attr-defined]
    return IdentityFacts(
        name=app_name(app),
        broker=written_to(app),
        module=module,
        attribute=attribute,
        holder_package=_package_to_tell(app, module),
        is_imported=module is not None and module in (imported_before(settings) or sys.modules),
        is_set=settings.celery_app is not None,
        in_threads=None if is_meant else _in_threads(app, settings, module, tasks, modules),
        others=tuple(facts for _, facts in others),
    )


# In a new thread -------------------------------------------------------------------------------------------


def _in_threads(
    app: Celery,
    settings: Settings,
    module: str | None,
    tasks: Mapping[str, TaskFacts],
    modules: Mapping[str, ModuleType],
) -> ThreadApp | None:
    default: Any = _state.default_app  # type: ignore[attr-defined]
    is_unimported = default is app and _is_unimported(settings, module)
    if default is app and not is_unimported:
        return None
    shared = [name for name in _shared(app) if name in tasks and tasks[name].is_own]
    # What stands beside tasks may run in workers alone, where it is their app in all threads.
    beside = {task.module for task in tasks.values()}
    users = users_of(
        {name: one for name, one in modules.items() if not (name in beside or is_tests(name))}, current_app
    )
    if not shared and not users:
        return None  # what is bound to its own app never asks for the current one
    if default is None or is_unimported:
        with _fallback() as other:
            return _thread_app(app, other, shared, users, is_unimported=is_unimported)
    return _thread_app(app, default, shared, users, is_unimported=False)


def _thread_app(
    app: Celery, other: Celery, shared: list[str], users: tuple[str, ...], *, is_unimported: bool
) -> ThreadApp | None:
    """Return how the app of threads differs; None where nobody would notice."""
    is_other_broker = place_of(app) != place_of(other)
    lost = shared if is_other_broker else [name for name in shared if _goes_elsewhere(app, other, name)]
    if not lost and not (is_other_broker and users):
        return None
    return ThreadApp(
        name=str(other.main),
        is_default=is_fallback(other),
        broker=written_to(other),
        is_other_broker=is_other_broker,
        tasks=tuple(sorted(lost)),
        users=users,
        is_unimported=is_unimported,
    )


def _goes_elsewhere(app: Celery, other: Celery, name: str) -> bool:
    """Say whether two apps with one broker send a task to different places."""
    task: Any = app.tasks[name]
    try:
        options = task._get_exec_options()
        here, there = (Resolver(one).sends(name, options) for one in (app, other))
    except Exception:  # whatever a router of the project raises, which others tell
        return False
    return (here.exchange, here.routing_key) != (there.exchange, there.routing_key)


@contextmanager
def _fallback() -> Iterator[Celery]:
    """Make what Celery makes where it has no app (``celery/_state.py``), for a moment and for nobody else."""
    loader = os.environ.get("CELERY_LOADER") or "default"
    other = Celery("default", fixups=[], set_as_current=False, loader=loader)
    try:
        yield other
    finally:
        other.close()


def _shared(app: Any) -> Iterator[str]:
    """Yield the names of tasks that ``shared_task`` made: each call of one asks for the current app."""
    for callback in list(_state._on_app_finalizers):  # type: ignore[attr-defined]
        cells = getattr(callback, "__closure__", None)
        if not cells or getattr(callback, "__module__", None) != _TASK_MAKER:
            continue
        closure = dict(zip(callback.__code__.co_freevars, (one.cell_contents for one in cells), strict=False))
        function, options = closure.get("fun"), closure.get("options") or {}
        module = getattr(function, "__module__", None)
        if function is not None and module is not None:
            yield str(options.get("name") or app.gen_task_name(getattr(function, "__name__", ""), module))


def _is_unimported(settings: Settings, module: str | None) -> bool:
    """Say whether nobody but celery_health imports the app, with the URLs there, as in a web server."""
    before = imported_before(settings)
    urls = getattr(django_settings, "ROOT_URLCONF", None)
    if before is None or module is None or module in before or urls not in before:
        return False
    return not any(_may_import(path) for path in _loaded_by_servers())


def _loaded_by_servers() -> Iterator[str]:
    """Yield the dotted paths that a server loads and no command does."""
    for name in ("WSGI_APPLICATION", "ASGI_APPLICATION"):
        if isinstance(path := getattr(django_settings, name, None), str):
            yield path
    yield from (path for path in getattr(django_settings, "MIDDLEWARE", ()) if isinstance(path, str))


def _may_import(path: str) -> bool:
    """Say whether the module of a dotted path, if it was not imported, may import the app."""
    name = path.rpartition(".")[0]
    file = None if name in sys.modules or is_library(name) else file_of(name)
    with suppress(OSError):
        return file is not None and "celery" in Path(file).read_text(errors="replace")
    return True


def _package_to_tell(app: Celery, module: str | None) -> str | None:
    """Return the package that Django imports first, where it does not have the app."""
    package = settings_package()
    held = sys.modules.get(package or "")
    if module is None or held is None or not hasattr(held, "__path__"):
        return None
    return None if any(value is app for value in list(vars(held).values())) else package


# Other apps ------------------------------------------------------------------------------------------------


def _others(
    app: Celery, settings: Settings, modules: Mapping[str, ModuleType]
) -> Iterator[tuple[Celery, OtherApp]]:
    """Yield the project's other apps: those that its modules hold, or make tasks with, and no test's."""
    places: dict[int, list[str]] = {}
    tasks: dict[int, set[str]] = {}
    found: dict[int, Celery] = {}
    is_wanted: dict[type, bool] = {}
    for name, module in modules.items():
        if is_tests(name):
            continue
        for key, value in list(vars(module).items()):
            kind = type(value)
            if kind not in is_wanted:
                is_wanted[kind] = issubclass(kind, (Celery, Task, PromiseProxy))
            if not is_wanted[kind]:
                continue
            if issubclass(kind, Celery):
                found[id(value)] = value
                places.setdefault(id(value), []).append(f"{name}:{key}")
            elif (made := _made(value)) is not None and made.module == name:
                found[id(made.app)] = made.app
                tasks.setdefault(id(made.app), set()).add(made.task)
    for other in sorted(found.values(), key=lambda one: str(one.main)):
        if other is app or is_fallback(other):
            continue
        own_tasks = tasks.get(id(other), set())
        holder = held_at(other)
        if not own_tasks and holder is not None and (holder[0] not in modules or is_tests(holder[0])):
            continue  # a library's, or a test's
        argument = ":".join(holder) if holder else min(places.get(id(other), []), default=None)
        if not _is_covered(app, other, own_tasks):
            yield other, _other(other, settings, argument, own_tasks)


def _is_covered(app: Celery, other: Celery, tasks: Iterable[str]) -> bool:
    """Say whether the watched app has the other's tasks, queues and broker: a second name for the same."""
    try:
        return (
            place_of(app) == place_of(other)
            and routing(app) == routing(other)
            and all(name in app.tasks for name in tasks)
        )
    except Exception:  # whatever the other's settings hold
        return False


def _other(other: Celery, settings: Settings, argument: str | None, tasks: Iterable[str]) -> OtherApp:
    broker, entries, includes = None, 0, frozenset[str]()
    with suppress(Exception):  # whatever its settings hold: it may not be meant to be used here
        conf: Any = other.conf
        broker = written_to(other)
        entries = len(conf.beat_schedule or ())
        includes = frozenset(map(str, (*maybe_list(conf.include or ()), *maybe_list(conf.imports or ()))))
    lookups = list(_lookups(other))
    return OtherApp(
        name=app_name(other),
        argument=argument,
        broker=broker,
        tasks=tuple(sorted(tasks)),
        entries=entries,
        discovers=bool(includes or lookups),
        modules=includes.union(*(_modules(other, *one) for one in lookups)),
        asked_in_threads=settings.celery_app is None and other is _state.default_app,  # type: ignore[attr-defined]
    )


def _lookups(app: Celery) -> Iterator[tuple[Any, Any]]:
    """Yield what the app's workers will look for: arguments of `autodiscover_tasks` (celery/app/base.py)."""
    for (_, sender), receiver in list(signals.import_modules.receivers or ()):
        function: Any = getattr(receiver, "fun", None)
        if sender == id(app) and getattr(function, "__name__", "") == "_autodiscover_tasks":
            given: tuple[Any, ...] = tuple(getattr(receiver, "args", ()))
            packages, related_name, *_ = (*given, None, "tasks")
            yield packages, related_name


def _modules(app: Any, packages: Any, related_name: Any) -> frozenset[str]:
    """Return where one of them looks for tasks; nothing where a function of the project's would say that."""
    if callable(packages):
        return frozenset()
    found = packages or [
        name for one in app._fixups if hasattr(one, "autodiscover_tasks") for name in one.autodiscover_tasks()
    ]
    return frozenset(f"{name}.{related_name}" if related_name else str(name) for name in maybe_list(found))


class _Made(NamedTuple):
    """A task that a module has, by the decorator of an app."""

    app: Celery
    module: str
    task: str


def _made(value: Any) -> _Made | None:
    """Return whose task this is; evaluates nothing."""
    if issubclass(type(value), PromiseProxy):
        if not value.__evaluated__():
            made: Any = object.__getattribute__(value, "_Proxy__local")
            owner: Any = getattr(made, "__self__", None)
            function = next(iter(object.__getattribute__(value, "_Proxy__args")), None)
            if not issubclass(type(owner), Celery) or function is None:
                return None
            module = str(getattr(function, "__module__", ""))
            name = object.__getattribute__(value, "_Proxy__kwargs").get("name")
            return _Made(owner, module, str(name or f"{module}.{function.__name__}"))
        value = value._get_current_object()
    owner = vars(type(value)).get("app") if issubclass(type(value), Task) else None
    if not issubclass(type(owner), Celery):
        return None
    return _Made(owner, type(value).__module__, str(value.name))
