"""Check what people write into settings and options, and say what is wrong with it.

A parser takes the value and where it stands (``CELERY_HEALTH['LIMITS']['depth']``), and returns it checked;
a bad one is a `ConfigurationError` that names the place, the value and what to set instead.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from celery_health.exceptions import ConfigurationError
from celery_health.text.masking import mask

Parser: TypeAlias = Callable[[Any, str], Any]

#: Longer values tell nobody more, and fill the screen.
_SHOWN_CHARACTERS: Final = 200
_NAME: Final = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
#: Labels that our own metrics of tasks carry, and those by which Prometheus and dashboards know targets.
RESERVED_LABELS: Final = (
    "name", "task_name", "queue_name", "hostname", "exception", "error_type", "status",
    "le", "quantile", "job", "instance", "namespace", "cluster",
)  # fmt: skip


def wrong(where: str, value: object, wanted: str) -> ConfigurationError:
    """Return the error for a `value` that will not do: "`where` is ...: set `wanted`."."""
    shown = mask(repr(value))
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[:_SHOWN_CHARACTERS] + "..."
    return ConfigurationError(f"{where} is {shown}: set {wanted}.")


def nearest(name: object, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with the nearest of the `known`, or nothing."""
    lowered = {item.lower(): item for item in known}
    found = get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.5)
    return f" Did you mean {lowered[found[0]]!r}?" if found else ""


def unknown(where: str, kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """Return the error for a key that nobody reads, with the nearest known one."""
    known = tuple(known)
    return ConfigurationError(
        f"{where} has the unknown {kind} {name!r}.{nearest(name, known)} Known: {', '.join(known)}."
    )


def text(value: Any, where: str) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise wrong(where, value, "a text that is not empty")
    return value


def boolean(value: Any, where: str) -> bool:
    """Return True or False; 0, 1 and texts are refused, since "False" would be true."""
    if not isinstance(value, bool):
        raise wrong(where, value, "True or False")
    return value


def number(value: Any, where: str) -> float:
    """Return a number of 0 or more, finite: JSON and Prometheus rules have no place for others."""
    # The bound leaves out infinity, NaN and whole numbers that no float can hold.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise wrong(where, value, "a number of 0 or more")
    return value


def seconds(value: Any, where: str) -> float:
    """Return seconds of 0 or more, from a number or a timedelta."""
    given = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        return number(given, where)
    except ConfigurationError:
        raise wrong(where, value, "seconds or a timedelta, of 0 or more") from None


def duration(value: Any, where: str) -> float:
    """Return seconds over 0, as a float, from a number or a timedelta."""
    given = float(seconds(value, where))
    if given <= 0:
        raise wrong(where, value, "a duration over 0: seconds or a timedelta")
    return given


def ratio(value: Any, where: str) -> float:
    """Return a number from 0 to 1: 50 for "50 %" would switch a limit off in silence."""
    if number(value, where) > 1:
        raise wrong(where, value, "a share from 0 to 1, such as 0.5 for half")
    return float(value)


def count(value: Any, where: str) -> int:
    """Return a whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(where, value, "a whole number of 0 or more")
    return value


def names(value: Any, where: str) -> tuple[str, ...]:
    """Return texts; one bare text is refused, since it would be read as its letters."""
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise wrong(where, value, "a list of names")
    checked = [text(item, f"an item of {where}") for item in value]
    return tuple(sorted(checked) if isinstance(value, set | frozenset) else checked)


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return a dict whose keys are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise wrong(where, value, "a dict with names as keys")
    return value


def choice(value: Any, where: str, allowed: tuple[str, ...]) -> str:
    """Return one of the `allowed` texts."""
    if not isinstance(value, str) or value not in allowed:
        error = wrong(where, value, "one of " + ", ".join(repr(item) for item in allowed))
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        raise ConfigurationError(f"{error}{hint}")
    return value


def options(value: Any, where: str, parsers: Mapping[str, Parser], kind: str = "key") -> dict[str, Any]:
    """Return a dict whose keys are among those of `parsers`, each value checked by its own."""
    checked: dict[str, Any] = {}
    for name, option in mapping(value, where).items():
        if name not in parsers:
            raise unknown(where, kind, name, parsers)
        checked[name] = parsers[name](option, f"{where}[{name!r}]")
    return checked


def optional(parse: Parser) -> Parser:
    """Return a parser that also takes None."""
    return lambda value, where: None if value is None else parse(value, where)


def label_name(value: Any, where: str) -> str:
    """Return a metric label's name: one that Prometheus allows, and that no metric of ours carries."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise wrong(where, value, "a Prometheus label name: ASCII letters, digits and underscores")
    if value in RESERVED_LABELS:
        raise wrong(where, value, f"another name: these are taken: {', '.join(RESERVED_LABELS)}")
    return value


def label_source(value: Any, where: str) -> Callable[..., object] | str:
    """Return where a label's value comes from: a parameter's name or a callable."""
    if isinstance(value, str) and value.isidentifier():
        return value
    if not callable(value):
        raise wrong(where, value, "a parameter's name or a callable")
    return value  # type: ignore[no-any-return]  # mypy: callable() leaves Any


def metric_name(value: Any, where: str) -> str:
    """Return the start of a metric's name."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise wrong(where, value, "the start of a metric name: ASCII letters, digits and underscores")
    return value


def class_path(value: Any, where: str) -> str:
    """Return the dotted path of a class; whether it is there shows when it is first used."""
    if not isinstance(value, str) or "." not in value or not _DOTTED.fullmatch(value):
        raise wrong(where, value, "the dotted path of a class, such as 'package.module.Class'")
    return value


def app_path(value: Any, where: str) -> str:
    """Return the path of a Celery app: ``proj``, ``proj.celery`` or ``proj.celery:app``."""
    parts = value.split(":") if isinstance(value, str) else []
    if len(parts) not in (1, 2) or not all(_DOTTED.fullmatch(part) for part in parts):
        raise wrong(where, value, "the path of the Celery app, such as 'proj.celery:app'")
    return str(value)


def url(value: Any, where: str) -> str:
    """Return a URL."""
    if not isinstance(value, str):
        # Shown by its type alone: a dict or a list of options may hold a bare password.
        kind = type(value).__name__
        raise ConfigurationError(f"{where} is of type {kind}: set a URL, such as 'redis://localhost:6379/1'.")
    if "://" not in value:
        raise wrong(where, value, "a URL, such as 'redis://localhost:6379/1'")
    return value
