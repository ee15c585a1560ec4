"""Arguments of tasks as text for people, with what must not be seen taken out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from celery.utils.saferepr import saferepr

from celery_health.text.masking import MASK, mask

#: Characters of the text; more is cut off.
MAX_LENGTH: Final = 500
#: Nested containers and items of one container that are looked through; what is beyond is not shown.
_MAX_DEPTH: Final = 4
MAX_ITEMS: Final = 50


def shown(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], redact: Sequence[str]
) -> tuple[str, str]:
    """Return the positional and the keyword arguments of a call as text.

    A value whose name holds one of `redact`, in any case and at any depth, becomes ``**``. Positional
    arguments get their names from the signature of `function`.
    """
    patterns = tuple(pattern.lower() for pattern in redact)
    names = _parameters(function)
    positional = [
        MASK if index < len(names) and _is_secret(names[index], patterns) else _clean(value, patterns, 0)
        for index, value in enumerate(args[:MAX_ITEMS])
    ]
    return _text(positional), _text(_clean(dict(kwargs), patterns, 0))


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        return []


def _is_secret(name: object, patterns: Sequence[str]) -> bool:
    text = str(name).lower()
    return any(pattern in text for pattern in patterns)


def _clean(value: Any, patterns: Sequence[str], depth: int) -> Any:
    if depth >= _MAX_DEPTH and isinstance(value, dict | list | tuple):
        return "..."
    if isinstance(value, dict):
        return {
            key: MASK if _is_secret(key, patterns) else _clean(item, patterns, depth + 1)
            for key, item in islice(value.items(), MAX_ITEMS)
        }
    if isinstance(value, list | tuple):
        return [_clean(item, patterns, depth + 1) for item in value[:MAX_ITEMS]]
    # An argument can be megabytes of text; more than is shown is not even looked at.
    return mask(value[: 2 * MAX_LENGTH]) if isinstance(value, str) else value


def _text(value: object) -> str:
    return mask(saferepr(value, maxlen=MAX_LENGTH))
