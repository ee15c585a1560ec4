"""The token of our forms, also in projects without Django's middleware for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token


def token_of(request: HttpRequest) -> str:
    """Return the token for the forms of this answer, which `keep` has to see."""
    # Reads the cookie: without that, each form would end all those before it.
    _check().process_request(request)
    return get_token(request)


def keep(request: HttpRequest, response: HttpResponse) -> None:
    """Keep the token that a form of this answer has: in the cookie or the session, as the project says."""
    _check().process_response(request, response)


def _check() -> Any:
    return CsrfViewMiddleware(lambda request: HttpResponse())
