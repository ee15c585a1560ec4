"""What is answered where Django REST framework is not installed: an error that says so, at every path."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse

from celery_health.api.answers import error_body, finish
from celery_health.doctor.wiring import NO_FRAMEWORK
from celery_health.exceptions import ConfigurationError

#: Each path and its name, so that links to them lead here: `celery_health.urls` has the same, and more.
PATHS: Final = (
    ("", "page"),
    *((f"page/{name}/", f"page-{name}") for name in ("queues", "tasks", "workers", "schedule", "doctor")),
    *(
        (f"{name}/", name)
        for name in ("health", "live", "ready", "tasks", "stats", "workers", "queues", "schedule")
    ),
    *((f"{name}/", name) for name in ("doctor", "dead-letters", "metrics")),
    ("<path:rest>", "unavailable"),
)


@login_not_required
@transaction.non_atomic_requests
def unavailable(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Answer 500 and what to install."""
    status, body = error_body(ConfigurationError(NO_FRAMEWORK))
    response = JsonResponse(body, status=status)
    finish(response)
    return response
