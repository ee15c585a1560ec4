"""The settings: the one reader of ``django.conf.settings.CELERY_HEALTH``.

Every value is checked when it is read, and a bad one is a `ConfigurationError` that names the key, the
value and the fix. Values are read at use, so ``override_settings`` works.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings as django_settings

from celery_health.exceptions import ConfigurationError
from celery_health.masking import mask

SETTING: Final = "CELERY_HEALTH"
PROBE_DIR_VARIABLE: Final = "CELERY_HEALTH_PROBE_DIR"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The numbers of the verdict. Durations are seconds."""

    worker_lost_seconds: float = 30
    """A worker whose last record is older than this is lost."""
    restart_grace_seconds: float = 30
    """How long no worker may be there after all said goodbye."""
    lost_worker_memory_seconds: float = 600
    """How long a worker that vanished without a goodbye is reported."""
    not_consuming_seconds: float = 60
    children_restarts_per_minute: float = 10
    loop_stuck_seconds: float = 60
    unconsumed_seconds: float = 60
    stalled_seconds: float = 120
    depth: float = 1000
    """Ready messages in one queue."""
    age_seconds: float = 600
    """Age of the oldest ready message."""
    failure_ratio: float = 0.5
    failure_floor: float = 10
    """Runs of a task below which its failure ratio says nothing."""
    recent_seconds: float = 600
    """What "lately" means to tasks.unknown and tasks.failing; at most an hour."""
    stuck_factor: float = 3
    """Times the observed p99 after which a run without any declared limit is stuck."""
    stuck_samples: float = 20
    stuck_floor_seconds: float = 300
    beat_lost_seconds: float = 120
    beat_unseen_seconds: float = 600
    """How long a schedule may exist before no beat was ever seen."""
    beat_doubled_seconds: float = 60
    overdue_floor_seconds: float = 60
    overdue_seconds: float = 600
    dead_letters: float = 100


#: Limits that make sense for one queue, and for one task.
QUEUE_LIMITS: Final = ("depth", "age_seconds", "unconsumed_seconds", "stalled_seconds", "dead_letters")
TASK_LIMITS: Final = ("failure_ratio", "failure_floor")
SEVERITIES: Final = ("fail", "warn", "off")
PERMISSION_KEYS: Final = ("health", "metrics", "read", "page", "write")
DIALECTS: Final = ("exporter", "background_job", "task_status")

DEFAULT_PERMISSIONS: Final = MappingProxyType(
    {
        "health": "rest_framework.permissions.AllowAny",
        "metrics": "rest_framework.permissions.AllowAny",
        "read": "rest_framework.permissions.IsAdminUser",
        "page": "rest_framework.permissions.IsAdminUser",
        "write": "celery_health.api.permissions.IsSuperuser",
    }
)

