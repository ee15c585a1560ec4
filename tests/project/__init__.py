"""The Django project that the tests run: one app of tasks of every kind. Configured by environment alone."""

from tests.project.celery import app as celery_app

__all__ = ["celery_app"]
