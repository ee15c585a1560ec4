"""The URLs that the README tells to add."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("api/celery/", include("celery_health.urls"))]