#: Names of arguments, anywhere in their text, whose values are never shown.
DEFAULT_REDACT: Final = (
    "password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "access_key", "private_key",
    "authorization", "credential", "session", "cookie", "card_number", "cvv", "ssn",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterSettings:
    """Where dead letters go, and how many."""

    enabled: bool = False
    suffix: str = ".dead"
    max_length: int = 10000


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSettings:
    """One opted-in metric label."""

    max_values: int = 100
    values: tuple[str, ...] | None = None
    """The allowed values; None for the first `max_values` seen."""
    source: Callable[..., object] | str | None = None
    """A parameter's name, or a callable of the task's args and kwargs; None for the label's own name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``CELERY_HEALTH``, parsed. Attribute names are the keys in lower case; durations are seconds."""

    celery_app: str | None = None
    app_id: str | None = None
    store_url: str | None = None
    store_prefix: str | None = None
    deadline: float = 2.0
    heartbeat_interval: float = 5.0
    flush_interval: float = 1.0
    monitor_all_tasks: bool = True
    min_workers: int = 1
    expected_queues: tuple[str, ...] = ()
    ignored_queues: tuple[str, ...] = ()
    expect_beat: bool | None = None
    """None: a beat is expected if there is a schedule."""
    limits: Limits = field(default_factory=Limits)
    queues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    silenced: tuple[str, ...] = ()
    health_details: str = "always"
    permissions: Mapping[str, str] = DEFAULT_PERMISSIONS
    metrics_dialects: tuple[str, ...] = ("exporter",)
    metrics_namespace: str = "celery"
    labels: Mapping[str, LabelSettings] = field(default_factory=dict)
    show_arguments: bool = False
    redact: tuple[str, ...] = DEFAULT_REDACT
    dead_letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    probe_dir: str | None = None
    """None: CELERY_HEALTH_PROBE_DIR, else the temporary folder."""

    def limit(self, name: str, *, queue: str | None = None, task: str | None = None) -> float:
        """Return the limit `name`: the one set for this queue or task, else the global one."""
        special = self.queues.get(queue, {}) if queue is not None else self.tasks.get(task or "", {})
        value: float = special.get(name, getattr(self.limits, name))
        return value

    def scales_to_zero(self, queue: str) -> bool:
        """Say whether a queue may be without consumers while it is empty."""
        return bool(self.queues.get(queue, {}).get("scale_to_zero", False))

    @property
    def probe_directory(self) -> str:
        """Return the folder of the liveness files."""
        return self.probe_dir or os.environ.get(PROBE_DIR_VARIABLE) or tempfile.gettempdir()


# Parsers ---------------------------------------------------------------------------------------------
# Each takes the value and where it stands ("LIMITS['depth']"), and returns it checked.


def _wrong(where: str, value: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{SETTING}[{where}] is {mask(repr(value))}: set {wanted}.")


def _unknown(kind: str, name: object, known: list[str], prefix: str = "") -> ConfigurationError:
    nearest = get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return ConfigurationError(f"{SETTING}{prefix} has the unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(where, value, "a text that is not empty")
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, value, "True or False")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value:
        raise _wrong(where, value, "a number (or, for a duration, a timedelta) of 0 or more")
    return value


def _duration(value: Any, where: str) -> float:
    seconds = float(_number(value, where))
    if seconds <= 0:
        raise _wrong(where, value, "a duration over 0: seconds or a timedelta")
    return seconds


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(where, value, "a whole number of 0 or more")
    return value


def _names(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise _wrong(where, value, "a list of names")
    return tuple(_text(item, f"{where}, an item of") for item in value)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _wrong(where, value, "a dict with names as keys")
    return value


def _choice(value: Any, where: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _wrong(where, value, "one of " + ", ".join(repr(item) for item in allowed))
    return str(value)


def _optional(parse: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, where: None if value is None else parse(value, where)


def _limits(value: Any, where: str) -> Limits:
    known = [f.name for f in fields(Limits)]
    given: dict[str, float] = {}
    for name, number in _mapping(value, where).items():
        if name not in known:
            raise _unknown("limit", name, known, f"[{where}]")
        given[name] = _number(number, f"{where}[{name!r}]")
    return Limits(**given)


def _per_subject(limits: tuple[str, ...], others: Mapping[str, Callable[[Any, str], Any]]) -> Callable[[Any, str], Any]:
    parsers = {name: _number for name in limits} | dict(others)

    def parse(value: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
        parsed: dict[str, Mapping[str, Any]] = {}
        for subject, options in _mapping(value, where).items():
            place = f"{where}[{subject!r}]"
            checked: dict[str, Any] = {}
            for name, option in _mapping(options, place).items():
                if name not in parsers:
                    raise _unknown("key", name, list(parsers), f"[{place}]")
                checked[name] = parsers[name](option, f"{place}[{name!r}]")
            parsed[subject] = checked
        return parsed

    return parse


def _checks(value: Any, where: str) -> Mapping[str, str]:
    return {
        check: _choice(severity, f"{where}[{check!r}]", SEVERITIES)
        for check, severity in _mapping(value, where).items()
    }


def _permissions(value: Any, where: str) -> Mapping[str, str]:
    for name, path in _mapping(value, where).items():
        if name not in PERMISSION_KEYS:
            raise _unknown("key", name, list(PERMISSION_KEYS), f"[{where}]")
        if not isinstance(path, str) or "." not in path:
            raise _wrong(f"{where}[{name!r}]", path, "the dotted path of a DRF permission class")
    return {**DEFAULT_PERMISSIONS, **value}


def _dialects(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_choice(name, f"{where}, an item of", DIALECTS) for name in _names(value, where))


def _dead_letters(value: Any, where: str) -> DeadLetterSettings:
    parsers: dict[str, Callable[[Any, str], Any]] = {"enabled": _boolean, "suffix": _text, "max_length": _count}
    given: dict[str, Any] = {}
    for name, option in _mapping(value, where).items():
        if name not in parsers:
            raise _unknown("key", name, list(parsers), f"[{where}]")
        given[name] = parsers[name](option, f"{where}[{name!r}]")
    return DeadLetterSettings(**given)


def _label_source(value: Any, where: str) -> Callable[..., object] | str:
    if not callable(value) and not isinstance(value, str):
        raise _wrong(where, value, "a parameter's name or a callable")
    return value


def _labels(value: Any, where: str) -> Mapping[str, LabelSettings]:
    parsers: dict[str, Callable[[Any, str], Any]] = {
        "max_values": _count, "values": _optional(_names), "source": _label_source,
    }  # fmt: skip
    labels: dict[str, LabelSettings] = {}
    for label, options in _mapping(value, where).items():
        place = f"{where}[{label!r}]"
        if not label.isidentifier() or label.startswith("__"):
            raise _wrong(where, label, "a Prometheus label name: letters, digits and underscores")
        given: dict[str, Any] = {}
        for name, option in _mapping(options, place).items():
            if name not in parsers:
                raise _unknown("key", name, list(parsers), f"[{place}]")
            given[name] = parsers[name](option, f"{place}[{name!r}]")
        labels[label] = LabelSettings(**given)
    return labels


def _expect_beat(value: Any, where: str) -> bool | None:
    if value is None or value == "auto":
        return None
    if not isinstance(value, bool):
        raise _wrong(where, value, "True, False or None (auto)")
    return value


def _health_details(value: Any, where: str) -> str:
    return _choice(value, where, ("always", "staff"))


PARSERS: Final[Mapping[str, Callable[[Any, str], Any]]] = MappingProxyType(
    {
        "CELERY_APP": _optional(_text),
        "APP_ID": _optional(_text),
        "STORE_URL": _optional(_text),
        "STORE_PREFIX": _optional(_text),
        "DEADLINE": _duration,
        "HEARTBEAT_INTERVAL": _duration,
        "FLUSH_INTERVAL": _duration,
        "MONITOR_ALL_TASKS": _boolean,
        "MIN_WORKERS": _count,
        "EXPECTED_QUEUES": _names,
        "IGNORED_QUEUES": _names,
        "EXPECT_BEAT": _expect_beat,
        "LIMITS": _limits,
        "QUEUES": _per_subject(QUEUE_LIMITS, {"scale_to_zero": _boolean}),
        "TASKS": _per_subject(TASK_LIMITS, {"expected": _duration}),
        "CHECKS": _checks,
        "SILENCED": _names,
        "HEALTH_DETAILS": _health_details,
        "PERMISSIONS": _permissions,
        "METRICS_DIALECTS": _dialects,
        "METRICS_NAMESPACE": _text,
        "LABELS": _labels,
        "SHOW_ARGUMENTS": _boolean,
        "REDACT": _names,
        "DEAD_LETTERS": _dead_letters,
        "PROBE_DIR": _optional(_text),
    }
)


def parse(raw: object) -> Settings:
    """Return `raw`, the dict of the project's settings, checked.

    Raises:
        ConfigurationError: a key is unknown or a value has the wrong type or range.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"{SETTING} is {mask(repr(raw))}: set a dict.")
    given: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in PARSERS:
            raise _unknown("key", key, list(PARSERS))
        given[key.lower()] = PARSERS[key](value, repr(key))
    return Settings(**given)


_UNSET: Final[Mapping[str, Any]] = MappingProxyType({})
_parsed: tuple[object, Settings] | None = None


def get_settings() -> Settings:
    """Return the project's settings, parsed once per ``CELERY_HEALTH`` object.

    Raises:
        ConfigurationError: see `parse`.
    """
    global _parsed
    raw = getattr(django_settings, SETTING, _UNSET)
    # Identity is safe: the cached pair keeps the object alive, so its id is not used again.
    if _parsed is None or _parsed[0] is not raw:
        _parsed = (raw, parse(raw))
    return _parsed[1]
