"""Whether a task takes given arguments: as Celery asks before it sends, and as a worker calls it.

What a decorator that is not known makes of the arguments nobody can tell: where it takes ``*args, **kwargs``,
anything fits, whatever it says that it wraps.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any, Final, get_args

from celery.beat import BeatLazyFunc

#: Wrappers that pass on what they are given, by module and name of their code: of Celery's
#: ``@task(pydantic=True)``, and of what is both a context manager and a decorator (``transaction.atomic``).
_PYDANTIC: Final = ("celery.app.base", "pydantic_wrapper.<locals>.wrapper")
_CONTEXT: Final = (contextlib.__name__, "ContextDecorator.__call__.<locals>.inner")
#: Wrappers in wrappers that are looked through.
_MOST_WRAPPERS: Final = 10


def misfit(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Return why a call of `task` with these arguments raises; None when it does not, or nobody can tell."""
    return next(_misfits(task, args, kwargs), None)


def _misfits(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[str]:
    header = getattr(task, "__header__", None)
    if header is not None and getattr(task, "typing", True):
        # Asked by `apply_async`, in beat: a function made of the task's parameters, which does nothing.
        try:
            header(*args, **kwargs)
        except TypeError as error:
            yield str(error)
    found = signature(task)
    if found is None:
        return
    try:
        bound = found.bind(*args, **kwargs)
    except TypeError as error:
        yield str(error)
        return
    function = _function(task)
    if _is_pydantic(function):
        for name, value in bound.arguments.items():
            model = _model_of(function.__wrapped__, found.parameters[name])
            if model is not None and (why := _model_misfit(model, value)):
                yield f"argument '{name}' is no {model.__name__}: {why}"


def signature(task: Any) -> inspect.Signature | None:
    """Return the parameters that a worker calls the task with; None where they cannot be read."""
    run = getattr(task, "_orig_run", None) or task.run  # autoretry_for wraps it, and passes all on
    try:
        return _signature(run)
    except (TypeError, ValueError):
        return None


def _signature(run: Any, depth: int = 0) -> inspect.Signature:
    """Return the parameters of what is called, as its code has them.

    Not those that it says to have (``__signature__``), nor those of what it says to wrap.

    Raises:
        TypeError, ValueError: they cannot be read.
    """
    if isinstance(run, MethodType):
        return _without_first(_signature(run.__func__, depth))
    if isinstance(run, FunctionType):
        inner: Any = getattr(run, "__wrapped__", None)
        if _is_pydantic(run):
            return inspect.signature(inner)  # as the wrapper itself asks, and binds by it
        if _code_of(run) == _CONTEXT and inner is not None and depth < _MOST_WRAPPERS:
            return _signature(inner, depth + 1)
        bare = FunctionType(run.__code__, run.__globals__, run.__name__, run.__defaults__, run.__closure__)
        bare.__kwdefaults__ = run.__kwdefaults__
        return inspect.signature(bare)
    return inspect.signature(run, follow_wrapped=False)


def _without_first(found: inspect.Signature) -> inspect.Signature:
    """Return the parameters without the one that a method's object takes."""
    parameters = list(found.parameters.values())
    if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        if parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
            raise ValueError("nothing takes the object")
        parameters = parameters[1:]
    return found.replace(parameters=parameters)


def _function(task: Any) -> Any:
    run = getattr(task, "_orig_run", None) or task.run
    return getattr(run, "__func__", run)


def _code_of(function: Any) -> tuple[str, str]:
    code = function.__code__
    return str(function.__globals__.get("__name__")), str(getattr(code, "co_qualname", ""))


def _is_pydantic(function: Any) -> bool:
    return (
        isinstance(function, FunctionType)
        and _code_of(function) == _PYDANTIC
        and hasattr(function, "__wrapped__")
    )


# What pydantic says of a value, without asking it: a model's validators are the project's code -------------


def _model_of(function: Any, parameter: inspect.Parameter) -> Any:
    """Return the model that a parameter is validated by; None where there is none, or nobody can tell."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = typing.get_type_hints(function).get(parameter.name)
        except Exception:  # names that are not there, whatever else is evaluated
            return None
    choices = [one for one in get_args(annotation) if one is not type(None)] or [annotation]
    if len(choices) != 1 or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    model, base = choices[0], getattr(sys.modules.get("pydantic"), "BaseModel", None)
    if not isinstance(model, type) or base is None or not issubclass(model, base):
        return None
    return model if _is_plain(model, base) else None


def _is_plain(model: Any, base: Any) -> bool:
    """Say whether a value is taken for its fields alone: no code of the project's makes another of it."""
    decorators = getattr(model, "__pydantic_decorators__", None)
    return (
        decorators is not None
        and not decorators.model_validators
        and not decorators.root_validators
        and not model.__pydantic_root_model__
        and model.model_validate.__func__ is base.model_validate.__func__
        and model.__get_pydantic_core_schema__.__func__ is base.__get_pydantic_core_schema__.__func__
    )


def _model_misfit(model: Any, value: Any) -> str | None:
    if value is None or isinstance(value, model | BeatLazyFunc):
        return None  # an optional one takes None; Celery dumps a model; what beat will send is not known
    if not isinstance(value, Mapping):
        return f"it is of type {type(value).__name__}, and a dict is wanted"
    known: set[str] = set()
    for name, field in model.model_fields.items():
        aliases = (field.alias, field.validation_alias)
        if any(alias is not None and not isinstance(alias, str) for alias in aliases):
            return None  # a path into the value
        names = {name, *filter(None, aliases)}
        if field.is_required() and not names & value.keys():
            return f"'{field.validation_alias or field.alias or name}' is missing"
        known |= names
    strange = sorted(str(key) for key in value if key not in known)
    if strange and model.model_config.get("extra") == "forbid":
        return f"'{strange[0]}' is not known"
    return None
