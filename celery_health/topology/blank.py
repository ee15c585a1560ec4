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

from celery_health.topology.bytecode import is_merging, is_ours, is_passed_on, items_unpacked
from celery_health.topology.model import Publication

#: Methods of a Celery app, a task or a signature that publish, Celery's asynchronous fork's among them.
_PUBLISHING: Final = frozenset({"send_task", "apply_async", "delay", "asend_task", "aapply_async", "adelay"})
#: Methods that make a signature, or change its options.
_SIGNING: Final = frozenset({"signature", "subtask", "s", "si", "set", "clone", "Signature"})
#: Functions that give what a path leads to.
_IMPORTING: Final = frozenset({"import_string", "import_module"})
#: Options that say where a message goes.
_DESTINATION: Final = ("queue", "exchange", "exchange_type", "routing_key")
#: Calls that may give None, and code goes another way then.
_OPTIONAL: Final = frozenset({"get", "pop", "getenv", "first", "getattr"})
#: A keyword that nobody can tell, and the value of an option that is not known.
UNKNOWN: Final = "\0unknown\0"


#: What a blank is made of; code that runs gets blanks of these names.
_PRIVATE: Final = frozenset({"__class__", "__dict__", "_world", "_name", "_origin", "_parent", "_options"})


class World(Protocol):
    """What a blank asks of the run that it belongs to."""

    published: list[Publication]
    is_doubtful: bool
    gives_none: bool
    size: int
    merged: tuple[int, int] | None

    def doubt(self) -> None:
        """Take all from here on for unknown; end a run that has published nothing."""

    def step(self, count: int = 1) -> None:
        """Count questions."""

    def answer(self) -> bool:
        """Return what a blank says where code decides by it."""

    def seen(self, value: Any) -> Any:
        """Return what stands for a value."""

    def attribute(self, origin: Any, name: str) -> Any:
        """Return what stands for an attribute of something real; None: unknown."""

    def copy(self, function: Any) -> Any:
        """Return a copy of a function that sees this run alone."""

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
        self._world.step()
        if name.startswith("__"):
            return Blank(self._world, name)
        found = self._world.attribute(_real(self._origin), name) if self._origin is not None else None
        if found is None or (isinstance(found, Blank) and found._origin is None):
            return Blank(self._world, name, parent=self, options=self._options)
        if isinstance(found, Blank):
            vars(found).update(_parent=self)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note what this call would publish."""
        self._world.step()
        if UNKNOWN in kwargs and not is_passed_on(self._world.merged, sys._getframe(1)):
            self._world.doubt()
        if self._name in _PUBLISHING:
            self._publish(args, kwargs)
        elif args and type(args[0]) is Blank and args[0]._name in _PUBLISHING:
            args[0]._publish(args[1:], kwargs)  # submit(task.apply_async, ...)
        elif self._name in _SIGNING:
            return self._signature(args, kwargs)
        elif self._name in _IMPORTING and args and type(args[0]) is str:
            return Blank(self._world, "", origin=_imported(args[0]))
        elif self._name in _OPTIONAL and self._world.gives_none:
            return None
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
        is_known = isinstance(name, str) and name.isprintable() and not self._world.is_doubtful
        options = None if UNKNOWN in given or self._world.is_doubtful else _destination(given)
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
        count = items_unpacked(sys._getframe(1))
        if count is None:
            count = self._world.size if self._world.answer() else 0
        return iter([Blank(self._world, "") for _ in range(count)])

    def __next__(self) -> Any:
        return self._blank()

    def __getitem__(self, key: Any) -> Any:
        self._world.step()
        return Blank(self._world, key if isinstance(key, str) else "", parent=self, options=self._options)

    def keys(self) -> list[str]:
        """Return what ``**blank`` passes on: that something is, and nobody knows what."""
        frame = sys._getframe(1)
        if not is_merging(frame):
            self._world.doubt()  # in a dict that code can ask
        self._world.merged = id(frame), frame.f_lasti
        return [UNKNOWN]

    def __getattribute__(self, name: str) -> Any:
        if name in _PRIVATE and not is_ours(sys._getframe(1)):
            return Blank(object.__getattribute__(self, "_world"), name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._world.doubt()  # what it is for may be read by another way

    # As a value it is not known, and neither is what code makes of that.
    def _text(self, *args: Any) -> str:
        self._world.doubt()
        return UNKNOWN

    def _number(self) -> int:
        self._world.doubt()
        return 0

    def __float__(self) -> float:
        return float(self._number())

    __str__ = __repr__ = __format__ = _text
    __int__ = __index__ = __hash__ = _number  # no __len__: list() asks for it, and `len` is a substitute

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
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = (
        _blank
    )
    __xor__ = __rxor__ = __rand__ = __lshift__ = __rshift__ = __neg__ = __abs__ = __invert__ = _blank
    __round__ = _blank


def _destination(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options that say where a message goes; None when one of them is not known."""
    options = {}
    for name in _DESTINATION:
        value = given.get(name)
        if type(value) is Blank:
            value = value._origin if issubclass(type(value._origin), Queue) else UNKNOWN
        if isinstance(value, str) and not value.isprintable():
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
