"""The objects of a rehearsal: they take whatever is done to them, do nothing, and note what would publish."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, Protocol

import celery
from celery.local import Proxy
from kombu import Queue

from celery_health.topology.model import DjangoTask, Publication

#: Methods of a Celery app, a task or a signature that publish, Celery's asynchronous fork's among them.
_PUBLISHING: Final = frozenset({"send_task", "apply_async", "delay", "asend_task", "aapply_async", "adelay"})
#: Methods that make a signature, or change its options.
_SIGNING: Final = frozenset({"signature", "subtask", "s", "si", "set", "clone", "Signature"})
#: Functions that give what a path leads to.
_IMPORTING: Final = frozenset({"import_string", "import_module"})
#: Options that say where a message goes.
_DESTINATION: Final = ("queue", "exchange", "exchange_type", "routing_key")
#: What a blank is as text; also a keyword that nobody can tell.
UNKNOWN: Final = "\0unknown\0"


class World(Protocol):
    """What a blank asks of the run that it belongs to."""

    published: list[Publication]

    def step(self) -> None:
        """Count a question."""

    def answer(self) -> bool:
        """Return what a blank says where code decides by it."""

    def seen(self, value: Any) -> Any:
        """Return what stands for a value."""

    def attribute(self, origin: Any, name: str) -> Any:
        """Return what stands for an attribute of something real; None: unknown."""

    def is_own(self, thing: Any) -> bool:
        """Say whether a class is of the backend's own code."""

    def stand_for(self, cls: type, args: Any, kwargs: Any) -> Any:
        """Return a stand-in for an instance."""


class Blank:
    """Takes every call, has every attribute, and does nothing."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        origin: Any = None,
        parent: Blank | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        vars(self).update(_world=world, _name=name, _origin=origin, _parent=parent, _options=options or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._world.step()
        found = self._world.attribute(_real(self._origin), name) if self._origin is not None else None
        if found is None or (isinstance(found, Blank) and found._origin is None):
            return Blank(self._world, name, parent=self, options=self._options)
        if isinstance(found, Blank):
            vars(found).update(_parent=self)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note what this call would publish."""
        self._world.step()
        if self._name in _PUBLISHING:
            self._publish(args, kwargs)
        elif args and type(args[0]) is Blank and args[0]._name in _PUBLISHING:
            args[0]._publish(args[1:], kwargs)  # submit(task.apply_async, ...)
        elif self._name in _SIGNING:
            return self._signature(args, kwargs)
        elif self._name in _IMPORTING and args and type(args[0]) is str:
            return Blank(self._world, "", origin=_imported(args[0]))
        elif self._name == "get" and args and type(args[0]) is str and self._parent is not None:
            return self._parent[args[0]]
        elif issubclass(type(self._origin), type) and self._world.is_own(self._origin):
            return self._world.stand_for(self._origin, args, kwargs)
        elif "commit" in self._name and args and type(args[0]) in (FunctionType, MethodType, partial):
            args[0]()
        return Blank(self._world, "", parent=self, options=self._options)

    def _signature(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Blank:
        takes_options = self._name not in ("s", "si")
        name = args[0] if takes_options and args and isinstance(args[0], str) else self._task_called()
        options = {**self._options, **kwargs} if takes_options else self._options
        return Blank(self._world, name or "", parent=self, options={**options, "task": name})

    def _publish(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = {**self._options, **(kwargs if "delay" not in self._name else {})}
        if "send_task" in self._name:
            name = args[0] if args else kwargs.get("name")
        else:
            name = given.get("task") or self._task_called()
        is_known = isinstance(name, str) and UNKNOWN not in name
        options = None if UNKNOWN in given else _destination(given)
        self._world.published.append(Publication(name=name if is_known else None, options=options))

    def _task_called(self) -> str | None:
        """Return the name of the Celery task of which this is a method."""
        return None if self._parent is None else self._parent._task_name()

    def _task_name(self) -> str | None:
        """Return the name of the Celery task that this stands for, if that can be known."""
        origin = _real(self._origin)
        if issubclass(type(origin), celery.Task):
            return str(origin.name)
        if self._options.get("task"):
            return str(self._options["task"])
        parent = self._parent
        return self._name if parent is not None and parent._name == "tasks" else None

    # What a language asks of an object ------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self._world.answer())

    def __contains__(self, item: object) -> bool:
        return bool(self._world.answer())

    def __iter__(self) -> Iterator[Any]:
        return iter([Blank(self._world, "")] if self._world.answer() else [])

    def __len__(self) -> int:
        return int(self._world.answer())

    def __getitem__(self, key: Any) -> Any:
        self._world.step()
        return Blank(self._world, key if isinstance(key, str) else "", parent=self, options=self._options)

    def keys(self) -> list[str]:
        """Return what ``**blank`` passes on: that something is, and nobody knows what."""
        return [UNKNOWN]

    def __str__(self) -> str:
        return UNKNOWN

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return UNKNOWN

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def __hash__(self) -> int:
        return id(self)

    def __enter__(self) -> Any:
        return Blank(self._world, "")

    def __exit__(self, *error: object) -> None:
        """Let errors pass."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take it."""

    def __delitem__(self, key: Any) -> None:
        """Take it."""

    def _blank(self, *others: Any) -> Any:
        self._world.step()
        return Blank(self._world, "")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _blank
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __or__ = __ror__ = __and__ = _blank
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __neg__ = __abs__ = __invert__ = _blank


def _destination(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options that say where a message goes; None when one of them is not known."""
    options = {}
    for name in _DESTINATION:
        value = given.get(name)
        if type(value) is Blank:
            value = value._origin if issubclass(type(value._origin), Queue) else UNKNOWN
        if isinstance(value, str) and UNKNOWN in value:
            return None
        if value is not None:
            options[name] = value
    return options


def _imported(path: str) -> Any:
    """Return what a dotted path leads to, in what is imported already."""
    if path in sys.modules:
        return sys.modules[path]
    module, _, name = path.rpartition(".")
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def _real(origin: Any) -> Any:
    """Return what a lazy object of Celery stands for; a module is one of those, and is itself."""
    if issubclass(type(origin), Proxy) and not isinstance(origin, ModuleType):
        return origin._get_current_object()
    return origin


class TaskStand:
    """Stands for the task: what it says of itself is real, all else is blank."""

    def __init__(self, world: World, task: DjangoTask) -> None:
        vars(self).update(_world=world, _task=task)
        for name, value in task.fields.items():
            vars(self)[name] = value if name == "run_after" else world.seen(value)
        module, _, function = task.module_path.rpartition(".")
        func = Blank(world, "func")
        vars(func).update(__name__=function, __qualname__=function, __module__=module)
        vars(self).update(queue_name=task.queue_name, module_path=task.module_path, name=function, func=func)

    def __getattr__(self, name: str) -> Any:
        return Blank(vars(self)["_world"], name)

    def using(self, **changes: Any) -> TaskStand:
        """Return it with other fields, as ``Task.using`` does."""
        copy = object.__new__(TaskStand)
        vars(copy).update(vars(self))
        vars(copy).update({name: value for name, value in changes.items() if value is not None})
        return copy
