"""Settings of a project that never made a Celery app, for a process of its own."""

from __future__ import annotations

SECRET_KEY = "not a secret: tests only"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "tests.api.unconfigured.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "celery_health",
]
