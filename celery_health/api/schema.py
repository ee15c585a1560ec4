"""The OpenAPI description, where the project uses drf-spectacular; nothing at all where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.apps import apps

F = TypeVar("F", bound=Callable[..., Any])


def describe(operation: str) -> Callable[[F], F]:
    """Return a decorator that describes a view's method as `operation`, a key of ``openapi.OPERATIONS``."""

    def decorate(method: F) -> F:
        if not apps.is_installed("drf_spectacular"):
            return method
        # Imported here alone: the package is optional, and costs what it costs at import.
        from drf_spectacular.utils import extend_schema

        from celery_health.api.openapi import OPERATIONS

        described: F = extend_schema(**OPERATIONS[operation])(method)
        return described

    return decorate
