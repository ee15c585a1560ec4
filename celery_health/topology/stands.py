"""What stands for the task and for objects of the backend's own classes, while its code is rehearsed."""

from __future__ import annotations

import inspect
import sys
from types import FunctionType, MethodType
from typing import Any

from celery_health.topology.blank import Blank, World
from celery_health.topology.bytecode import is_ours
from celery_health.topology.model import DjangoTask


class Stand:
    """Stands for an instance of a class of the backend's own code: its methods run, all else is blank."""

    def __init__(self, world: World, cls: type) -> None:
        vars(self).update(_world=world, _mro=cls.__mro__, _self=self)

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if name.startswith("__") and name != "__init__":
            if is_ours(sys._getframe(1)):
                return object.__getattribute__(self, name)
            return own["_world"].seen(own["_mro"][0]) if name == "__class__" else Blank(own["_world"], name)
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


def _bound(world: World, mro: tuple[type, ...], stand: Any, name: str) -> Any:
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

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__", "_task") and not is_ours(sys._getframe(1)):
            return Blank(object.__getattribute__(self, "_world"), name)
        return object.__getattribute__(self, name)

    def using(self, **changes: Any) -> TaskStand:
        """Return it with other fields, as ``Task.using`` does."""
        copy = object.__new__(TaskStand)
        vars(copy).update(vars(self))
        vars(copy).update({name: value for name, value in changes.items() if value is not None})
        return copy
