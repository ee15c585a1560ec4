"""Who may ask what: the classes that ``CELERY_HEALTH["PERMISSIONS"]`` names, loaded when they are needed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.utils.module_loading import import_string
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_health.conf import SETTING, get_settings
from celery_health.exceptions import ConfigurationError
from celery_health.project_code import importing_project
from celery_health.text.masking import describe_error


class IsSuperuser(BasePermission):
    """Lets active superusers pass: what can be destroyed is not everybody's on the staff."""

    message = "Only a superuser may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Say whether the caller is an active superuser."""
        user = request.user
        return bool(user and user.is_active and getattr(user, "is_superuser", False))


def permission_class(access: str) -> Any:
    """Return the permission class for `access`, a key of ``PERMISSIONS``.

    Raises:
        ConfigurationError: the setting is wrong, or names nothing that can be imported.
    """
    return _load(access, get_settings().permissions[access])


# Classes of the project's code: few, and they live as long as the process.
@lru_cache(maxsize=32)
def _load(access: str, path: str) -> Any:
    where = f"{SETTING}['PERMISSIONS']['{access}'] is {path!r}"
    fix = "Set the dotted path of a DRF permission class, such as 'rest_framework.permissions.IsAdminUser'."
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
