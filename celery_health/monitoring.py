"""`MonitoredTask` and `monitor_task`: what a task says of itself to celery_health.

Nothing here does I/O, and nothing here is in the way of a task: options are attributes, which the worker's
main process reads once at its start. No function is wrapped, so that a call costs what it cost before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

import celery
from celery.local import PromiseProxy, Proxy

from celery_health.conf.parsing import duration, label_name, label_source, wrong
from celery_health.exceptions import ConfigurationError

if TYPE_CHECKING:
    from celery_health.conf import Settings

    # celery.Task[...] raises TypeError before Celery 5.7: only type checkers may see it.
    _Task = celery.Task[..., Any]
else:
    _Task = celery.Task

F = TypeVar("F")

LabelSource: TypeAlias = str | Callable[..., object]
"""A parameter's name, or a callable of the task's args and kwargs."""
Labels: TypeAlias = Sequence[str] | Mapping[str, LabelSource]
DeadLetter: TypeAlias = bool | type[BaseException] | Sequence[type[BaseException]]

#: The attribute of a task, or of its function, that holds its options.
ATTRIBUTE: Final = "celery_health_options"
#: Wrappers around a function that are looked through: more would be a loop.
_MOST_WRAPPERS: Final = 20
_NO_LABELS: Final[Mapping[str, LabelSource]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringOptions:
    """What one task says of itself. What it leaves open is for the settings to say."""

    expected_seconds: float | None = None
    """How long a run may take; None: not said."""
    labels: Mapping[str, LabelSource] = field(default_factory=lambda: _NO_LABELS)
    """Metric labels: name → where the value comes from."""
    dead_letter: bool | tuple[type[BaseException], ...] | None = None
    """Keep what fails for good: always, never, or for these exceptions; None: not said."""

    def over(self, other: MonitoringOptions) -> MonitoringOptions:
        """Return these options, with those of `other` where these leave something open."""
        return MonitoringOptions(
            expected_seconds=other.expected_seconds
            if self.expected_seconds is None
            else self.expected_seconds,
            labels=self.labels or other.labels,
            dead_letter=other.dead_letter if self.dead_letter is None else self.dead_letter,
        )


class MonitoredTask(_Task):
    """A base class that has a task monitored also where ``MONITOR_ALL_TASKS`` is off.

    Its options are attributes of a subclass, or arguments of the decorator::

        @shared_task(base=MonitoredTask, expected=timedelta(minutes=2), labels=["tier"], dead_letter=True)

    Raises:
        ConfigurationError: an option is wrong; when the task is made, which Celery may put off until its
            app is finalised.
    """

    abstract = True

    expected: timedelta | float | None = None
    """How long a run may take: seconds or a timedelta; None: not said."""
    labels: Labels = ()
    """Metric labels: names of parameters, or name → parameter or callable."""
    dead_letter: DeadLetter | None = None
    """Keep what fails for good: True, False, or exception classes; None: the settings say."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        run = vars(cls).get("run")
        function = run.__func__ if isinstance(run, staticmethod) else run
        options = _checked(
            f"{cls.__name__}(MonitoredTask).", cls.expected, cls.labels, cls.dead_letter, function
        )
        setattr(cls, ATTRIBUTE, options.over(getattr(cls, ATTRIBUTE)))


setattr(MonitoredTask, ATTRIBUTE, MonitoringOptions())


@overload
def monitor_task(task: F, /) -> F: ...
@overload
def monitor_task(
    *,
    expected: timedelta | float | None = None,
    labels: Labels = (),
    dead_letter: DeadLetter | None = None,
) -> Callable[[F], F]: ...
def monitor_task(
    task: Any = None,
    /,
    *,
    expected: timedelta | float | None = None,
    labels: Labels = (),
    dead_letter: DeadLetter | None = None,
) -> Any:
    """Have a task monitored, with options of its own; over or under ``@shared_task`` and ``@app.task``.

    Returns the very object that it is given: nothing is wrapped, and no lazy task is evaluated.

    Args:
        task: the function, task or task class, when used without brackets.
        expected: how long a run may take, in seconds or as a timedelta; ``tasks.stuck`` warns after that.
        labels: metric labels: names of parameters, or a dict of name → parameter's name or a callable of
            the task's args and kwargs.
        dead_letter: keep what fails for good: True, False, or the exception classes for which to.

    Raises:
        ConfigurationError: an option is wrong, or `task` is nothing that can be monitored.
    """

    def decorate(target: F) -> F:
        holder = _holder_of(target)
        _attach(holder, _checked("monitor_task: ", expected, labels, dead_letter, holder))
        return target

    return decorate if task is None else decorate(task)


def options_of(task: object) -> MonitoringOptions | None:
    """Return what a task says of itself by base class or decorator; None when by neither.

    The decorator goes before the base class, and the outer one of two before the inner.
    """
    layers = [layer for layer in _layers(task) if isinstance(layer, MonitoringOptions)]
    return reduce(lambda first, second: first.over(second), layers) if layers else None


def is_monitored(task: object, settings: Settings) -> bool:
    """Say whether a task is counted: all are under ``MONITOR_ALL_TASKS``, else those that ask for it."""
    return settings.monitor_all_tasks or options_of(task) is not None


