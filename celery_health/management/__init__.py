"""The command ``celery_health``: what people see of it on a terminal."""
