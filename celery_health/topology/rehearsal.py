"""Learn from a backend of Django's tasks where it would publish a task by Celery, without publishing.

How a backend chooses is in the code of its ``enqueue`` and nowhere else. So that code runs here over copies
of its functions, in a world where nothing can act: what is no plain value and no function of the backend's
own package is a `Blank`, which takes every call and does nothing but note those that would publish. What the
code asks of a blank has no answer, so it runs once for each of some patterns of answers; where they lead to
different queues, or where a value decides that nobody knows, nothing is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import cycle, product
from time import thread_time
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

from celery_health.project_code import is_from_keyboard
from celery_health.topology.blank import Blank
from celery_health.topology.bytecode import is_raise, is_risky
from celery_health.topology.model import DjangoTask, Publication
from celery_health.topology.stands import Stand, TaskStand
from celery_health.topology.substitutes import PLAIN, Names, Substitutes

if TYPE_CHECKING:
    from celery import Celery

#: Calls and questions that one rehearsal may take: more is a loop that waits for something real.
_MOST_STEPS: Final = 5000
#: Seconds of processor time that all runs for a task may take.
_LONGEST: Final = 1.0
#: A longer list or dict is a registry: it is blank, not copied for each task.
_MOST_ITEMS: Final = 100
#: What is left of a backend when its own code is taken away: nothing of that runs.
_BASES: Final = frozenset(
    {"builtins", "abc", "typing", "django.tasks.backends.base", "django_tasks.backends.base"}
)
#: Where classes of the frameworks live: of theirs only the very module runs, not the whole package.
_FRAMEWORKS: Final = frozenset({"django", "django_tasks", "celery"})
#: What one run may copy.
_MOST_COPIES: Final = 5000
#: How often each run sends: a backend may choose in turn.
_CALLS: Final = 3
#: Runs: the answers in turn, how many items a blank has, whether what is looked up is missing.
_RUNS: Final = [
    *((pattern, 1, False) for pattern in [(True,), (False,), (True, False), (False, True)]),
    *((pattern, 150, False) for pattern in list(product((True, False), repeat=3))[:-1]),
    *((pattern, 3, True) for pattern in ((True,), (False,), (True, False), (False, True))),
]


def rehearse(
    app: Celery, backend: type, alias: str, params: Mapping[str, Any], task: DjangoTask
) -> Publication | None:
    """Return the message that `backend` sends for `task`; None when its code shows nothing of that."""
    seen: list[Publication] = []
    is_known = True
    until = thread_time() + _LONGEST
    for answers, size, gives_none in _RUNS:
        world = _World(app, backend, cycle(answers), size, gives_none, until)
        is_known &= world.run(alias, params, task)
        seen += world.all_published
    if not seen:
        return None
    names = {publication.name for publication in seen}
    options = {None if one.options is None else tuple(sorted(one.options.items())) for one in seen}
    name = names.pop() if len(names) == 1 else None
    where = options.pop() if len(options) == 1 and is_known else None
    if name is None and where is None:
        return None
    return Publication(name=name, options=None if where is None else dict(where))


class _EndError(BaseException):
    """The run leads nowhere; no error that code would catch to try again."""


class _World:
    """One run: what was asked so far, and copies of what runs."""

    def __init__(
        self, app: Celery, backend: type, answers: Iterator[bool], size: int, gives_none: bool, until: float
    ) -> None:
        self.app, self.size, self.gives_none = app, size, gives_none
        self.all_published: list[Publication] = []
        self.published: list[Publication] = []
        self.is_doubtful = False
        self.merged: tuple[int, int] | None = None
        self._backend = backend
        self._answers = answers
        self._until = until
        self._steps = self._copies = 0
        self._packages = {_package(cls.__module__) for cls in backend.__mro__} - _BASES
        self._globals: dict[int, dict[str, Any]] = {}
        #: By id, with the real one, lest another gets its id.
        self._shared: dict[int, tuple[Any, Any]] = {}
        self._builtins = Substitutes(self).builtins

    def run(self, alias: str, params: Mapping[str, Any], task: DjangoTask) -> bool:
        """Send `task`, and return whether what was published is all that would be."""
        is_known = True
        try:
            stand = self.backend(alias, params)
            for _ in range(_CALLS):
                self.published, self.is_doubtful = [], False
                self.step()
                try:
                    stand.enqueue(TaskStand(self, task), Blank(self, "args"), Blank(self, "kwargs"))
                except _EndError:
                    raise
                except BaseException as error:
                    if is_from_keyboard(error):
                        raise
                    # Code that is told nonsense may raise anything: only its own errors are a way that it
                    # goes. Nothing where in truth there is something is such nonsense, and proves nothing.
                    is_known &= bool(self.published) or self.gives_none or _is_raised(error)
                finally:
                    self.all_published += self.published
        except _EndError:
            return is_known and bool(self.published)
        return is_known

    def step(self, count: int = 1) -> None:
        """Count questions, and end a run that asks without end."""
        self._steps += count
        if self._steps > _MOST_STEPS or thread_time() > self._until:
            raise _EndError

    def doubt(self) -> None:
        """Take all from here on for unknown; end a run that has published nothing."""
        self.step()
        self.is_doubtful = True
        if not self.published:
            raise _EndError

    def answer(self) -> bool:
        """Return what a blank says where the code decides by it."""
        self.step()
        return next(self._answers)

    def backend(self, alias: str, params: Mapping[str, Any]) -> Any:
        """Return a stand-in for the backend, as its constructor leaves it."""
        stand = Stand(self, self._backend)
        seen = self.seen(dict(params))
        # As BaseTaskBackend does (django/tasks/backends/base.py).
        queues = set(params.get("QUEUES", ["default"]))
        vars(stand).update(alias=alias, options=seen.get("OPTIONS", {}), queues=queues)
        with suppress(Exception):  # what it has not set is a blank
            stand.__init__(alias, self.seen(dict(params)))  # type: ignore[misc]
        return stand

    def _refused(self, *args: Any, **kwargs: Any) -> Any:
        self.doubt()
        return Blank(self, "")

    # What code sees ------------------------------------------------------------------------------------

    def seen(self, value: Any) -> Any:
        """Return what stands for `value`: itself, if it is plain; a copy of own code; else a blank."""
        kind = type(value)  # a lazy object would evaluate itself for isinstance()
        if kind in PLAIN or kind in (Blank, Stand, TaskStand):
            return value
        if id(value) not in self._shared:
            self._copies += 1
            if self._copies > _MOST_COPIES:
                self.doubt()
                raise _EndError
            self._shared[id(value)] = value, self._stand_in(value, kind)
        return self._shared[id(value)][1]

    def _stand_in(self, value: Any, kind: type) -> Any:
        if issubclass(kind, Enum) and issubclass(kind, str | int):
            return self.seen(value.value)
        if kind in (list, tuple, dict, MappingProxyType) and len(value) <= _MOST_ITEMS:
            # Copies: what stands in there may act, and what code puts there is not for the real one.
            if kind in (dict, MappingProxyType):
                return {name: self.seen(one) for name, one in value.items() if type(name) in PLAIN}
            return kind(self.seen(one) for one in value)
        if kind in (set, frozenset) and all(type(one) in PLAIN for one in value):
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
        if origin is self.app.conf and type(value := getattr(origin, name, None)) in PLAIN:
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
        stand = Stand(self, cls)
        stand.__init__(*args, **kwargs)  # type: ignore[misc]
        return stand

    def copy(self, function: Any) -> Any:
        """Return a copy of `function` that sees this world alone."""
        function = inspect.unwrap(function)
        cells = [
            CellType(cell.cell_contents if name == "__class__" else self.seen(cell.cell_contents))
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        ]
        if is_risky(function.__code__):
            return self._refused
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
            self._globals[id(real)] = Names(self, real, {"__builtins__": self._builtins})
        return self._globals[id(real)]


def _is_raised(error: BaseException) -> bool:
    """Say whether the code that runs has raised an error itself."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return (
        at is not None and type(at.tb_frame.f_globals) is Names and is_raise(at.tb_frame.f_code, at.tb_lasti)
    )


def _package(module: str) -> str:
    top = module.partition(".")[0]
    return module if top in _FRAMEWORKS else top