# Where options are kept --------------------------------------------------------------------------------


def _layers(task: object) -> Iterator[object]:
    """Yield what may hold options, the one that counts most first."""
    if isinstance(task, Proxy):
        task = task._get_current_object()
    # What stands on the object itself was decorated last; what its class inherits was said first.
    if not isinstance(task, type):
        yield _own(task)
    for function in _functions(task):
        yield _own(function)
    yield getattr(task if isinstance(task, type) else type(task), ATTRIBUTE, None)


def _own(holder: object) -> object:
    """Return what stands on `holder` itself, not on its class."""
    return getattr(holder, "__dict__", {}).get(ATTRIBUTE)


def _functions(task: object) -> Iterator[object]:
    """Yield the functions that a task runs, from the outermost wrapper inwards."""
    # autoretry_for replaces `run` by a wrapper and keeps the first (celery/app/autoretry.py).
    pending = [getattr(task, "run", None), getattr(task, "_orig_run", None)]
    for _ in range(_MOST_WRAPPERS):
        if not pending:
            return
        function = pending.pop(0)
        if function is not None:
            # A bound task's run is a method; options are on its function.
            yield getattr(function, "__func__", function)
            pending.append(getattr(function, "__wrapped__", None))


def _holder_of(target: Any) -> Any:
    """Return what to put the options on: `target`, or the function behind a task that Celery makes later.

    Evaluating a lazy task would finalise its app in the middle of the project's imports, so the proxy's
    parts are looked at instead (celery/local.py, celery/app/base.py and celery/app/__init__.py).

    Raises:
        ConfigurationError: it is neither a function nor a task, or a proxy of an unknown kind.
    """
    # By type(), since isinstance would ask the proxy for its __class__, and so evaluate it.
    if not issubclass(type(target), Proxy):
        if callable(target):
            return target
        raise ConfigurationError(f"monitor_task is put on {target!r}: put it on a function or a task.")
    if issubclass(type(target), PromiseProxy):
        if target.__evaluated__():
            return target._get_current_object()
        behind = object.__getattribute__(target, "_Proxy__args")[:1]
    else:
        behind = _closed_over(object.__getattribute__(target, "_Proxy__local"), "fun")
    if behind and callable(behind[0]):
        return behind[0]
    raise ConfigurationError(
        "monitor_task cannot see the function behind this lazy task: put @monitor_task directly above the "
        "function, below the decorator that makes the task."
    )


def _closed_over(function: Any, name: str) -> list[Any]:
    """Return the value that `function` keeps of its maker's variable `name`; empty when it keeps none."""
    if not inspect.isfunction(function):
        return []
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [cell.cell_contents for variable, cell in cells if variable == name]


def _attach(holder: Any, options: MonitoringOptions) -> None:
    """Put `options` on `holder`, over those that an inner decorator put there."""
    before = _own(holder)
    try:
        setattr(holder, ATTRIBUTE, options.over(before) if isinstance(before, MonitoringOptions) else options)
    except (AttributeError, TypeError):
        raise ConfigurationError(
            f"monitor_task is put on {holder!r}, which takes no attributes: put it on a function of yours."
        ) from None


# What options may be -----------------------------------------------------------------------------------


def _checked(
    where: str,
    expected: object,
    labels: object,
    dead_letter: object,
    function: object = None,
) -> MonitoringOptions:
    return MonitoringOptions(
        expected_seconds=None if expected is None else duration(expected, f"{where}expected"),
        labels=_labels(labels, f"{where}labels", function),
        dead_letter=_dead_letter(dead_letter, f"{where}dead_letter"),
    )


def _labels(value: object, where: str, function: object) -> Mapping[str, LabelSource]:
    if isinstance(value, Mapping):
        sources = {name: label_source(source, f"{where}[{name!r}]") for name, source in value.items()}
    elif isinstance(value, list | tuple):
        sources = {label_name(name, f"a label of {where}"): name for name in value}
    else:
        raise wrong(where, value, "a list of parameters, or a dict of label → parameter or callable")
    for name, source in sources.items():
        label_name(name, f"a label of {where}")
        _check_parameter(source, where, function)
    return MappingProxyType(sources) if sources else _NO_LABELS


def _check_parameter(source: LabelSource, where: str, function: object) -> None:
    """See that a label's parameter is one of the function's, where there is a function to look at."""
    if callable(source) or not inspect.isfunction(function):
        return
    parameters = inspect.signature(function).parameters
    if source in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return
    raise ConfigurationError(
        f"{where} names {source!r}, which is no parameter of {function.__qualname__}: "
        f"it has {', '.join(parameters) or 'none'}."
    )


def _dead_letter(value: object, where: str) -> bool | tuple[type[BaseException], ...] | None:
    if value is None or isinstance(value, bool):
        return value
    classes = tuple(value) if isinstance(value, list | tuple) else (value,)
    if classes and all(isinstance(item, type) and issubclass(item, BaseException) for item in classes):
        return classes
    raise wrong(where, value, "True, False, or exception classes")
