"""How celery_health itself is put into a project: what is missing, or twice, and the line that puts it right.

Without its app Django runs no check of ours: then its URLs, which Django's own check looks through, say so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.module_loading import import_string

from celery_health.conf import SETTING, get_settings
from celery_health.exceptions import ConfigurationError
from celery_health.project_code import calling_project, importing_project
from celery_health.text.masking import describe_error

APP_MISSING: Final = "celery_health.W004"
FRAMEWORK_MISSING: Final = "celery_health.W005"
URLS_TWICE: Final = "celery_health.W006"
URLS_MISSING: Final = "celery_health.W007"
PATH_WRONG: Final = "celery_health.W008"

_APP: Final = "celery_health"
_URLS: Final = "celery_health.urls"
_MIDDLEWARE: Final = "celery_health.middleware.ProbeMiddleware"
_FRAMEWORK: Final = "rest_framework"
NO_FRAMEWORK: Final = (
    "Django REST framework is not installed, and the paths of celery_health need it. "
    "Install it: pip install djangorestframework"
)
_STAFF: Final = "rest_framework.permissions.IsAdminUser"


class CheckedPattern(URLPattern):
    """A path of ours that says to Django's check of URLs what is missing beside them."""

    def check(self) -> list[checks.CheckMessage]:
        """Return what Django says of the path, and that the app is not installed, where it is not."""
        return [*super().check(), *app_missing()]


def wiring() -> Iterator[checks.CheckMessage]:
    """Yield what is wrong with how the installed app is put into the project."""
    if is_served("live"):
        yield from _framework_missing()
        yield from _urls_twice()
    else:
        yield from _urls_missing()


def is_served(name: str) -> bool:
    """Say whether one of our paths is in the project's URLs."""
    try:
        with calling_project():
            reverse(f"{_APP}:{name}")
    except Exception:  # not included, or the project's own URLs are broken, which Django's checks say
        return False
    return True


# What is missing ----------------------------------------------------------------------------------------


def app_missing() -> Iterator[checks.CheckMessage]:
    """Yield a warning where the URLs are included and the app is not installed."""
    if apps.is_installed(_APP):
        return
    installed: Any = django_settings.INSTALLED_APPS
    line = f"INSTALLED_APPS += {(_APP,) if type(installed) is tuple else [_APP]!r}"
    yield checks.Warning(
        "The URLs of celery_health are included, and its app is not installed: this process counts nothing "
        "that it sends, its workers and beats report nothing, and no check looks at Celery.",
        hint=line,
        obj="INSTALLED_APPS",
        id=APP_MISSING,
    )


def is_framework_missing() -> bool:
    """Say whether Django REST framework cannot be found; nothing is imported for it."""
    try:
        return find_spec(f"{_FRAMEWORK}.views") is None
    except (ImportError, ValueError):
        return True


def _framework_missing() -> Iterator[checks.CheckMessage]:
    if is_framework_missing():
        yield checks.Warning(
            "The URLs of celery_health are included, and Django REST framework is not installed: all but "
            "live/ and ready/ answer with an error.",
            hint="pip install djangorestframework",
            id=FRAMEWORK_MISSING,
        )


def _urls_missing() -> Iterator[checks.CheckMessage]:
    if _MIDDLEWARE in django_settings.MIDDLEWARE and _are_readable():
        yield checks.Warning(
            f"ProbeMiddleware answers nothing: {django_settings.ROOT_URLCONF} has no URLs of celery_health.",
            hint=f"In {django_settings.ROOT_URLCONF}: "
            f'urlpatterns += [path("api/celery/", include("{_URLS}"))]; or take the middleware out.',
            obj="MIDDLEWARE",
            id=URLS_MISSING,
        )


def _are_readable() -> bool:
    """Say whether the project's URLs can be imported: what is in them is not known otherwise."""
    try:
        return bool(django_settings.ROOT_URLCONF and get_resolver().url_patterns is not None)
    except Exception:  # Django's own check says why
        return False


# What is there twice ------------------------------------------------------------------------------------


def _urls_twice() -> Iterator[checks.CheckMessage]:
    try:
        places = list(_places(get_resolver(), "", ()))
    except Exception:  # Django's own check says why
        return
    for namespace in sorted({namespace for namespace, _ in places}):
        at = [f"'{prefix}'" for other, prefix in places if other == namespace]
        if len(at) > 1:
            yield checks.Warning(
                f"The URLs of celery_health are included {len(at)} times, at {' and '.join(at)}, under one "
                f"namespace: names lead to {at[0]} alone.",
                hint=f"Take one out, or name it: path({at[-1]}, include('{_URLS}', namespace='{_APP}_2'))",
                obj=str(django_settings.ROOT_URLCONF),
                id=URLS_TWICE,
            )


def _places(
    resolver: URLResolver, prefix: str, namespaces: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield under which namespace, and at which path, our URLs are included."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            below = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            path = f"{prefix}{pattern.pattern}"
            included: Any = pattern.urlconf_name
            name = included.__name__ if isinstance(included, ModuleType) else included
            if name == _URLS:
                yield below, path
            elif not isinstance(name, str) or not name.startswith("django."):
                yield from _places(pattern, path, below)


# What leads nowhere -------------------------------------------------------------------------------------


def paths_wrong() -> Iterator[checks.CheckMessage]:
    """Yield each dotted path of ``PERMISSIONS`` that names no permission class.

    Raises:
        ConfigurationError: ``CELERY_HEALTH`` is wrong.
    """
    if is_framework_missing():
        return
    for access, path in get_settings().permissions.items():
        try:
            load_permission(access, path)
        except ConfigurationError as error:
            where = f"{SETTING}['PERMISSIONS'][{access!r}]"
            yield checks.Warning(
                f"{_first_sentence(error)}: who asks there gets an error.",
                hint=f"{where} = {_meant(path)!r}",
                obj=SETTING,
                id=PATH_WRONG,
            )


# Classes of the project's code: few, and they live as long as the process.
@lru_cache(maxsize=32)
def load_permission(access: str, path: str) -> Any:
    """Return the class that a key of ``PERMISSIONS`` names.

    Raises:
        ConfigurationError: it cannot be imported, or is no permission class.
    """
    where = f"{SETTING}['PERMISSIONS']['{access}'] is {path!r}"
    fix = f"Set the dotted path of a DRF permission class, such as '{_STAFF}'."
    try:
        with importing_project():
            permission = import_string(path)
    except Exception as error:  # importing a project's module may raise anything
        raise ConfigurationError(
            f"{where}, which cannot be imported ({describe_error(error)}). {fix}"
        ) from error
    # Classes joined by & and | are not classes: DRF only calls what it is given.
    is_class = isinstance(permission, type)
    if not callable(permission) or (is_class and not hasattr(permission, "has_permission")):
        raise ConfigurationError(f"{where}, which is no permission class. {fix}")
    return permission


def _first_sentence(error: Exception) -> str:
    return str(error).partition(". Set the dotted path")[0]


def _meant(path: str) -> str:
    """Return the permission class that is nearest to a path, in what is imported; else the staff's."""
    module, _, name = path.rpartition(".")
    for near in [module, *get_close_matches(module, sys.modules, 3, 0.8), f"{_FRAMEWORK}.permissions"]:
        names = [
            key
            for key, value in vars(sys.modules.get(near, ModuleType(""))).items()
            if isinstance(value, type) and hasattr(value, "has_permission")
        ]
        if found := get_close_matches(name, names, 1, 0.7):
            return f"{near}.{found[0]}"
    return _STAFF
