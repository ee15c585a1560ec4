"""The settings: the one reader of ``django.conf.settings.CELERY_HEALTH``.

Every value is checked when it is read, and a bad one is a `ConfigurationError` that names the key, the
value and the fix. Values are read at use, so ``override_settings`` works. What can be set stands in
`schema`, how it is checked in `parsers` and `pairs`; import everything from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings as django_settings

from celery_health.conf.pairs import fit
from celery_health.conf.parsers import PARSERS
from celery_health.conf.parsing import unknown
from celery_health.conf.schema import (
    CHECK_IDS,
    DEFAULT_PERMISSIONS,
    DEFAULT_REDACT,
    DIALECTS,
    HEALTH_DETAILS,
    PERMISSION_KEYS,
    PROBE_DIR_VARIABLE,
    QUEUE_LIMITS,
    SEVERITIES,
    TASK_LIMITS,
    DeadLetterSettings,
    LabelSettings,
    Limits,
    Settings,
)
from celery_health.exceptions import ConfigurationError

__all__ = [
    "CHECK_IDS",
    "DEFAULT_PERMISSIONS",
    "DEFAULT_REDACT",
    "DIALECTS",
    "HEALTH_DETAILS",
    "PARSERS",
    "PERMISSION_KEYS",
    "PROBE_DIR_VARIABLE",
    "QUEUE_LIMITS",
    "SETTING",
    "SEVERITIES",
    "TASK_LIMITS",
    "DeadLetterSettings",
    "LabelSettings",
    "Limits",
    "Settings",
    "details_are_public",
    "get_settings",
    "parse",
]

SETTING: Final = "CELERY_HEALTH"


def parse(raw: object) -> Settings:
    """Return the settings that `raw`, the dict ``CELERY_HEALTH``, describes.

    Raises:
        ConfigurationError: an unknown key, or a value of a wrong type or out of range.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"{SETTING} is of type {type(raw).__name__}: set a dict.")
    given: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in PARSERS:
            raise unknown(SETTING, "key", key, PARSERS)
        given[key.lower()] = PARSERS[key](value, f"{SETTING}[{key!r}]")
    return fit(Settings(**given), raw.get("LIMITS", {}), f"{SETTING}['LIMITS']")


_UNSET: Final[Mapping[str, Any]] = MappingProxyType({})
_parsed: tuple[object, Settings] | None = None


def get_settings() -> Settings:
    """Return the project's settings, parsed once per ``CELERY_HEALTH`` object.

    Raises:
        ConfigurationError: see `parse`.
    """
    global _parsed
    raw = getattr(django_settings, SETTING, _UNSET)
    cached = _parsed
    # Identity is safe: the cached pair keeps the object alive, so its id is not used again.
    if cached is None or cached[0] is not raw:
        cached = _parsed = (raw, parse(raw))
    return cached[1]


def details_are_public() -> bool:
    """Say whether ``HEALTH_DETAILS`` lets anyone see details, whatever else is wrong in the settings.

    A value that is no value of it does not: who wrote it meant to hide something.
    """
    raw = getattr(django_settings, SETTING, _UNSET)
    return not isinstance(raw, Mapping) or raw.get("HEALTH_DETAILS", "always") == "always"
