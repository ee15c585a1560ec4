"""Which names a Celery app reads its options by, from how it was configured."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any, Final

from django.conf import LazySettings
from django.conf import settings as django_settings

from celery_health.records import OptionNames

#: The environment goes before all else with these (``celery.app.utils.Settings``).
VARIABLES: Final = {
    "broker_url": "CELERY_BROKER_URL",
    "broker_read_url": "CELERY_BROKER_READ_URL",
    "broker_write_url": "CELERY_BROKER_WRITE_URL",
    "result_backend": "CELERY_RESULT_BACKEND",
}
#: The module that an app is configured by which was told of none (``celery.loaders.base``).
_CONFIG_MODULE: Final = "CELERY_CONFIG_MODULE"
_DICTS: Final = ("broker_transport_options",)
#: What makes up an address besides ``broker_url``.
_ADDRESS: Final = (
    "broker_url", "broker_read_url", "broker_host", "broker_port", "broker_user", "broker_password",
    "broker_vhost", "broker_transport",
)  # fmt: skip


def option_names(app: Any, settings: Any = None) -> OptionNames:
    """Return how the project writes the options of `app`.

    `settings` has Django's settings as attributes; None for the project's own.
    """
    from celery.app import defaults

    conf: Any = app.conf
    len(conf)  # reads the configuration, if nothing has yet
    source = getattr(app, "_config_source", None) or os.environ.get(_CONFIG_MODULE)
    namespace = getattr(app, "namespace", None)
    counting = {
        key for key, value in conf.maps[0].items() if key in defaults.DEFAULTS and value is conf.get(key)
    }
    filled = frozenset(option for option in _DICTS if isinstance(conf.get(option), dict) and conf[option])
    module = None if is_django(source, settings) else _module_of(source)
    if source and module is None and not is_django(source, settings):
        return OptionNames(
            filled=filled, environment=_environment()
        )  # a dict, or an object that nobody can name
    # Names from before Celery 4 are read without a namespace alone, and never beside new ones.
    is_old = not namespace and getattr(conf, "deprecated_settings", None)
    old = defaults._TO_OLD_KEY if is_old else {}  # type: ignore[attr-defined]
    return OptionNames(
        prefix=f"{namespace.removesuffix('_')}_" if source and namespace else None,
        module=module,
        old={option: name for option, name in old.items() if option in defaults.DEFAULTS},
        assigned=frozenset(counting),
        filled=filled,
        environment=_environment(),
    )


def broker_is_set(app: Any) -> bool:
    """Say whether anybody said where the broker is: else it is Celery's default, RabbitMQ on this host."""
    if os.environ.get(VARIABLES["broker_read_url"]):
        return True
    return any(getattr(app.conf, option, None) for option in _ADDRESS)


def is_django(source: Any, settings: Any = None) -> bool:
    """Say whether the configuration that an app reads is Django's settings."""
    if source is not None and source is (django_settings if settings is None else settings):
        return True
    return isinstance(source, LazySettings) or source in ("django.conf:settings", "django.conf")


def _environment() -> dict[str, str]:
    return {option: name for option, name in VARIABLES.items() if os.environ.get(name)}


def _module_of(source: Any) -> str | None:
    """Return the name of the module or class that an app is configured by; None where it has none."""
    if isinstance(source, str):
        return source or None
    if isinstance(source, ModuleType):
        return source.__name__
    return f"{source.__module__}.{source.__qualname__}" if isinstance(source, type) else None
