"""The names of a call's positions, as far as they are certain: of what takes them, not of what it says.

`inspect.signature` answers for people: it follows ``__wrapped__`` and believes ``__signature__``, and a
decorator that takes ``*args`` may put something before them, or take something away.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

#: Modules whose wrappers hand ``*args`` on as they come. Told by the globals of their code: ``__module__`` is
#: copied from what is wrapped.
_TRANSPARENT: Final = frozenset(
    {
        "celery.app.autoretry",
        "celery.app.base",  # pydantic=True
        "contextlib",  # a context manager as a decorator: Django's atomic
        "django.views.decorators.debug",
        "sentry_sdk.integrations.celery",
    }
)
#: Wrappers that are looked through: more would be a loop.
_MOST_WRAPPERS: Final = 20


def position_names(function: Callable[..., Any]) -> Sequence[str | None]:
    """Return the name of each position of a call of `function`; None where it is not certain.

    Positions behind the last, those of ``*args`` among them, have no name that is certain.
    """
    try:
        return _names(function, _MOST_WRAPPERS)
    except Exception:  # attributes of foreign objects may raise anything
        return ()


def _names(function: Any, most: int) -> Sequence[str | None]:
    if most == 0:
        return ()
    if isinstance(function, MethodType):
        return _names(function.__func__, most - 1)[1:]
    if isinstance(function, partial):
        # A placeholder among them (Python 3.14) leaves a position open that is not behind them.
        is_plain = all(type(given).__name__ != "_PlaceholderType" for given in function.args)
        return _names(function.func, most - 1)[len(function.args) :] if is_plain else ()
    if isinstance(function, FunctionType):
        return _names_of_function(function, most)
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return ()
    call = getattr(type(function), "__call__", None)  # noqa: B004 - its code is what is asked for
    if isinstance(call, FunctionType):
        return _names_of_function(call, most)[1:]
    return [
        parameter.name
        for parameter in inspect.signature(function, follow_wrapped=False).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def _names_of_function(function: FunctionType, most: int) -> Sequence[str | None]:
    code = function.__code__
    own = code.co_varnames[: code.co_argcount]
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is None:
        return own
    inner = _names(wrapped, most - 1)
    if not own and function.__globals__.get("__name__") in _TRANSPARENT:
        return inner
    # Where both call it the same, it is. Elsewhere either may be what it really is.
    return [name if index < len(inner) and inner[index] == name else None for index, name in enumerate(own)]
