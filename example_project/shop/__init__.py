"""A small shop whose work Celery does."""

# Imported here so that every process of Django has the shop's Celery app as its current one.
from shop.celery import app as celery_app

__all__ = ["celery_app"]
