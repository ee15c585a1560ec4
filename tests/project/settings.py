"""Settings of the test project. Nothing listens at the default broker: a test names its own."""

from __future__ import annotations

import importlib.util
import json
import os

SECRET_KEY = "not a secret: tests only"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
USE_TZ = True
ROOT_URLCONF = os.environ.get("CELERY_TEST_URLCONF") or "tests.project.urls"
# The usual ones take a quarter of a second for each user that a test makes.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
]
if not os.environ.get("CELERY_TEST_PLAIN"):
    INSTALLED_APPS.append("celery_health")
# Extra apps of one test: django_celery_beat, for example.
INSTALLED_APPS += [app for app in os.environ.get("CELERY_TEST_APPS", "").split(",") if app]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
if "celery_health" in INSTALLED_APPS and importlib.util.find_spec("celery_health.middleware"):
    MIDDLEWARE.insert(0, "celery_health.middleware.ProbeMiddleware")

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CELERY_TEST_DATABASE", ":memory:"),
    }
}

CELERY_BROKER_URL = os.environ.get("CELERY_TEST_BROKER") or "redis://127.0.0.1:1/0"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_RESULT_BACKEND = os.environ.get("CELERY_TEST_RESULTS") or None

CELERY_HEALTH = json.loads(os.environ.get("CELERY_TEST_HEALTH") or "{}")
