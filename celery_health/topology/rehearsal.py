"""Learn from a backend of Django's tasks where it would publish a task by Celery, without publishing.

How a backend chooses is in the code of its ``enqueue`` and nowhere else. So that code runs here over copies
of its functions, in a world where nothing can act: what is no plain value and no function of the backend's
own package is a `Blank`, which takes every call and does nothing but note those that would publish. What the
code asks of a blank has no answer, so it runs once for each of some patterns of answers; where they lead to
different queues, nothing is known.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import cycle, repeat
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Final

import celery
from django.conf import settings as django_settings

from celery_health.topology.blank import Blank, TaskStand
from celery_health.topology.model import DjangoTask, Publication

if TYPE_CHECKING:
    from celery import Celery

#: Calls and questions that one rehearsal may take: more is a loop that waits for something real.
_MOST_STEPS: Final = 5000
#: A longer list or dict is a registry: it is blank, not copied for each task.
_MOST_ITEMS: Final = 100
_PLAIN: Final = (type(None), bool, int, float, str, bytes)
#: What is left of a backend when its own code is taken away: nothing of that runs.
_BASES: Final = frozenset(
    {"builtins", "abc", "typing", "django.tasks.backends.base", "django_tasks.backends.base"}
)
#: Where classes of the frameworks live: of theirs only the very module runs, not the whole package.
_FRAMEWORKS: Final = frozenset({"django", "django_tasks", "celery"})
_COMPUTING: Final = frozenset(
    {
        *("abs", "all", "any", "bool", "bytes", "callable", "dict", "divmod", "enumerate", "filter", "float"),
        *("format", "frozenset", "getattr", "hasattr", "hash", "id", "int", "iter", "len", "list", "map"),
        *("max", "min", "next", "object", "range", "repr", "reversed", "round", "set", "setattr", "slice"),
        *("sorted", "str", "sum", "tuple", "zip", "property", "staticmethod", "classmethod"),
    }
)


def rehearse(
    app: Celery, backend: type, alias: str, params: Mapping[str, Any], task: DjangoTask
) -> Publication | None:
    """Return the message that `backend` sends for `task`; None when no way to Celery is seen in its code."""
    seen: list[Publication] = []
    for answers in (repeat(True), repeat(False), cycle((True, False)), cycle((False, True))):
        world = _World(app, backend, answers)
        # Code that is told nonsense may raise anything; what it published before counts.
        with suppress(Exception, _EndlessError):
            world.backend(alias, params).enqueue(TaskStand(world, task), (), {})
        seen += world.published
    if not seen:
        return None
    names = {publication.name for publication in seen}
    options = {None if one.options is None else tuple(sorted(one.options.items())) for one in seen}
    return Publication(
        name=names.pop() if len(names) == 1 else None,
        options=dict(found) if len(options) == 1 and (found := options.pop()) is not None else None,
    )


class _EndlessError(BaseException):
    """It asks and asks; no error that code would catch to try again."""


class _World:
    """One run: what was asked so far, and copies of what runs."""

    def __init__(self, app: Celery, backend: type, answers: Iterator[bool]) -> None:
        self.app = app
        self.published: list[Publication] = []
        self._backend = backend
        self._answers = answers
        self._steps = 0
        self._packages = {_package(cls.__module__) for cls in backend.__mro__} - _BASES
        self._globals: dict[int, dict[str, Any]] = {}
        self._builtins = self._safe_builtins()

    def step(self) -> None:
        """Count one question, and end a run that asks without end."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _EndlessError

    def answer(self) -> bool:
        """Return what a blank says where the code decides by it."""
        self.step()
        return next(self._answers)

    def backend(self, alias: str, params: Mapping[str, Any]) -> Any:
        """Return a stand-in for the backend, as its constructor leaves it."""
        stand = _Stand(self, self._backend)
        seen = self.seen(dict(params))
        # As BaseTaskBackend does (django/tasks/backends/base.py).
        queues = set(params.get("QUEUES", ["default"]))
        vars(stand).update(alias=alias, options=seen.get("OPTIONS", {}), queues=queues)
        with suppress(Exception):  # what it has not set is a blank
            stand.__init__(alias, self.seen(dict(params)))  # type: ignore[misc]
        return stand

    # What code sees ------------------------------------------------------------------------------------

    def seen(self, value: Any) -> Any:
        """Return what stands for `value`: itself, if it is plain; a copy of own code; else a blank."""
        kind = type(value)  # a lazy object would evaluate itself for isinstance()
        if kind in _PLAIN or kind in (Blank, _Stand, TaskStand):
            return value
        if issubclass(kind, Enum) and issubclass(kind, str | int):
            return self.seen(value.value)
        if kind in (list, tuple, dict, MappingProxyType) and len(value) <= _MOST_ITEMS:
            # Copies: what stands in there may act, and what code puts there is not for the real one.
            if kind in (dict, MappingProxyType):
                return {name: self.seen(one) for name, one in value.items() if type(name) in _PLAIN}
            return kind(self.seen(one) for one in value)
        if kind in (set, frozenset) and all(type(one) in _PLAIN for one in value):
            return kind(value)
        if kind is FunctionType and self.is_own(inspect.unwrap(value)):
            return self.copy(value)
        if value is partial:  # it only holds what it is given
            return value
        origin = self.app if value is celery.current_app else value  # whichever that is in this thread
        has_name = issubclass(kind, type) or kind in (FunctionType, MethodType, BuiltinFunctionType)
        return Blank(self, value.__name__ if has_name else "", origin=origin)

    def attribute(self, origin: Any, name: str) -> Any:
        """Return what stands for an attribute of something real, if reading it is known to do nothing."""
        kind = type(origin)
        if issubclass(kind, ModuleType):
            if origin is celery and name == "current_app":
                return Blank(self, name, origin=self.app)
            return self.seen(vars(origin)[name]) if name in vars(origin) else None
        if origin is django_settings:
            value = self.seen(getattr(origin, name, None)) if name.isupper() else None
            return None if type(value) is Blank else value
        if issubclass(kind, Enum) and name in ("name", "value"):
            return self.seen(getattr(origin, name))
        if issubclass(kind, celery.Celery) and name == "conf":
            return Blank(self, name, origin=origin.conf)
        if origin is self.app.conf and type(value := getattr(origin, name, None)) in _PLAIN:
            return value
        if issubclass(kind, type) and self.is_own(origin):
            found = inspect.getattr_static(origin, name, None)
            return self.seen(found.__func__ if isinstance(found, staticmethod) else found)
        return None

    def is_own(self, thing: Any) -> bool:
        """Say whether a function or class is of the backend's own code."""
        return _package(getattr(thing, "__module__", None) or "") in self._packages

    def stand_for(self, cls: type, args: Any, kwargs: Any) -> Any:
        """Return a stand-in for an instance of a class of the backend's own code."""
        stand = _Stand(self, cls)
        stand.__init__(*args, **kwargs)  # type: ignore[misc]
        return stand

    def copy(self, function: Any) -> Any:
        """Return a copy of `function` that sees this world alone."""
        function = inspect.unwrap(function)
        cells = [
            CellType(cell.cell_contents if name == "__class__" else self.seen(cell.cell_contents))
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        ]
        copy = FunctionType(
            function.__code__,
            self._globals_of(function.__globals__),
            function.__name__,
            tuple(self.seen(value) for value in function.__defaults__ or ()),
            tuple(cells),
        )
        copy.__kwdefaults__ = {k: self.seen(v) for k, v in (function.__kwdefaults__ or {}).items()}
        return copy

    def _globals_of(self, real: dict[str, Any]) -> dict[str, Any]:
        if id(real) not in self._globals:
            # A function takes its builtins from there as it is made: they come first.
            self._globals[id(real)] = _Names(self, real, {"__builtins__": self._builtins})
        return self._globals[id(real)]

    def _safe_builtins(self) -> dict[str, Any]:
        known = {
            "__import__": self._import,
            "__build_class__": builtins.__build_class__,
            "super": self._super,
            "type": lambda one, *rest: Blank(self, "type"),
            "isinstance": self._is_instance,
            "issubclass": self._is_instance,
        }
        return _Names(self, vars(builtins), known)

    def _is_instance(self, one: Any, kinds: Any) -> bool:
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if isinstance(one, Blank | _Stand | TaskStand) or any(isinstance(kind, Blank) for kind in kinds):
            # Of what it is, a plain value says enough: it is no instance of a class that is not known.
            return False if type(one) in _PLAIN else self.answer()
        return isinstance(one, kinds)

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if level:
            package = str((globals or {}).get("__package__") or "")
            base = package.rsplit(".", level - 1)[0] if level > 1 else package
            name = f"{base}.{name}" if name else base
        module = sys.modules.get(name if fromlist else name.partition(".")[0])
        return Blank(self, name, origin=module)

    def _super(self, *args: Any) -> Any:
        frame = sys._getframe(1)
        local = frame.f_locals
        cls, stand = args or (local.get("__class__"), local.get(next(iter(frame.f_code.co_varnames), "")))
        if not isinstance(stand, _Stand) or not isinstance(cls, type):
            return Blank(self, "super")
        return _Stand.above(stand, cls)


