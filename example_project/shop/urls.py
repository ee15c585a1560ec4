"""The shop's addresses: the admin, to log in as staff, and Celery's health."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/celery/", include("celery_health.urls")),
]
