"""The project's Celery app, as Celery's Django guide writes it."""

from __future__ import annotations

import json
import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")

app = Celery("tests.project")
app.config_from_object("django.conf:settings", namespace="CELERY")
# What one test wants different, without a settings module of its own.
if overrides := os.environ.get("CELERY_TEST_CONF"):
    app.conf.update(json.loads(overrides))
app.autodiscover_tasks(["tests.project"])