class _Names(dict[str, Any]):
    """The globals or builtins of a copy: each name is looked at when the code comes to it."""

    def __init__(self, world: _World, real: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self._world, self._real = world, real

    def __missing__(self, name: str) -> Any:
        value = self._real[name]  # a KeyError goes on to the builtins
        is_builtin = self._real is vars(builtins)
        self[name] = value if is_builtin and _is_safe(name, value) else self._world.seen(value)
        return self[name]


def _is_safe(name: str, builtin: Any) -> bool:
    """Say whether a builtin only computes, or is an error."""
    return name in _COMPUTING or (isinstance(builtin, type) and issubclass(builtin, BaseException))


class _Stand:
    """Stands for an instance of a class of the backend's own code: its methods run, all else is blank."""

    def __init__(self, world: _World, cls: type) -> None:
        vars(self).update(_world=world, _mro=cls.__mro__, _self=self)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name != "__init__":
            return object.__getattribute__(self, name)
        own = object.__getattribute__(self, "__dict__")
        if name in own and name != "__init__":
            return own[name]
        return _bound(own["_world"], own["_mro"], own["_self"], name)

    @classmethod
    def above(cls, stand: Any, below: type) -> Any:
        """Return what ``super()`` is to a method of `below`."""
        mro = stand._mro
        rest = mro[mro.index(below) + 1 :] if below in mro else ()
        above = object.__new__(cls)
        vars(above).update(_world=stand._world, _mro=rest, _self=stand._self)
        return above


def _bound(world: _World, mro: tuple[type, ...], stand: Any, name: str) -> Any:
    world.step()
    for cls in mro:
        if name not in vars(cls):
            continue
        found = vars(cls)[name]
        if isinstance(found, staticmethod):
            return world.seen(found.__func__)
        if isinstance(found, classmethod):
            return (
                MethodType(world.copy(found.__func__), stand) if world.is_own(found) else Blank(world, name)
            )
        getter = getattr(found, "fget", None) or getattr(found, "func", None)  # property, cached_property
        if isinstance(getter, FunctionType):
            return world.copy(getter)(stand) if world.is_own(getter) else Blank(world, name)
        if isinstance(found, FunctionType):
            is_own = world.is_own(inspect.unwrap(found))
            return MethodType(world.copy(found), stand) if is_own else Blank(world, name)
        return world.seen(found)
    return Blank(world, name)


def _package(module: str) -> str:
    top = module.partition(".")[0]
    return module if top in _FRAMEWORKS else top
