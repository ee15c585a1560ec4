"""Packages that are nobody's own, though they stand in ``INSTALLED_APPS`` and bring tasks."""

from __future__ import annotations

from typing import Final

#: Top packages, each with all below it. Other installed apps need no place here: what they leave to the
#: default queue expects nothing (`celery_health.topology.ownership`).
LIBRARIES: Final = frozenset(
    {
        # Celery, what its parts live in, and what stands between it and Django.
        "billiard",
        "celery",
        "celery_health",
        "django",
        "kombu",
        # Schedules and results.
        "django_celery_beat",
        "django_celery_results",
        "redbeat",
        # Each Django task is a Celery task here: whose it is, is said by the module of the Django task.
        "django_tasks",
        "django_tasks_celery",
        "django_tasks_fennel",
        # Registered whether or not a setting has them sent: pictures (by pickle), indexes, mail, logins.
        "celery_haystack",
        "defender",
        "django_elasticsearch_dsl",
        "explorer",
        "imagekit",
        "post_office",
        # Sent to each queue, to see whether it comes back.
        "health_check",
    }
)


def is_library(module: str) -> bool:
    """Say whether a module lies in one of `LIBRARIES`."""
    return module.partition(".")[0] in LIBRARIES
