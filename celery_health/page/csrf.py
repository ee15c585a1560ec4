"""The token of our forms, also in projects without Django's middleware for it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token

from celery_health.exceptions import ConfigurationError


def token_of(request: HttpRequest) -> str:
    """Return the token for the forms of this answer, which `keep` has to see.

    Raises:
        ConfigurationError: the project keeps it in the session, and has no middleware that makes one.
    """
    try:
        # Reads the cookie: without that, each form would end all those before it.
        _check().process_request(request)
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"There is no token for the form. {error}") from None
    return get_token(request)


def keep(request: HttpRequest, response: HttpResponse) -> None:
    """Keep the token that a form of this answer has: in the cookie or the session, as the project says."""
    _check().process_response(request, response)


def _check() -> Any:
    return CsrfViewMiddleware(lambda request: HttpResponse())
