"""Tasks that ask to be monitored, for a worker that monitors no other."""

from __future__ import annotations

from celery import shared_task

from celery_health import MonitoredTask, monitor_task


@shared_task(base=MonitoredTask)
def by_base() -> None:
    """Ask by the base class."""


@shared_task
@monitor_task
def by_decorator() -> None:
    """Ask by the decorator."""
