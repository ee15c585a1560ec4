"""Names in Django's settings that look like Celery's, beside what ``app.conf`` made of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from celery import _state
from celery.app import defaults

from celery_health.conf import SETTING
from celery_health.conf.option_names import VARIABLES, is_django, option_names
from celery_health.doctor.setting_facts import DjangoFacts, IgnoredSetting
from celery_health.doctor.static.misspelt import misspelt_settings
from celery_health.doctor.static.trials import tried

if TYPE_CHECKING:
    from celery import Celery

_DEFAULTS: Final[Mapping[str, Any]] = defaults.DEFAULTS
_TO_NEW_KEY: Final[Mapping[str, str]] = defaults._TO_NEW_KEY  # type: ignore[attr-defined]

#: What names of Celery's options start with: others of its old ones (``ENABLE_UTC``) may be anybody's.
_PREFIXES: Final = ("CELERY", "BROKER_")
_USUAL: Final = "CELERY"


def django_facts(app: Celery, settings: Any) -> DjangoFacts:
    """Return what Django's settings say, as far as Celery is concerned. `settings` has them as attributes."""
    conf: Any = app.conf
    len(conf)  # reads the configuration, if nothing has yet
    source = getattr(app, "_config_source", None)
    namespace = getattr(app, "namespace", None)
    names = sorted(name for name in dir(settings) if name.isupper())
    own = [name for name in names if not _is_anothers(name, app, namespace)]
    zone = getattr(settings, "TIME_ZONE", None)
    overridden = getattr(settings, "is_overridden", None)
    if overridden is not None and not overridden("TIME_ZONE"):
        zone = None  # Django's own default is nobody's wish
    facts = DjangoFacts(
        debug=bool(getattr(settings, "DEBUG", False)),
        time_zone=zone,
        is_testing=_is_testing(),
        namespace=namespace,
        reads_django_settings=is_django(source, settings),
        assigned=frozenset(
            key for key, value in conf.maps[0].items() if key in _DEFAULTS and value is conf[key]
        ),
        reads_nothing=not source,
        ignored=(*_ignored(conf, settings, own, namespace), *_assigned_in_vain(conf)),
        options=option_names(app, settings),
        misspelt=misspelt_settings(app, settings),
        has_health_setting=hasattr(settings, SETTING),
        old_names=dict(_old_names(conf, settings, names, namespace)),
        masked_entries=dict(_masked_entries(conf, settings, own, namespace)),
        schedule_source="app.conf.beat_schedule"
        if "beat_schedule" in conf.maps[0] and conf.maps[0]["beat_schedule"] is conf.beat_schedule
        else f"{namespace}_BEAT_SCHEDULE"
        if namespace
        else "the configuration's beat schedule",
    )
    return tried(app, settings, facts)


def _is_testing() -> bool:
    """Say whether a test runner is at work: it may have tasks run in place."""
    return "pytest" in sys.modules or "test" in sys.argv[1:2]


def _option(name: str, namespace: str | None) -> str | None:
    """Return the option of Celery that a name in the settings means; None when it means none."""
    # Under a namespace of the project's own, names with the usual one are read by nobody.
    for prefix in (f"{namespace or _USUAL}_", f"{_USUAL}_"):
        key = name.removeprefix(prefix).lower()
        if name.startswith(prefix) and key in _DEFAULTS:
            return key
    if name.startswith(_PREFIXES):
        return _TO_NEW_KEY.get(name)
    return None


def _is_anothers(name: str, app: Celery, namespace: str | None) -> bool:
    """Say whether another app of this process reads the name, under the usual namespace."""
    if namespace in (None, _USUAL) or not name.startswith(f"{_USUAL}_"):
        return False
    apps = set(_state._get_active_apps()) - {app}  # type: ignore[attr-defined]
    return any(getattr(other, "namespace", None) == _USUAL for other in apps)


def _ignored(conf: Any, settings: Any, names: list[str], namespace: str | None) -> Iterator[IgnoredSetting]:
    """Yield the names whose value is not the effective one, where that is Celery's default: nobody set it.

    Where it is not, something else does set it, and may be meant to.
    """
    for name in names:
        key = _option(name, namespace)
        if key is None or key in conf.maps[0]:
            continue
        value, effective = getattr(settings, name), getattr(conf, key)
        if not _equal(value, effective) and _equal(effective, _DEFAULTS[key]):
            yield IgnoredSetting(name=name, key=key, right_name=f"{namespace or 'CELERY'}_{key.upper()}")


def _old_names(
    conf: Any, settings: Any, names: list[str], namespace: str | None
) -> Iterator[tuple[str, str]]:
    """Yield the names from before Celery 4 whose value counts, and is no default, and the options meant."""
    for name in names:
        key = _option(name, namespace)
        if key is None or name not in _TO_NEW_KEY or namespace and f"{namespace}_{key.upper()}" in names:
            continue
        value = getattr(settings, name)
        if key in conf.maps[0] or _equal(value, _DEFAULTS[key]):
            continue
        if _equal(value, getattr(conf, key)):
            yield name, key


def _assigned_in_vain(conf: Any) -> Iterator[IgnoredSetting]:
    """Yield what was assigned on ``app.conf`` and is not what counts, as with a namespace before 5.7."""
    for key, value in list(conf.maps[0].items()):
        if key not in _DEFAULTS or key in VARIABLES or key == "beat_schedule":
            continue
        if not _equal(value, getattr(conf, key)):
            yield IgnoredSetting(
                name=f"app.conf.{key}",
                key=key,
                right_name=f"{conf.prefix or 'CELERY_'}{key.upper()}",
                is_assigned=True,
            )


def _masked_entries(
    conf: Any, settings: Any, names: list[str], namespace: str | None
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each schedule that is written down, with those of its entries that are not in effect."""
    effective = conf.beat_schedule
    if not effective:
        return
    written = [
        (name, getattr(settings, name)) for name in names if _option(name, namespace) == "beat_schedule"
    ]
    written.append(("app.conf.beat_schedule", conf.maps[0].get("beat_schedule")))
    for where, schedule in written:
        if isinstance(schedule, Mapping):
            missing = tuple(str(entry) for entry in schedule if entry not in effective)
            if missing:
                yield where, missing


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # whatever a project's objects make of a comparison
        return one is other
