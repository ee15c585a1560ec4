"""Who may ask what: the classes that ``CELERY_HEALTH["PERMISSIONS"]`` names, loaded when they are needed."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from celery_health.conf import get_settings
from celery_health.doctor.wiring import load_permission


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
    return load_permission(access, get_settings().permissions[access])
