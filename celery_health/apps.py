"""The composition root: what happens when Django starts."""

from __future__ import annotations

from django.apps import AppConfig

from celery_health import producers
from celery_health.beat import recorder as beat_recorder
from celery_health.doctor import checks
from celery_health.worker import bootstep


class CeleryHealthConfig(AppConfig):
    """Installs celery_health: ``ready`` connects signals and registers checks."""

    name = "celery_health"
    label = "celery_health"
    verbose_name = "Celery health"

    def ready(self) -> None:
        """Have workers and beats that start here report themselves, and what is sent be stamped."""
        bootstep.connect()
        beat_recorder.connect()
        producers.connect()
        checks.register()
