"""Whether those who call a function that reads a result are prepared for having no backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Final

from celery_health.doctor.static.result_guards import WrittenCall, calls_in

#: Callers of callers are followed so far; files that are longer are not looked at.
_MOST_STEPS: Final = 4
_MOST_BYTES: Final = 1_000_000
_MOST_FUNCTIONS: Final = 30


class Callers:
    """The calls in a project's modules, read when they are asked for."""

    def __init__(self, modules: Iterable[tuple[str, ModuleType]]) -> None:
        """Note the modules that may call: name and module."""
        self._modules = list(modules)
        self._sources: dict[str, bytes] = {}
        self._known: dict[tuple[str, str], bool] = {}

    def are_prepared(self, module: str, function: str, *, steps: int = _MOST_STEPS) -> bool:
        """Say whether the function is called, and each of its calls that are known is prepared."""
        key = module, function
        if key not in self._known:
            if not steps or len(self._known) >= _MOST_FUNCTIONS:
                return False
            self._known[key] = False  # who calls itself is not prepared for that
            others = [
                (name, call) for name, call in self._calls(module, function) if (name, call.function) != key
            ]
            self._known[key] = bool(others) and all(
                call.is_guarded
                or (call.function is not None and self.are_prepared(name, call.function, steps=steps - 1))
                for name, call in others
            )
        return self._known[key]

    def _calls(self, module: str, function: str) -> Iterator[tuple[str, WrittenCall]]:
        """Yield the calls of a function, each with the module that it stands in."""
        for name, caller in self._modules:
            source = self._source(name, caller)
            if f"{function}(".encode() not in source:
                continue
            for call in calls_in(source):
                if call.names[-1] == function and _means(caller, call, module, is_here=name == module):
                    yield name, call

    def _source(self, name: str, module: ModuleType) -> bytes:
        if name not in self._sources:
            source = b""
            try:
                with open(str(getattr(module, "__file__", "")), "rb") as file:
                    source = file.read(_MOST_BYTES + 1)
            except OSError:
                pass
            self._sources[name] = b"" if len(source) > _MOST_BYTES else source
        return self._sources[name]


def _means(caller: ModuleType, call: WrittenCall, module: str, *, is_here: bool) -> bool:
    """Say whether a call by the function's name calls that of `module`, as far as names tell."""
    *base, last = call.names
    if is_here and (not base or base in (["self"], ["cls"])):
        return True
    found: object = caller
    for name in base:
        found = vars(found).get(name) if isinstance(found, ModuleType) else None
    if not isinstance(found, ModuleType):
        return False
    return getattr(vars(found).get(last), "__module__", None) == module
