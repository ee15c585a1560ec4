"""Metric labels that a project opts in: which task has which, and where their values come from.

Read in the worker's main process from the message's own arguments. A label without a value, or whose source
fails, is left out of that one run: the run is counted all the same.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from celery_health.conf import LabelSettings, Settings
from celery_health.counters import OTHER, custom_labels
from celery_health.monitoring import LabelSource, options_of
from celery_health.reporting.faults import Faults
from celery_health.reporting.totals import Totals
from celery_health.text.masking import mask
from celery_health.text.secret_names import SecretNames

logger = logging.getLogger("celery_health")

#: What makes a label: a text of anything else (a list, a model) has as many values as there are runs.
_PLAIN: Final = (str, int, float, bool, Decimal, UUID, date)
#: Characters of a value that are looked at: an argument can be megabytes of text.
_MOST_CHARACTERS: Final = 1000

Take = Callable[[Sequence[Any], Mapping[str, Any]], object]
"""Returns the value that the arguments of one run give."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Label:
    name: str
    take: Take
    allowed: frozenset[str] | None
    """None: the store admits the first values that come."""


class TaskLabels:
    """The labels of one task."""

    def __init__(self, labels: Sequence[_Label], faults: Faults) -> None:
        self._labels = tuple(labels)
        self._faults = faults

    def of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the labels of one run as they stand in a field; "" when none has a value. Never raises."""
        found = []
        for label in self._labels:
            try:
                value = _text(label.take(args, kwargs))
            except Exception as error:
                self._faults.caught(f"labels.{label.name}", error)
                continue
            if value is not None:
                if label.allowed is not None and value not in label.allowed:
                    value = OTHER
                found.append((label.name, value))
        return custom_labels(found)


class LabelRules:
    """Which labels each task has, by the settings and by its own word."""

    def __init__(self, settings: Settings, totals: Totals, faults: Faults) -> None:
        self._settings = settings
        self._totals = totals
        self._faults = faults
        self._warned: set[str] = set()

    def of(self, task: Any) -> TaskLabels | None:
        """Return the labels of a task; None when it has none. Their caps are known to the totals from now on.

        A task's own labels go before those of the settings; of those it has the ones that it has a
        parameter for.
        """
        options = options_of(task)
        sources: dict[str, LabelSource] = {
            name: given.source or name for name, given in self._settings.labels.items()
        }
        sources.update(options.labels if options else {})
        labels = [label for name, source in sources.items() if (label := self._label(task, name, source))]
        if labels and not self._settings.shows_labels:
            self._warn(
                "dialect",
                "Metric labels of your own (%s) are not counted: no dialect in CELERY_HEALTH"
                "['METRICS_DIALECTS'] shows them. Add 'background_job'.",
                ", ".join(sources),
            )
            return None
        for label in labels:
            if label.allowed is None:
                self._totals.label_caps[label.name] = self._of_settings(label.name).max_values
        return TaskLabels(labels, self._faults) if labels else None

    def _of_settings(self, name: str) -> LabelSettings:
        return self._settings.labels.get(name) or LabelSettings()

    def _label(self, task: Any, name: str, source: LabelSource) -> _Label | None:
        if callable(source):
            take: Take | None = _calling(source)
        elif source in SecretNames(self._settings.redact):
            self._warn(
                name,
                "The metric label '%s' is not counted: its parameter '%s' is one whose values are never "
                "shown. Take a callable as its source, or change CELERY_HEALTH['REDACT'].",
                name,
                source,
            )
            return None
        else:
            take = _parameter(task, source)
        if take is None:
            return None
        values = self._of_settings(name).values
        return _Label(name=name, take=take, allowed=None if values is None else frozenset(values))

    def _warn(self, about: str, message: str, *args: object) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning(message, *args)


def _calling(source: Callable[..., object]) -> Take:
    return lambda args, kwargs: source(*args, **kwargs)


def _parameter(task: Any, name: str) -> Take | None:
    """Return what finds the parameter `name` of a task; None when the task has no such one."""
    try:
        parameters = inspect.signature(task.run).parameters
    except (TypeError, ValueError):
        return None
    parameter = parameters.get(name)
    if parameter is None:
        if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            return lambda args, kwargs: kwargs.get(name)
        return None
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return None
    default = None if parameter.default is parameter.empty else parameter.default
    if parameter.kind is parameter.KEYWORD_ONLY:
        return lambda args, kwargs: kwargs.get(name, default)
    place = list(parameters).index(name)
    return lambda args, kwargs: args[place] if place < len(args) else kwargs.get(name, default)


def _text(value: object) -> str | None:
    """Return the value of a label; None for no value.

    Raises:
        TypeError: it is nothing that makes a label.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or value == "":
        return None
    if not isinstance(value, _PLAIN):
        raise TypeError(
            f"The value is of type {type(value).__name__}: take a callable that returns a text or number."
        )
    text = value[:_MOST_CHARACTERS] if isinstance(value, str) else str(value)
    # An address may hold a password.
    return mask(text)
