"""URLs of the test project: celery_health where its README says, and an empty view to measure against."""

from __future__ import annotations

import importlib.util

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [path("empty/", empty)]
if "celery_health" in settings.INSTALLED_APPS and importlib.util.find_spec("celery_health.urls"):
    urlpatterns.append(path("api/celery/", include("celery_health.urls")))
