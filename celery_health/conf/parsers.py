"""Read each key of ``CELERY_HEALTH``: which parser takes which key, and what only these settings need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from celery_health.conf.parsing import (
    Parser,
    app_path,
    boolean,
    choice,
    class_path,
    count,
    duration,
    label_name,
    label_source,
    mapping,
    metric_name,
    names,
    number,
    optional,
    options,
    ratio,
    seconds,
    text,
    url,
    wrong,
)
from celery_health.conf.schema import (
    CHECK_IDS,
    DEFAULT_PERMISSIONS,
    DIALECTS,
    HEALTH_DETAILS,
    PERMISSION_KEYS,
    QUEUE_LIMITS,
    SEVERITIES,
    TASK_LIMITS,
    DeadLetterSettings,
    LabelSettings,
    Limits,
)


def _recent(value: Any, where: str) -> float:
    # The store keeps one hour of outcomes, minute by minute.
    if (given := seconds(value, where)) > 3600:
        raise wrong(where, value, "at most 3600 seconds: no more is kept")
    return given


def _streak_memory(value: Any, where: str) -> float:
    if (given := seconds(value, where)) > 7 * 86400:
        raise wrong(where, value, "at most 7 days: the store remembers no longer")
    return given


def _limit_parser(name: str) -> Parser:
    if name == "recent_seconds":
        return _recent
    if name == "streak_memory_seconds":
        return _streak_memory
    if name == "failure_ratio":
        return ratio
    return seconds if name.endswith("_seconds") else number


def _limit_parsers(limits: Iterable[str]) -> dict[str, Parser]:
    return {name: _limit_parser(name) for name in limits}


_LIMIT_PARSERS: Final = _limit_parsers(f.name for f in fields(Limits))
_QUEUE_PARSERS: Final[Mapping[str, Parser]] = {**_limit_parsers(QUEUE_LIMITS), "scale_to_zero": boolean}
_TASK_PARSERS: Final[Mapping[str, Parser]] = {**_limit_parsers(TASK_LIMITS), "expected": duration}
_DEAD_LETTER_PARSERS: Final[Mapping[str, Parser]] = {
    "enabled": boolean, "suffix": text, "max_length": count, "max_redeliveries": count,
}  # fmt: skip
_LABEL_PARSERS: Final[Mapping[str, Parser]] = {
    "max_values": count,
    "values": optional(names),
    "source": optional(label_source),
}


def _limits(value: Any, where: str) -> Limits:
    return Limits(**options(value, where, _LIMIT_PARSERS, "limit"))


def _per_subject(parsers: Mapping[str, Parser]) -> Parser:
    def parse(value: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
        return {
            subject: options(given, f"{where}[{subject!r}]", parsers)
            for subject, given in mapping(value, where).items()
        }

    return parse


def _checks(value: Any, where: str) -> Mapping[str, str]:
    return options(
        value, where, dict.fromkeys(CHECK_IDS, lambda given, place: choice(given, place, SEVERITIES)), "check"
    )


def _permissions(value: Any, where: str) -> Mapping[str, str]:
    return {**DEFAULT_PERMISSIONS, **options(value, where, dict.fromkeys(PERMISSION_KEYS, class_path))}


def _dialects(value: Any, where: str) -> tuple[str, ...]:
    return tuple(choice(name, f"an item of {where}", DIALECTS) for name in names(value, where))


def _dead_letters(value: Any, where: str) -> DeadLetterSettings:
    return DeadLetterSettings(**options(value, where, _DEAD_LETTER_PARSERS))


def _labels(value: Any, where: str) -> Mapping[str, LabelSettings]:
    return {
        label_name(label, f"a label of {where}"): LabelSettings(
            **options(given, f"{where}[{label!r}]", _LABEL_PARSERS)
        )
        for label, given in mapping(value, where).items()
    }


def _expect_beat(value: Any, where: str) -> bool | None:
    if value is None or value == "auto":
        return None
    if not isinstance(value, bool):
        raise wrong(where, value, "True, False or None (auto)")
    return value


def _health_details(value: Any, where: str) -> str:
    return choice(value, where, HEALTH_DETAILS)


#: Every key of ``CELERY_HEALTH``, and what reads its value.
PARSERS: Final[Mapping[str, Parser]] = MappingProxyType(
    {
        "CELERY_APP": optional(app_path),
        "APP_ID": optional(text),
        "STORE_URL": optional(url),
        "STORE_PREFIX": optional(text),
        "DEADLINE": duration,
        "HEARTBEAT_INTERVAL": duration,
        "FLUSH_INTERVAL": duration,
        "MONITOR_ALL_TASKS": boolean,
        "MIN_WORKERS": count,
        "EXPECTED_QUEUES": names,
        "IGNORED_QUEUES": names,
        "EXPECT_BEAT": _expect_beat,
        "LIMITS": _limits,
        "QUEUES": _per_subject(_QUEUE_PARSERS),
        "TASKS": _per_subject(_TASK_PARSERS),
        "CHECKS": _checks,
        "SILENCED": names,
        "HEALTH_DETAILS": _health_details,
        "PERMISSIONS": _permissions,
        "METRICS_DIALECTS": _dialects,
        "METRICS_NAMESPACE": metric_name,
        "LABELS": _labels,
        "SHOW_ARGUMENTS": boolean,
        "REDACT": names,
        "DEAD_LETTERS": _dead_letters,
        "PROBE_DIR": optional(text),
    }
)
