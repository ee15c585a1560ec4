"""Names of settings that nobody reads, and that are nearly one of Celery's, or ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from celery.app import defaults
from celery.app.backends import BACKEND_ALIASES
from django.conf import global_settings

from celery_health.conf import PARSERS, SETTING
from celery_health.conf.option_names import is_django, option_names
from celery_health.doctor.near_names import distance, is_slip, near, plain_name
from celery_health.doctor.setting_facts import MisspeltSetting
from celery_health.doctor.static.readers import unread
from celery_health.records import OptionNames

if TYPE_CHECKING:
    from celery import Celery

_DEFAULTS: Final[Mapping[str, Any]] = defaults.DEFAULTS
#: Option → ``dict``, ``string`` and so on, by Celery's table.
_KINDS: Final[Mapping[str, str]] = {
    key: getattr(option.type, "__name__", option.type)
    for key, option in cast(Any, defaults).flatten(defaults.NAMESPACES)
}
_TO_NEW_KEY: Final[Mapping[str, str]] = defaults._TO_NEW_KEY  # type: ignore[attr-defined]
_USUAL: Final = "CELERY"
#: What names from before Celery 4 begin with: others of them (``ENABLE_UTC``) may be anybody's.
_OLD: Final = ("CELERY", "BROKER_")
_OLD_NAMES: Final = tuple(name for name in _TO_NEW_KEY if name.startswith(_OLD))
#: Options with names that are nobody else's, without a prefix: ``TASK_ROUTES``, not ``REDIS_HOST``.
_CELERYS_ALONE: Final = ("task_", "worker_", "beat_", "broker_url", "broker_transport_", "result_backend")
#: Read from the environment, which is no setting (`celery_health.conf.schema`).
_VARIABLES: Final = frozenset({"CELERY_HEALTH_PROBE_DIR"})


def misspelt_settings(app: Celery, settings: Any) -> tuple[MisspeltSetting, ...]:
    """Return what is misspelt in Django's settings, in the app's own module, and on ``app.conf``."""
    conf: Any = app.conf
    len(conf)
    found = [
        *_in_settings(app, settings, option_names(app, settings)),
        *_in_module(app, settings),
        *_on_app(conf),
        *_ours(settings),
    ]
    nobodys = unread({one.name.rpartition(".")[2] for one in found})
    return tuple(one for one in found if one.name.rpartition(".")[2] in nobodys)


def _in_settings(app: Celery, settings: Any, names: OptionNames) -> Iterator[MisspeltSetting]:
    if not is_django(getattr(app, "_config_source", None), settings):
        return
    conf: Any = app.conf
    namespace = getattr(app, "namespace", None) or _USUAL
    # Django's own are read by Django, and there are more of them than a project has.
    written = own_settings(settings)
    in_vain = {**_lower_case(settings, namespace), **written}
    for name, value in sorted(in_vain.items()):
        if hasattr(global_settings, name) or name == SETTING or name.startswith(f"{SETTING}_"):
            continue
        meant = _meant(name, namespace) if name in written else _meant_upper(name, namespace)
        meant = tuple(key for key in meant if _is_unset(conf, key, value))
        if meant and _fits(value, meant[0]):
            right = tuple(_right(app, names, key, namespace) for key in meant)
            if not {*right, *(f"{namespace}_{key.upper()}" for key in meant)} & written.keys():
                yield MisspeltSetting(name=name, keys=meant, right_names=right)


def _right(app: Celery, names: OptionNames, key: str, namespace: str) -> str:
    """Return the name that would have effect; where a namespace was forgotten, the one under it.

    That is for another finding to say: Celery reads no name with ``CELERY_`` then, unless it is an old one.
    """
    if getattr(app, "namespace", None) or not names.old:
        return f"{namespace}_{key.upper()}"
    return names.old[key]


def _meant(name: str, namespace: str) -> tuple[str, ...]:
    """Return the options that a name of Django's settings means; nothing where Celery may read it."""
    if name in _TO_NEW_KEY and name.startswith(_OLD):
        return ()  # an old name: what comes of it is known, and judged by that
    for prefix in {f"{namespace}_", f"{_USUAL}_"}:
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            if rest.lower() in _DEFAULTS:
                return ()  # the right name, under this namespace or the usual one
            if rest in _TO_NEW_KEY and rest.startswith(_OLD):
                return (_TO_NEW_KEY[rest],)
            if found := near(rest.lower(), _DEFAULTS):
                return found
    if name[0] in "CB" and (old := [one for one in _OLD_NAMES if is_slip(name, one)]):
        return (_TO_NEW_KEY[old[0]],)
    key = name.lower()
    if key in _DEFAULTS:
        return (key,) if key.startswith(_CELERYS_ALONE) else ()
    plain = plain_name(name)
    for option in _DEFAULTS:
        if plain.endswith(end := plain_name(option)) and len(end) >= 7:
            start = plain.removesuffix(end)
            if len(start) >= 4 and distance(start, plain_name(namespace), 1) <= 1:
                return (option,)
    return ()


def _lower_case(settings: Any, namespace: str) -> dict[str, Any]:
    """Return the names of the settings module that Django leaves out, since they are not all upper case."""
    module = sys.modules.get(getattr(settings, "SETTINGS_MODULE", None) or "")
    names = vars(module) if module is not None else {}
    start = f"{namespace}_".lower()
    return {
        name: value
        for name, value in names.items()
        if not name.isupper() and name.lower().startswith(start) and not _is_code(value)
    }


