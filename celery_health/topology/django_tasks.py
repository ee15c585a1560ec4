"""Where Django's tasks go whose backend sends them by Celery: the backend's own word, not the app's routes.

Such a backend registers a Celery task for each of Django's, or one that runs them all, and may name the queue
in each call. Where its way cannot be known, nothing is said of those Celery tasks. A process that has not
imported Django's tasks pays nothing.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import celery
from celery.local import Proxy

from celery_health.topology.model import DjangoTask, Publication
from celery_health.topology.ownership import Owner, Ownership

if TYPE_CHECKING:
    from celery import Celery

#: Django's own since 6.0, and the package that older Djangos have for it.
_FRAMEWORKS: Final = ("django.tasks", "django_tasks")
#: Backends of the frameworks themselves, which have nothing to do with Celery.
_PLAIN_BACKENDS: Final = frozenset(
    f"{framework}.backends.{name}" for framework in _FRAMEWORKS for name in ("immediate", "dummy")
)
#: Where a task goes that says nothing of it (django/tasks/base.py).
_DEFAULT_QUEUE_NAME: Final = "default"
#: How many closures are looked through for the function that a Celery task wraps.
_MOST_WRAPPERS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrier:
    """A Celery task that carries tasks of Django's: their backend sends it, not the project.

    Both lists hold the options of messages that say where they go. Both empty: that cannot be known.
    """

    owner: Owner = Owner.OTHER
    """Whose the tasks are that it carries: the project's, as soon as one of them is."""
    expected: tuple[Mapping[str, Any], ...] = ()
    """Somebody should consume where these go."""
    optional: tuple[Mapping[str, Any], ...] = ()
    """These are of tasks that an installed app may or may not send."""
    further_queues: frozenset[str] = frozenset()
    """Where calls may have it go besides (``task.using(queue_name=...)``): those that ``QUEUES`` lists."""


def carriers(app: Celery, ownership: Ownership) -> Mapping[str, Carrier]:
    """Return the Celery tasks that carry Django's, by name. The project's tasks must be imported."""
    found: dict[str, Carrier] = {}
    for framework in (sys.modules.get(name) for name in _FRAMEWORKS):
        backends = {} if framework is None else _backends(app, framework)
        if framework is not None and backends:
            tasks = _defined(framework, backends)
            for name, one in _carriers(app, ownership, backends, tasks):
                found[name] = _both(found[name], one) if name in found else one
    return found


def further_queues(carriers: Mapping[str, Carrier]) -> frozenset[str]:
    """Return where calls may have them go besides."""
    return frozenset(queue for carrier in carriers.values() for queue in carrier.further_queues)


#: What was learnt stays known: the topology is read again each minute, and code does not change.
_known: WeakKeyDictionary[Celery, dict[Any, dict[Any, Publication | None]]] = WeakKeyDictionary()


class _Backend:
    """A backend of ``TASKS``, and what its code shows of the way that it sends."""

    def __init__(self, app: Celery, alias: str, cls: type, params: Mapping[str, Any]) -> None:
        self.alias, self.cls, self._app, self._params = alias, cls, app, params
        known = _known.setdefault(app, {})
        self._ways = known.setdefault((cls, alias, repr(params)), {})
        self._further: frozenset[str] | None = None

    def way(self, task: DjangoTask) -> Publication | None:
        """Return the message that it sends for `task`; None when no way to Celery is seen."""
        key = task.module_path, task.queue_name, task.fields.get("priority"), task.fields.get("run_after")
        if key not in self._ways:
            # Imported here: few projects have such a backend, and all read their topology.
            from celery_health.topology.rehearsal import rehearse

            self._ways[key] = rehearse(self._app, self.cls, self.alias, self._params, task)
        return self._ways[key]

    def further_queues(self, task: DjangoTask) -> frozenset[str]:
        """Return the queues that a task would go to, sent to each of those that the backend accepts."""
        if self._further is None:
            names = self._params.get("QUEUES") or ()
            ways = [self.way(replace(task, queue_name=name)) for name in names if isinstance(name, str)]
            queues = (way.options.get("queue") for way in ways if way is not None and way.options)
            self._further = frozenset(queue for queue in queues if isinstance(queue, str))
        return self._further

    def mentioned(self) -> tuple[set[str], bool]:
        """Return the Celery tasks that its methods name, and whether something is called by Celery's name."""
        words = set(vars(sys.modules.get(self.cls.__module__, sys)))
        tasks: set[str] = set()
        for method in vars(self.cls).values():
            if isinstance(method, FunctionType):
                code = method.__code__
                words.update(code.co_names)
                values = (*code.co_consts, *(method.__globals__.get(name) for name in code.co_names))
                names = (value if type(value) is str else _name_of(value) for value in values)
                tasks.update(name for name in names if name is not None and name in self._app.tasks)
        return tasks, any("celery" in word.lower() for word in words)


def _backends(app: Celery, framework: ModuleType) -> dict[str, _Backend]:
    """Return alias → backend, of those that have been imported and are not the framework's own."""
    try:
        configured = dict(framework.task_backends.settings)
    except Exception:  # another package of that name, or a TASKS that nobody can read
        return {}
    found = {}
    for alias, params in configured.items():
        module, _, name = str(params.get("BACKEND", "")).rpartition(".")
        cls = getattr(sys.modules.get(module), name, None)
        if not isinstance(cls, type) or cls.__module__ in _PLAIN_BACKENDS:
            continue
        if not _names_another_app(params, app):
            found[alias] = _Backend(app, alias, cls, params)
    return found


