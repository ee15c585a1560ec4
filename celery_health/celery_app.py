"""Which Celery app is asked about, and what it really is configured to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import _state
from celery.app.utils import find_app as find_celery_app
from django.conf import settings as django_settings

from celery_health.conf import SETTING, Settings, get_settings
from celery_health.exceptions import ConfigurationError
from celery_health.records import AppFacts
from celery_health.text.masking import describe_error

if TYPE_CHECKING:
    from celery import Celery

_HOW_TO_CONFIGURE = (
    "No Celery app is configured in this process: Celery's own default would ask amqp://guest@localhost. "
    "Import the project's app in its package's __init__.py (from .celery import app as celery_app), "
    f'or set {SETTING} = {{"CELERY_APP": "proj.celery:app"}}.'
)


def find_app(settings: Settings | None = None) -> Celery:
    """Return the project's Celery app: ``CELERY_APP``, else the current app that the project configured.

    Raises:
        ConfigurationError: nobody configured one, several compete, or ``CELERY_APP`` does not name one.
    """
    settings = settings or get_settings()
    if settings.celery_app is not None:
        return _import_app(settings.celery_app)
    # celery.current_app is kept per thread: a web server's threads see the default app instead, which
    # Django's fix-up sets to the project's (celery/fixups/django.py), and else Celery's own fallback.
    state: Any = _state
    for app in (state._tls.current_app, state.default_app):
        if app is not None and not _is_fallback(app):
            return _unwrapped(app)
    others = [app for app in state._get_active_apps() if not _is_fallback(app)]
    if len(others) == 1:
        return _unwrapped(others[0])
    if others:
        names = ", ".join(sorted(repr(app.main) for app in others))
        raise ConfigurationError(
            f"Several Celery apps live in this process ({names}). "
            f'Set {SETTING} = {{"CELERY_APP": "proj.celery:app"}}.'
        )
    raise ConfigurationError(_HOW_TO_CONFIGURE)


def _import_app(path: str) -> Celery:
    where = f'{SETTING}["CELERY_APP"] is {path!r}'
    try:
        app = find_celery_app(path)
    except Exception as error:  # importing a project's module may raise anything
        raise ConfigurationError(
            f"{where}, which cannot be imported ({describe_error(error)}). "
            "Set it to 'package.module:attribute'."
        ) from error
    if not hasattr(app, "connection_for_read"):
        raise ConfigurationError(
            f"{where}, which is {type(app).__name__}, no Celery app. Name the app itself."
        )
    return _unwrapped(app)


def _unwrapped(app: Any) -> Celery:
    resolve = getattr(app, "_get_current_object", None)
    real: Celery = resolve() if callable(resolve) else app
    return real


def _is_fallback(app: Any) -> bool:
    """Say whether this is the app that Celery makes when nobody made one (celery/_state.py)."""
    # Its fixed name alone would also match a project that calls its app "default".
    return app.main == "default" and not app.set_as_current and not app.conf.get("broker_url")


def app_id(app: Celery, settings: Settings | None = None) -> str:
    """Return the name under which this app keeps its records: ``APP_ID``, else the app's own name."""
    settings = settings or get_settings()
    return settings.app_id or app_name(app)


def app_name(app: Celery) -> str:
    """Return the app's name, else the package of the settings module, else ``celery``."""
    if app.main and app.main != "__main__":
        return str(app.main)
    return settings_package() or "celery"


def settings_package() -> str | None:
    """Return the top package of the project's settings module; None where there is none."""
    module: str | None = getattr(django_settings, "SETTINGS_MODULE", None)
    return module.partition(".")[0] if module else None


def facts_of(app: Celery, settings: Settings | None = None) -> AppFacts:
    """Return what judging needs to know of the app's configuration."""
    settings = settings or get_settings()
    return AppFacts(
        app_id=app_id(app, settings),
        name=(settings.celery_app or app_name(app)).removesuffix(":app").removesuffix(".celery"),
        always_eager=bool(app.conf.task_always_eager),
        default_queue=str(app.conf.task_default_queue),
    )
