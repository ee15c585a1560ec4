"""The composition root: what happens when Django starts."""

from __future__ import annotations

from django.apps import AppConfig


class CeleryHealthConfig(AppConfig):
    """Installs celery_health; ``ready`` connects signals and nothing else."""

    name = "celery_health"
    label = "celery_health"
    verbose_name = "Celery health"
