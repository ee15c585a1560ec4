"""Content-Security-Policies of other projects: one middleware replaces ours, whatever it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class ReplacePolicy:
    """Have each answer carry ``settings.PAGE_POLICY`` alone."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response: HttpResponse = self._get_response(request)
        response["Content-Security-Policy"] = settings.PAGE_POLICY  # type: ignore[misc]
        return response
