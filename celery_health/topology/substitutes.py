"""The globals and builtins of code that is rehearsed: nothing in there acts, runs long or tells a guess."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from typing import Any, Final

from celery_health.topology.blank import Blank, World
from celery_health.topology.stands import Stand, TaskStand

PLAIN: Final = (type(None), bool, int, float, str, bytes)
#: Builtins that only compute. Not `hash` and `id`: what they give is another in each process.
_COMPUTING: Final = frozenset(
    {
        *("abs", "all", "any", "bool", "bytes", "callable", "divmod", "enumerate", "filter", "float"),
        *("format", "frozenset", "hasattr", "int", "list", "map", "max", "min", "next", "repr", "reversed"),
        *("round", "set", "setattr", "slice", "sorted", "sum", "tuple", "zip", "property", "staticmethod"),
        "classmethod",
    }
)


class Substitutes:
    """Builtins that would look behind a blank, or take long."""

    def __init__(self, world: World) -> None:
        self._world = world
        types = {"str": self._str, "dict": self._dict, "range": self._range}
        self._types = {id(function): getattr(builtins, name) for name, function in types.items()}
        self.builtins = Names(
            world,
            vars(builtins),
            {
                "__import__": self._import,
                "__build_class__": builtins.__build_class__,
                "super": self._super,
                "type": lambda one, *rest: Blank(world, "type"),
                "isinstance": self._is_instance,
                "issubclass": self._is_instance,
                "len": self._len,
                "getattr": self._getattr,
                **types,
            },
        )
        self._kept = types  # as long as their ids are

    @staticmethod
    def _str(*args: Any) -> Any:
        return args[0] if args and type(args[0]) is Blank else str(*args)

    @staticmethod
    def _dict(*args: Any, **more: Any) -> Any:
        return args[0] if args and type(args[0]) is Blank and not more else dict(*args, **more)

    def _range(self, *args: Any) -> range:
        found = range(*args)
        self._world.step(1 + len(found))
        return found

    def _len(self, one: Any) -> int:
        """Return a length, unless it may be another in truth."""
        kind = type(one)
        if kind is Blank or (kind in (list, tuple, dict) and any(type(item) is Blank for item in one)):
            self._world.doubt()
            return 0
        return len(one)

    def _getattr(self, one: Any, name: str, *default: Any) -> Any:
        if name.startswith("__"):
            return Blank(self._world, name)
        if self._world.gives_none and default and type(one) is Blank and one._origin is None:
            return default[0]
        return getattr(one, name, *default)

    def _is_instance(self, one: Any, kinds: Any) -> bool:
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        kinds = tuple(self._types.get(id(kind), kind) for kind in kinds)
        if isinstance(one, Blank | Stand | TaskStand) or any(isinstance(kind, Blank) for kind in kinds):
            # Of what it is, a plain value says enough: it is no instance of a class that is not known.
            return False if type(one) in PLAIN else self._world.answer()
        return isinstance(one, kinds)

    def _import(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if level:
            package = str((globals or {}).get("__package__") or "")
            base = package.rsplit(".", level - 1)[0] if level > 1 else package
            name = f"{base}.{name}" if name else base
        module = sys.modules.get(name if fromlist else name.partition(".")[0])
        return Blank(self._world, name, origin=module)

    def _super(self, *args: Any) -> Any:
        frame = sys._getframe(1)
        local = frame.f_locals
        cls, stand = args or (local.get("__class__"), local.get(next(iter(frame.f_code.co_varnames), "")))
        if not isinstance(stand, Stand) or not isinstance(cls, type):
            return Blank(self._world, "super")
        return Stand.above(stand, cls)


class Names(dict[str, Any]):
    """The globals or builtins of a copy: each name is looked at when the code comes to it."""

    def __init__(self, world: World, real: Mapping[str, Any], known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self._world, self._real = world, real

    def __missing__(self, name: str) -> Any:
        value = self._real[name]  # a KeyError goes on to the builtins
        is_builtin = self._real is vars(builtins)
        self[name] = value if is_builtin and _computes(name, value) else self._world.seen(value)
        return self[name]


def _computes(name: str, builtin: Any) -> bool:
    """Say whether a builtin only computes, or is an error."""
    return name in _COMPUTING or (isinstance(builtin, type) and issubclass(builtin, BaseException))