def _names_another_app(params: Mapping[str, Any], app: Celery) -> bool:
    """Say whether the options of a backend name a Celery app that is not `app`."""
    for value in (params.get("OPTIONS") or {}).values():
        if isinstance(value, str):
            module, _, name = value.replace(":", ".").rpartition(".")
            value = vars(sys.modules[module]).get(name) if module in sys.modules else None
        if isinstance(value, celery.Celery) and value is not app:
            return True
    return False


def _defined(framework: ModuleType, backends: Mapping[str, _Backend]) -> list[Any]:
    """Return the tasks of these backends that some module holds."""
    base = getattr(sys.modules.get(f"{framework.__name__}.base"), "Task", None)
    if not isinstance(base, type):
        return []
    found: dict[int, Any] = {}
    modules: list[Any] = list(sys.modules.values())  # whatever somebody put there
    for module in modules:
        if not isinstance(module, ModuleType):
            continue
        # Not vars(): a module that is imported at first use would be imported by it.
        for value in list(object.__getattribute__(module, "__dict__").values()):
            # By type(), since a lazy object would evaluate itself for isinstance().
            if issubclass(type(value), base) and value.backend in backends:
                found[id(value)] = value
    return list(found.values())


def _carriers(
    app: Celery, ownership: Ownership, backends: Mapping[str, _Backend], tasks: list[Any]
) -> Iterator[tuple[str, Carrier]]:
    links = _links(app, tasks)
    sent: set[str] = set()
    for task in tasks:
        backend, seen, owner = (
            backends[task.backend],
            _as_seen(task),
            ownership.of_module(task.func.__module__),
        )
        linked, way = links.get(id(task.func), []), backend.way(seen)
        if way is None:
            mentioned, is_of_celery = backend.mentioned()
            unknown = mentioned.union(linked if mentioned or is_of_celery else ())
            yield from ((name, Carrier(owner=owner)) for name in unknown)
            continue
        names = [way.name] if way.name is not None and way.name in app.tasks else linked
        sent.update(names)
        if not names and way.options:  # registered in another process only; its queue is known all the same
            names = [way.name or seen.module_path]
        options = () if way.options is None else (way.options,)
        is_expected = owner is Owner.PROJECT or (
            owner is Owner.INSTALLED and task.queue_name != _DEFAULT_QUEUE_NAME
        )
        carrier = Carrier(
            owner=owner,
            expected=options if is_expected else (),
            optional=() if is_expected else options,
            further_queues=backend.further_queues(seen),
        )
        yield from ((name, carrier) for name in names)
    for backend in backends.values():
        yield from ((name, Carrier()) for name in _besides(app, ownership, backend) if name not in sent)


def _besides(app: Celery, ownership: Ownership, backend: _Backend) -> Iterator[str]:
    """Yield what else the package of a backend registers: who sends that, and where to, is for it to know."""
    package = backend.cls.__module__.partition(".")[0]
    is_projects = ownership.of_module(backend.cls.__module__) is Owner.PROJECT
    if package not in ("celery", "django") and not is_projects:
        for name, task in app.tasks.items():
            if type(task).__module__.partition(".")[0] == package:
                yield str(name)


def _both(one: Carrier, other: Carrier) -> Carrier:
    expected = _union(one.expected, other.expected)
    return Carrier(
        owner=min(one.owner, other.owner, key=list(Owner).index),
        expected=expected,
        optional=tuple(
            options for options in _union(one.optional, other.optional) if options not in expected
        ),
        further_queues=one.further_queues | other.further_queues,
    )


def _union(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*one, *(more for more in other if more not in one))


def _as_seen(task: Any) -> DjangoTask:
    known = {one.name: getattr(task, one.name) for one in fields(task)} if is_dataclass(task) else {}
    known.pop("func", None)
    return DjangoTask(module_path=str(task.module_path), queue_name=str(task.queue_name), fields=known)


# From a Celery task to Django's -------------------------------------------------------------------------


def _links(app: Celery, tasks: list[Any]) -> Mapping[int, list[str]]:
    """Return the id of a function of Django's tasks → the Celery tasks that wrap it, or have its path."""
    functions = {id(task.func) for task in tasks}
    paths = {str(task.module_path): id(task.func) for task in tasks}
    links: dict[int, list[str]] = {}
    for name, task in app.tasks.items():
        if name.startswith("celery."):
            continue
        # The path may stand behind a prefix: ``django_tasks:shop.tasks.mail``.
        by_path = paths.get(name) or paths.get(name.rpartition(":")[2])
        wrapped = next((one for one in _wrapped(task, _MOST_WRAPPERS) if one in functions), by_path)
        if wrapped is not None:
            links.setdefault(wrapped, []).append(str(name))
    return links


def _wrapped(thing: Any, depth: int) -> Iterator[int]:
    """Yield the ids of the functions that a Celery task calls, as far as its closures show."""
    run = getattr(thing, "_orig_run", None) or getattr(thing, "run", thing)
    function = getattr(run, "__func__", run)
    yield id(inspect.unwrap(function))
    if isinstance(function, FunctionType) and depth:
        for cell in function.__closure__ or ():
            held = _content(cell)
            inner = getattr(held, "func", None) if hasattr(type(held), "module_path") else held
            if isinstance(inner, FunctionType):
                yield from _wrapped(inner, depth - 1)


def _name_of(value: Any) -> str | None:
    """Return the name of a Celery task; None of everything else."""
    # By type(), since other lazy objects would evaluate themselves.
    if issubclass(type(value), Proxy) and not isinstance(value, ModuleType):
        value = value._get_current_object()
    return str(value.name) if issubclass(type(value), celery.Task) else None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