def _meant_upper(name: str, namespace: str) -> tuple[str, ...]:
    key = name.lower().removeprefix(f"{namespace}_".lower())
    return (key,) if key in _DEFAULTS else ()


def _in_module(app: Celery, settings: Any) -> Iterator[MisspeltSetting]:
    """Yield what stands in the module that the app is configured by, where that is not Django's settings."""
    source = getattr(app, "_config_source", None)
    if source is None or is_django(source, settings):
        return
    loaded: Any = app.loader.conf
    prefix = f"{app.namespace}_" if getattr(app, "namespace", None) else ""  # type: ignore[attr-defined]
    where = option_names(app, settings).module
    for name in sorted(name for name in _keys(loaded) if isinstance(name, str) and not name.startswith("__")):
        if not name.startswith(prefix) or name in _TO_NEW_KEY or _is_code(value := loaded[name]):
            continue
        old = name.isupper() and not prefix
        key = name.removeprefix(prefix).removeprefix("CELERY_" if old else "").lower()
        meant = tuple(one for one in near(key, _DEFAULTS) if _is_unset(app.conf, one, value))
        if meant and _fits(value, meant[0]):
            names = option_names(app, settings)
            right = tuple(names.name(one) for one in meant)
            if not {*right} & {*_keys(loaded)}:
                yield MisspeltSetting(name=name, keys=meant, right_names=right, where=where)


def _on_app(conf: Any) -> Iterator[MisspeltSetting]:
    """Yield what was assigned on ``app.conf``, or given to ``Celery()``, under a name that is none."""
    assigned = conf.maps[0]
    for name in sorted(name for name in assigned if isinstance(name, str)):
        key = name.lower()
        if name in _DEFAULTS or name in _TO_NEW_KEY or name == "deprecated_settings":
            continue
        meant = (key,) if key in _DEFAULTS else near(key.removeprefix("celery_"), _DEFAULTS)
        if key.removeprefix("celery_") in _DEFAULTS:
            meant = (key.removeprefix("celery_"),)
        value = assigned[name]
        meant = tuple(one for one in meant if one not in assigned and _is_unset(conf, one, value))
        if meant and _fits(value, meant[0]):
            right = tuple(f"app.conf.{one}" for one in meant)
            yield MisspeltSetting(name=f"app.conf.{name}", keys=meant, right_names=right)


def _ours(settings: Any) -> Iterator[MisspeltSetting]:
    """Yield what is nearly ``CELERY_HEALTH``, or a key of it that stands beside it."""
    has_ours, ours = hasattr(settings, SETTING), getattr(settings, SETTING, None)
    written = ours if isinstance(ours, Mapping) else {}
    for name, value in sorted(own_settings(settings).items()):
        if name == SETTING:
            continue
        key = name.removeprefix(f"{SETTING}_")
        if name not in _VARIABLES and key != name and key in PARSERS.keys() - written.keys():
            yield MisspeltSetting(name=name, keys=(key,), right_names=(SETTING,), is_key=True)
        elif not has_ours and isinstance(value, Mapping):
            keys = {str(one).upper() for one in value}
            is_ours = bool(keys) and keys <= PARSERS.keys() and plain_name(SETTING) in plain_name(name)
            if is_ours or is_slip(name, SETTING):
                yield MisspeltSetting(name=name, keys=(SETTING,), right_names=(SETTING,))


def own_settings(settings: Any) -> dict[str, Any]:
    """Return the project's settings without Django's own: these are many, and some raise when read."""
    found = {}
    for name in dir(settings):
        if name.isupper() and not hasattr(global_settings, name):
            with suppress(Exception):  # whatever a settings object of the project's raises
                found[name] = getattr(settings, name)
    return found


# Values ---------------------------------------------------------------------------------------------------


def _is_unset(conf: Any, key: str, value: Any) -> bool:
    """Say whether nothing else sets an option, and the value that is meant for it is not Celery's own."""
    default = _DEFAULTS[key]
    try:
        return bool(conf[key] == default and value != default and value is not None)
    except Exception:  # whatever a project's objects make of a comparison
        return False


def _fits(value: Any, key: str) -> bool:
    """Say whether a value may be one of this option: a name that is near alone proves little."""
    if key in _FITTING:
        return _FITTING[key](value)
    kind = _KINDS[key]
    if kind in ("dict", "list", "tuple"):
        return isinstance(value, Mapping if kind == "dict" else list | tuple | set | frozenset)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return kind == "any"
    if kind == "bool":
        return isinstance(value, bool | int | str)
    if kind in ("int", "float"):
        return isinstance(value, int | float | str) or hasattr(value, "total_seconds")
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_many(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple | set | frozenset)


def _is_path(value: Any) -> bool:
    return _is_text(value) and "." in value


def _is_backend(value: Any) -> bool:
    return _is_text(value) and (":" in value or _is_path(value) or value in BACKEND_ALIASES)


#: Option → whether a value may be one of it, where Celery's table says too little of that.
_FITTING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "broker_url": lambda value: _is_text(value) and "://" in value,
    "result_backend": _is_backend,
    "task_queues": _is_many,
    "task_annotations": _is_many,
    "task_routes": lambda value: _is_many(value) or callable(value) or _is_path(value),
    "imports": lambda value: _is_many(value) or _is_text(value),
    "include": lambda value: _is_many(value) or _is_text(value),
}


def _is_code(value: Any) -> bool:
    return isinstance(value, ModuleType | type) or callable(value)


def _keys(mapping: Any) -> Iterable[Any]:
    try:
        return list(mapping.keys())
    except Exception:  # an object of the project's, which may raise anything
        return []
